"""Columns of Parquet and JSON lines as single values: text in every physical type, lists refused, others left alone."""

from __future__ import annotations

import decimal
import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrea_cli.errors import UserError
from lrea_cli.prepare.estimate import estimate
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.reading.parquet import ParquetRows
from lrea_cli.prepare.sources.table import Table
from tests.prepare.test_table import NOON, extract

pytestmark = pytest.mark.every_third
HALF = np.array([1.5], np.float16)
SOME_UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")


def parquet(path: Path, **columns: Any) -> Path:
    count = max(map(len, columns.values()))
    base = {"user": ["u"] * count, "item": ["i"] * count, "time": [NOON] * count}
    pq.write_table(pa.table(base | columns), path)
    return path


def refusal(path: Path, source: Table) -> str:
    with pytest.raises(UserError) as caught:
        extract(source, path)
    assert str(path) in caught.value.message
    assert caught.value.remedy
    return caught.value.message


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.binary_view(),
        pa.binary(3),
        pa.dictionary(pa.int32(), pa.string()),
        pa.dictionary(pa.int8(), pa.binary()),
    ],
    ids=str,
)
def test_text_is_text_in_every_physical_type(tmp_path: Path, kind: pa.DataType) -> None:
    values = ["é8", None, "é8", "x\x00y"]
    stored = pa.array([v and v.encode() for v in values], pa.binary())
    if pa.types.is_dictionary(kind):
        column = stored.cast(kind.value_type).dictionary_encode().cast(kind)
    elif "binary" in str(kind):
        column = stored.cast(kind)
    else:
        column = pa.array(values, kind)
    path = parquet(tmp_path / "a.parquet", note=column)
    assert [event["note"] for event in extract(Table(context_field=["note"]), path).events] == values


@pytest.mark.parametrize("kind", [pa.binary(), pa.string(), pa.large_string()], ids=str)
def test_bytes_that_are_no_text_are_refused_by_row(tmp_path: Path, kind: pa.DataType) -> None:
    bad = pa.array([b"a", None, b"\xe9"], pa.large_binary() if "large" in str(kind) else pa.binary())
    path = parquet(tmp_path / "a.parquet", note=bad if kind == pa.binary() else bad.view(kind))
    assert "row 3: the column 'note' holds b'\\xe9'" in refusal(path, Table(context_field=["note"]))
    assert len(extract(Table(), path).events) == 3  # nobody asked for it


@pytest.mark.parametrize(
    "values",
    [
        pa.array([[1, 2]]),
        pa.array([[1.5]], pa.list_(pa.float16())),
        pa.array([{"a": 1}]),
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
        pa.array([5], pa.duration("s")),
    ],
    ids=lambda a: str(a.type),
)
def test_what_is_no_single_value_is_refused_where_it_is_asked_for(tmp_path: Path, values: pa.Array) -> None:
    path = parquet(tmp_path / "a.parquet", things=values)
    kind = str(values.type).partition("<")[0]
    assert f"'things' is of type {kind}" in refusal(path, Table(item_field=["things"]))
    assert len(extract(Table(), path).events) == 1


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (pa.array(HALF), "1.5"),
        (pa.array([decimal.Decimal("5.25")], pa.decimal256(50, 2)), "5.25"),
        (pa.array([decimal.Decimal("5.25")], pa.decimal128(10, 2)), "5.25"),
        (pa.array([SOME_UUID.bytes], pa.uuid()), str(SOME_UUID)),
        (pa.array([3_600], pa.time32("s")), "01:00:00.000"),
        (pa.array([None], pa.null()), None),
        (pa.array([True]), "1"),
    ],
    ids=lambda v: str(getattr(v, "type", "")),
)
def test_rare_types_are_read_or_left_alone(tmp_path: Path, values: pa.Array, text: str | None) -> None:
    path = parquet(tmp_path / "a.parquet", rare=values)
    assert extract(Table(context_field=["rare"]), path).events[0]["rare"] == text
    assert len(extract(Table(), path).events) == 1


def test_a_decimal_with_too_many_digits_is_refused_by_row(tmp_path: Path) -> None:
    values = pa.array([decimal.Decimal(1), decimal.Decimal(10**45)], pa.decimal256(60, 0))
    message = refusal(parquet(tmp_path / "a.parquet", big=values), Table(context_field=["big"]))
    assert "row 2: the column 'big' holds Decimal" in message


@pytest.mark.parametrize("nanoseconds", [NOON * 10**9, NOON * 10**9 + 999_999_999, -1])
@pytest.mark.parametrize("zone", [None, "UTC", "+08:00", "Asia/Shanghai"])
def test_nanoseconds_are_rounded_down(tmp_path: Path, nanoseconds: int, zone: str | None) -> None:
    path = tmp_path / "a.parquet"
    time = pa.array([nanoseconds], pa.timestamp("ns", zone))
    pq.write_table(pa.table({"user": ["u"], "item": ["i"], "time": time}), path)
    assert extract(Table(), path).events[0]["time"] == nanoseconds // 10**9


