"""What a value means: missing ones, lost numbers, labels, exact repeats, both labels at once, names of fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lrea_cli.dataset.fields import EncodedField
from lrea_cli.dataset.manifest import DatasetManifest
from lrea_cli.errors import UserError
from lrea_cli.features import Features
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.prepare import Surroundings, prepare
from lrea_cli.prepare.sources.table import Table
from lrea_cli.sequence import CandidateIds
from lrea_cli.workspace.home import Workspace
from tests.prepare.test_table import NOON, extract, write
from tests.selection import one_by_default

pytestmark = pytest.mark.every_third
DAY = 86_400
ABSENT = ["", "  ", "NULL", "null", "NA", "N/A", "NaN", "nan", "None", "none", "\\N"]


def test_missing_is_missing_in_users_items_and_fields(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv",
        "user,item,cat,price,time",
        *(f"{w},i,c,1,{NOON}" for w in ABSENT),
        *(f"u,{w},c,1,{NOON}" for w in ABSENT),
        *(f"u{n},i,{w},{w},{NOON}" for n, w in enumerate(ABSENT)),
    )
    found = extract(Table(category_column="cat", item_field=["price"], numeric=["price"]), path)
    assert found.rejected == {"missing_user": len(ABSENT), "missing_item": len(ABSENT)}
    assert [(e["category"], e["price"]) for e in found.events] == [(None, None)] * len(ABSENT)
    assert found.extract.warnings == ()  # what is missing is not lost


def test_missing_in_parquet(tmp_path: Path) -> None:
    users = pa.array([1.0, float("nan"), None])
    pq.write_table(pa.table({"user": users, "item": ["a", "a", "NULL"], "time": [NOON] * 3}), tmp_path / "a.parquet")
    assert extract(Table(), tmp_path / "a.parquet").rejected == {"missing_user": 2}


def test_an_option_says_what_is_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "user,item,time", *(f"{user},i,{NOON}" for user in ("NA", "-", "0", "Anon", "")))
    found = extract(Table(missing="-, 0,anon"), path)
    assert [e["user"] for e in found.events] == ["NA"]
    pq.write_table(pa.table({"user": [0, 1], "item": [0.0, 1.0], "time": [NOON] * 2}), tmp_path / "a.parquet")
    assert extract(Table(missing="0"), tmp_path / "a.parquet").rejected == {"missing_user": 1}
    assert [e["user"] for e in extract(Table(missing=""), path).events] == ["NA", "-", "0", "Anon"]


def prices(folder: Path, *values: str) -> Path:
    return write(folder / "a.csv", "user,item,price,time", *(f'u,i{n},"{v}",{NOON}' for n, v in enumerate(values)))


def test_numbers_that_are_lost_are_told_of(tmp_path: Path) -> None:
    source = Table(context_field=["price"], numeric=["price"])
    found = extract(source, prices(tmp_path, "4.5", "$4.50", "4,5", "$4.50", "N/A", "1e3", " 7 ", "8", "-1"))
    assert [e["price"] for e in found.events] == [4.5, None, None, None, None, 1000, 7, 8, -1]
    assert found.intake.lost["price"].first_values == ["$4.50", "4,5"]
    assert found.extract.warnings == (
        "--numeric price: 37.5% of its values are no numbers and count as missing, such as '$4.50', '4,5'.",
    )


def test_a_numeric_field_that_is_mostly_lost_is_refused(tmp_path: Path) -> None:
    source = Table(context_field=["price"], numeric=["price"])
    assert extract(source, prices(tmp_path, "$1", "2", "")).extract.warnings  # half of them
    with pytest.raises(UserError, match=r"--numeric price: 66.7% of its values are no numbers.*'\$1', '\$2'") as caught:
        extract(source, prices(tmp_path, "$1", "$2", "3", ""))
    assert "--missing" in caught.value.remedy


def log(folder: Path, rows: int = 30, repeats: int = 0, header: str = "user,item,time,label", extra: str = "") -> Path:
    lines = [
        f"u{n % 3},{(n * 7 + day) % 11},{NOON + day * DAY + n},{(n + n // 9) % 2}{extra}"
        for day in range(4)
        for n in range(rows)
    ]
    return write(folder / "log.csv", header, *lines, *lines[:repeats])


def made(folder: Path, path: Path, name: str = "d", **source: Any) -> DatasetManifest:
    return prepare(
        Table(label_column="label", **source),
        [path],
        name,
        Workspace(folder),
        PrepareOptions(threads=2),
        Surroundings(replace=True),
    )


def test_the_facts_of_fields(tmp_path: Path) -> None:
    rows = [
        f"u{n % 3},{n % 5 + 10 * day},{NOON + day * DAY + n},{n % 2},{'' if n % 4 else '$' if n % 8 else 7},,x"
        for day in range(3)
        for n in range(32)
    ]
    path = write(tmp_path / "a.csv", "user,item,time,label,price,color,spare", *rows)
    manifest = made(tmp_path, path, item_field=["color"], context_field=["price"], numeric=["price"])
    assert manifest.field_facts == {
        "item": {"missing": 0.0, "unknown": 1.0, "lost": 0.0, "first_lost_values": []},
        "color": {"missing": 1.0, "unknown": 0.0, "lost": 0.0, "first_lost_values": []},
        "price": {"missing": 0.75, "unknown": 0.0, "lost": 0.125, "first_lost_values": ["$"]},
    }
    assert manifest.unused_columns == ("spare",)
    assert any("'color' has no value in any event" in warning for warning in manifest.warnings)


@pytest.mark.parametrize(
    ("threshold", "labels", "kept", "reason"),
    [
        (4, ["5", "4.0", "3.9", "0", "", "good"], [1, 1, 0, 0], "label_not_a_number"),
        (None, ["TRUE", "f", "Yes", "n", "0.0", "1.00", "2", "NULL"], [1, 0, 1, 0, 0, 1], "label_not_0_or_1"),
    ],
)
def test_labels(tmp_path: Path, threshold: float | None, labels: list[str], kept: list[int], reason: str) -> None:
    path = write(tmp_path / "a.csv", "user,item,time,y", *(f"1,{n},{NOON},{y}" for n, y in enumerate(labels)))
    found = extract(Table(label_column="y", label_threshold=threshold), path)
    assert [e["label"] for e in found.events] == kept
    assert [e["is_behavior"] for e in found.events] == [label == 1 for label in kept]
    assert found.rejected == {reason: len(labels) - len(kept)}


def test_a_threshold_needs_a_label() -> None:
    with pytest.raises(UserError, match="--label-threshold needs a label"):
        Table(label_threshold=4)


def test_exact_repeats_are_counted_and_left_out(tmp_path: Path) -> None:
    once = made(tmp_path, log(tmp_path), "once")
    twice = made(tmp_path, log(tmp_path, repeats=120), "twice")
    assert twice.rejected == {"duplicate": 120}
    assert (twice.samples, twice.events_kept) == (once.samples, once.events_kept)
    one, two = (tmp_path / "data" / name for name in ("once", "twice"))
    for name in ("test.parquet", "valid.parquet", "train.parquet", "histories/item.npy", "histories/offsets.npy"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    (example, *_) = pq.read_table(two / "rejected.parquet").to_pylist()
    assert example == {"file": "log.csv", "line": 122, "reason": "duplicate", "text": f"u0,{NOON},0,0"}
    kept = made(tmp_path, log(tmp_path, repeats=120), "kept", keep_repeats=True)
    assert (kept.rejected, kept.events_kept) == ({}, 240)


@pytest.mark.parametrize(
    ("column", "other"),
    [("time", f"{NOON}001"), ("user", "b"), ("item", "j"), ("y", "0"), ("cat", "d"), ("price", "1.5")],
)
def test_rows_that_differ_in_one_used_column_are_no_repeats(tmp_path: Path, column: str, other: str) -> None:
    """Prices are of one quantile, and the times of one second."""
    row = {"user": "a", "item": "i", "time": f"{NOON}000", "y": "1", "cat": "c", "price": "1", "unused": "x"}
    rows = [row, {**row, column: other}, {**row, "unused": "y"}]
    fill = [
        {**row, "user": f"v{n % 2}", "time": f"{NOON + n * DAY // 2}000", "y": str(n % 2 ^ (n // 2 % 2))}
        for n in range(1, 12)
    ]
    lines = [",".join(r.values()) for r in (*rows, *fill)]
    path = write(tmp_path / "a.csv", ",".join(row), *lines)
    source = Table("user", "item", "cat", "time", "ms", label_column="y", context_field=["price"], numeric=["price"])
    manifest = prepare(source, [path], "d", Workspace(tmp_path), PrepareOptions())
    assert manifest.rejected == {"duplicate": 1}


def test_both_labels_at_once_are_kept_and_told_of(tmp_path: Path) -> None:
    path = log(tmp_path)
    lines = path.read_text().splitlines()
    turned = [f"{line[:-1]}{1 - int(line[-1])}" for line in lines[1:4]]
    manifest = made(tmp_path, write(tmp_path / "log.csv", *lines, *turned))
    assert manifest.label_conflicts == 3
    assert manifest.events_kept == 123
    assert any(w.startswith("3 times a user has one item in one second both clicked") for w in manifest.warnings)
    assert made(tmp_path, log(tmp_path)).label_conflicts == 0


ODD_NAMES = [
    "rowid",
    "type",
    "keys",
    "items",
    "range",
    "user_id",
    "_split",
    "_day",
    "f_item",
    "id",
    "value",
    "first",
    "__line",
]


@pytest.mark.parametrize("labels", one_by_default(True, False))
def test_a_field_may_have_any_name(tmp_path: Path, labels: bool) -> None:
    """Whatever a field is called, the same rows come of it: under odd names, and under plain ones."""
    header = "user,item,time,label," + ",".join(f"c{n}" for n in range(len(ODD_NAMES)))
    rows = [
        f"u{n % 3},{(n * 7 + day) % 211},{NOON + day * DAY + n},{(n + n // 9) % 2},"
        + ",".join(str(n * k % 5) for k in range(len(ODD_NAMES)))
        for day in range(4)
        for n in range(40)
    ]
    path = write(tmp_path / "a.csv", header, *rows)
    tables = []
    for names in (ODD_NAMES, [f"plain{n}" for n in range(len(ODD_NAMES))]):
        declared = [f"{name}=c{n}" for n, name in enumerate(names)]
        source = Table(
            item_field=declared[:9],
            user_field=declared[9:11],
            context_field=declared[11:],
            label_column="label" if labels else None,
            negatives="uniform",
        )
        prepare(source, [path], "d", Workspace(tmp_path), PrepareOptions(min_history=1), Surroundings(replace=True))
        folder = tmp_path / "data" / "d"
        tables.append([pq.read_table(folder / f"{split}.parquet") for split in ("train", "valid", "test")])
        assert sorted(p.stem for p in (folder / "histories").iterdir()) == sorted(
            ["offsets", "time", "item", *names[:9]]
        )
    for odd, plain in zip(*tables, strict=True):
        assert [c.to_pylist() for c in odd.columns] == [c.to_pylist() for c in plain.columns]


@pytest.mark.parametrize("name", ["user", "TIME", "label", "offsets", "request_id", "a-b", "1a", ""])
def test_names_of_the_datasets_own_columns_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="is not a usable name"):
        Table(item_field=[f"{name}=x"])


def test_fields_of_any_name_have_tables_of_their_own() -> None:
    names = ["item", "type", "keys", "items", "forward", "training", "field:item"]
    fields = [EncodedField(name, "item" if n < 4 else "user", size=4) for n, name in enumerate(names)]
    features = Features(fields, 2, 0.1)
    ids = torch.tensor([[2]])
    candidates = CandidateIds(
        dict.fromkeys(names[:4], ids),
        dict.fromkeys(names[4:], ids),
        torch.ones(1, 1, dtype=torch.bool),
        torch.zeros(1),
        {},
    )
    assert features.candidates(candidates).vectors.shape == (1, 1, 8)
    assert features.profile(candidates).shape == (1, 1, 6)
    assert len(set(features.state_dict())) == len(names)
