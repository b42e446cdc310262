"""One spelling for each id: text and columns of every type agree, and what must stay apart stays apart."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrea_cli.dataset.layout import DatasetInfo
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.dataset.spelling import MISSING, spelled
from lrea_cli.errors import UserError
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.prepare import prepare
from lrea_cli.prepare.sources.table import Table
from lrea_cli.prepare.sql import inexact_sql, spelled_sql
from lrea_cli.records.cache import dense_users
from lrea_cli.workspace.home import Workspace
from tests.prepare.test_table import NOON, extract, write
from tests.selection import examples

DAY = 86_400
FIVE = [
    pa.array([5], pa.int8()),
    pa.array([5], pa.uint64()),
    pa.array([5.0], pa.float32()),
    pa.array([5.0], pa.float64()),
    pa.array([Decimal("5.00")], pa.decimal128(10, 2)),
    pa.array([Decimal("5")], pa.decimal128(10, 0)),
    pa.array(["5"]),
    pa.array(["5.0"]),
    pa.array([" 5.00\t"], pa.large_string()),
    pa.array([b"5"], pa.binary()),
    pa.array(["5"]).dictionary_encode(),
]


def in_sql(make: Any, column: pa.Array) -> list[Any]:
    with duckdb.connect() as db:
        db.register("given", pa.table({"x": column}))
        kind = db.execute("DESCRIBE given").fetchall()[0][1]
        return [value for (value,) in db.execute(f"SELECT {make('x', kind)} FROM given").fetchall()]


@pytest.mark.parametrize("column", FIVE, ids=lambda a: str(a.type))
def test_five_is_one_id_in_every_type(column: pa.Array) -> None:
    assert in_sql(spelled_sql, column) == ["5"]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (
            pa.array([-0.0, 1e5, 2.0**53, 5.5, float("nan"), float("inf"), None]),
            ["0", "100000", str(2**53), "5.5", *[None] * 3],
        ),
        (pa.array([Decimal("5.10"), Decimal("100.00")], pa.decimal128(10, 2)), ["5.1", "100"]),
        (pa.array([True, False, None]), ["1", "0", None]),
        (pa.array([2**63 - 1, -5]), [str(2**63 - 1), "-5"]),
        (pa.array(["é8".encode(), b"\xff", b"NULL"], pa.binary()), ["é8", None, None]),
        (pa.array([None, None], pa.null()), [None, None]),
    ],
    ids=lambda a: str(getattr(a, "type", "")),
)
def test_other_values_of_a_type(column: pa.Array, expected: list[Any]) -> None:
    assert in_sql(spelled_sql, column) == expected


@pytest.mark.parametrize(
    "text", ["007", "1e5", "5.10", "+5", "v5.0", "05.0", "5.", ".0", "-0.0", "5.0.0", "0x10", "1_0"]
)
def test_text_that_only_looks_like_a_number_stays_as_it_is(text: str) -> None:
    assert spelled(text) == text


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.text("05.-eE+ \t\u00a0nNaAuUlL/<>#\\é", max_size=7), min_size=1, max_size=20))
def test_sql_and_text_are_one_rule(texts: list[str]) -> None:
    assert in_sql(spelled_sql, pa.array(texts)) == [spelled(text) for text in texts]


def test_every_spelling_of_missing_is_missing_in_any_case() -> None:
    words = ["", "  ", *MISSING, *(word.upper() for word in MISSING), " Null ", "\\N"]
    assert [spelled(word) for word in words] == [None] * len(words)
    assert in_sql(spelled_sql, pa.array(words)) == [None] * len(words)
    assert spelled("anna") == "anna"


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([2.0**53, 2.0**53 + 2, 1e300, float("inf"), None, 0.5]), [False, True, True, False, False, False]),
        (pa.array([2.0**24, 2.0**24 + 2], pa.float32()), [False, True]),
        (pa.array([str(2**53) + ".0", str(2**53 + 2) + ".0", str(2**53 + 2)]), [False, True, False]),
        (pa.array(["1.23457E+12", "1.5e+300", "1e5", "1.5e5", "abc"]), [True, True, False, False, False]),
        (pa.array([2**63 - 1]), [False]),
    ],
)
def test_an_id_that_a_float_has_rounded_is_seen(column: pa.Array, expected: list[bool]) -> None:
    assert in_sql(inexact_sql, column) == expected


def test_one_user_in_two_spellings_is_one_user(tmp_path: Path) -> None:
    """As pandas writes a column of whole numbers without and with a missing one."""
    a = write(tmp_path / "a.csv", "user,item,time,label", f"5,9,{NOON},1")
    b = write(tmp_path / "b.csv", "user,item,time,label", f"5.0,9.0,{NOON + DAY + 1},1")
    pq.write_table(pa.table({"user": [5], "item": [9], "time": [NOON], "label": [1]}), tmp_path / "c.parquet")
    doubles = {"user": [5.0, None], "item": [9.0, 1.0], "time": [NOON, NOON], "label": [1, 0]}
    pq.write_table(pa.table(doubles), tmp_path / "d.parquet")
    found = extract(Table(label_column="label"), a, b, tmp_path / "c.parquet", tmp_path / "d.parquet")
    assert {(e["user"], e["item"]) for e in found.events} == {("5", "9")}
    assert found.rejected == {"missing_user": 1}
    assert found.extract.warnings == ()
    rows = [e["source_row"] for e in found.events]
    assert len(set(rows)) == len(rows) == 4  # a file without header follows one with header


def test_a_list_of_users_may_spell_them_otherwise(tmp_path: Path) -> None:
    rows = [
        f"{user},{n},{NOON + day * DAY + n},{n % 2}" for user in ("5.0", "007") for day in range(3) for n in range(4)
    ]
    path = write(tmp_path / "a.csv", "user,item,time,label", *rows)
    prepare(Table(label_column="label"), [path], "d", Workspace(tmp_path), PrepareOptions())
    artifact = Workspace(tmp_path).open(DATASETS, "d")
    dataset = DatasetInfo.of(artifact)
    assert dense_users(dataset, ["5", "007", "5.00", " 5"]).tolist() == [1, 0, 1, 1]
    with pytest.raises(UserError, match=r"The dataset lacks 1 user: '7'\."):
        dense_users(dataset, ["5", "7"])


def test_ids_that_were_rounded_are_rejected_and_counted(tmp_path: Path) -> None:
    large = 2**53 + 2
    pq.write_table(
        pa.table({"user": [float(large), 5.0], "item": ["a", "b"], "time": [NOON, NOON]}), tmp_path / "a.parquet"
    )
    path = write(tmp_path / "b.csv", "user,item,time", f"{large},a,{NOON}", f"5,1.23457E+12,{NOON}")
    found = extract(Table(), tmp_path / "a.parquet", path)
    assert found.rejected == {"inexact_id": 2}
    assert [(e["user"], e["item"]) for e in found.events] == [("5", "b"), (str(large), "a")]


NAMES = pa.table({"user": ["ann", "5"], "item": ["a", "b"], "time": [NOON, NOON]})


@pytest.mark.parametrize(
    ("users", "shown"),
    [
        (pa.array([5.0, 5.5]), r"'5\.5' \(DOUBLE\)"),
        (pa.array([True, False]), r"'1' \(BOOLEAN\)"),
        (pa.array([1, 2], pa.timestamp("s")), r"of one type \(TIMESTAMP_MS\)"),
    ],
    ids=["fractions", "booleans", "times"],
)
@pytest.mark.parametrize("turned", [False, True])
def test_types_that_cannot_be_reconciled_are_refused(tmp_path: Path, users: pa.Array, shown: str, turned: bool) -> None:
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    pq.write_table(pa.table({"user": users, "item": ["a", "b"], "time": [NOON, NOON]}), one)
    pq.write_table(NAMES, two)
    files = [two, one] if turned else [one, two]
    with pytest.raises(UserError, match=rf"'user' is {shown} in .*one\.parquet and .*two\.parquet") as caught:
        extract(Table(), *files)
    assert "ann" in caught.value.message or "VARCHAR" in caught.value.message


def test_numbers_in_one_file_and_names_in_another_are_told_of(tmp_path: Path) -> None:
    one, two, three = (tmp_path / f"{name}.parquet" for name in ("one", "two", "three"))
    pq.write_table(pa.table({"user": [5, 6], "item": ["a", "b"], "time": [NOON, NOON]}), one)
    pq.write_table(NAMES, two)
    pq.write_table(pa.table({"user": pa.nulls(1), "item": ["a"], "time": [NOON]}), three)
    found = extract(Table(), one, two, three)
    assert [e["user"] for e in found.events] == ["5", "6", "ann", "5"]
    assert found.extract.warnings == (
        "'user' holds whole numbers in one.parquet and names such as 'ann' in two.parquet: "
        "no number is the same as a name.",
    )
    assert extract(Table(), two, three).extract.warnings == ()