def test_columns_with_points_and_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"user": ["u"], "item": ["i"], "time": [NOON], "a.b": ["point"], "a": [{"b": "struct"}]})
    pq.write_table(table, path)
    assert extract(Table(context_field=["x=a.b"]), path).events[0]["x"] == "point"
    pq.write_table(pa.Table.from_arrays(table.columns, ["user", "item", "time", "item", "a"]), path)
    assert "more than one column named 'item'" in refusal(path, Table())


def test_only_the_columns_asked_for_are_read(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", note=["n"], other=[1])
    rows = ParquetRows(path)
    (block,) = rows.blocks(["time", "note"])
    assert block.rows.column_names == [rows.columns["time"], rows.columns["note"], "__line"]
    assert block.text(1) == f"{NOON},n"


def test_many_rows_keep_their_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrea_cli.prepare.reading.parquet.ROWS", 7)
    path = parquet(tmp_path / "a.parquet", user=[str(n) for n in range(20)])
    assert [(e["source_row"], e["user"]) for e in extract(Table(), path).events] == [(n + 1, str(n)) for n in range(20)]
    bad = parquet(tmp_path / "b.parquet", user=pa.array([b"a"] * 17 + [b"\xff"], pa.binary()))
    assert "row 18" in refusal(bad, Table())


def test_the_first_rows_alone_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrea_cli.prepare.reading.parquet.ROWS", 7)
    path = parquet(tmp_path / "a.parquet", user=[str(n) for n in range(50)])
    for share, count in ((0.2, 10), (0.14, 7), (0, 1), (2, 50)):
        rows = ParquetRows(path, first_bytes=int(share * path.stat().st_size) + 1)
        assert sum(block.count for block in rows.blocks(["user"])) == rows.rows_to_read == count


def lines(path: Path, *values: Any) -> Path:
    path.write_text("".join(f"{v if isinstance(v, str) else json.dumps(v)}\n" for v in values), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.JSON", "a.txt"])
def test_json_lines_have_typed_values(tmp_path: Path, name: str) -> None:
    at = {"user": "u", "item": "i", "time": NOON}
    rows = [
        at | {"x": 5, "y/~": "a"},
        at | {"x": 2.50, "nested": [1]},
        at | {"x": True, "y/~": None},
        at | {"x": "é\n", "time": float(NOON)},
        '{"user":"u","item":"i","time":1.7000064e9,"x":123456789012345678901}',
    ]
    found = extract(Table(context_field=["x", "y=y/~"]), lines(tmp_path / name, *rows))
    assert [(e["x"], e["y"]) for e in found.events] == [
        ("5", "a"),
        ("2.5", None),
        ("1", None),
        ("é", None),
        ("123456789012345678901", None),
    ]
    assert {e["time"] for e in found.events} == {NOON}
    assert [e["source_row"] for e in found.events] == [1, 2, 3, 4, 5]


def test_lines_that_are_no_objects_are_counted(tmp_path: Path) -> None:
    at = {"user": "u", "item": "i", "time": NOON}
    path = lines(tmp_path / "a.jsonl", at, [1], "nope", "", at | {"user": None}, at)
    found = extract(Table(), path)
    assert [(r.line, r.reason, r.text) for r in found.examples][:3] == [
        (2, "not_a_json_object", "[1]"),
        (3, "not_a_json_object", "nope"),
        (4, "not_a_json_object", ""),
    ]
    assert found.rejected == {"not_a_json_object": 3, "missing_user": 1}
    assert estimate(Table(), [path], PrepareOptions()).files[0].rows == 6


@pytest.mark.parametrize("value", [[1], {"a": 1}, []])
def test_a_nested_value_is_refused_by_line(tmp_path: Path, value: Any) -> None:
    at = {"user": "u", "item": "i", "time": NOON}
    path = lines(tmp_path / "a.jsonl", at | {"x": 1}, at | {"x": value})
    assert "line 2: 'x' is a list or an object" in refusal(path, Table(item_field=["x"]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"user": 1}]', "is one JSON array"),
        ('{\n"user": 1\n}', "has no JSON object in its first lines"),
        ('{"who": 1}', "has no column 'user'"),
    ],
)
def test_other_json_is_named(tmp_path: Path, content: str, message: str) -> None:
    assert message in refusal(lines(tmp_path / "a.json", content), Table())


@pytest.mark.parametrize(
    ("option", "options"),
    [
        ("columns", {"columns": "user,item,time"}),
        ("delimiter", {"delimiter": ";"}),
        ("no-quotes", {"no_quotes": True}),
        ("backslash", {"backslash": True}),
    ],
)
def test_options_of_delimited_text_mean_nothing_elsewhere(tmp_path: Path, option: str, options: dict[str, Any]) -> None:
    for path in (parquet(tmp_path / "a.parquet", x=[1]), lines(tmp_path / "a.jsonl", {"user": 1})):
        assert f"--{option} means nothing there" in refusal(path, Table(**options))


def test_times_of_json_may_be_text(tmp_path: Path) -> None:
    stamp = datetime.fromtimestamp(NOON, UTC).isoformat()
    path = lines(tmp_path / "a.jsonl", {"user": 1, "item": 2, "time": stamp})
    assert extract(Table(), path).events[0]["time"] == NOON
