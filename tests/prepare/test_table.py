"""Any table: columns by option, times in every form, real or sampled labels, Parquet as text, refusals."""

from __future__ import annotations

import gzip
import re
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrea_cli.dataset.fields import Field
from lrea_cli.errors import UserError
from lrea_cli.prepare.prepare import PrepareOptions, prepare
from lrea_cli.prepare.sources import find_files
from lrea_cli.prepare.sources.table import Table
from lrea_cli.workspace.home import Workspace
from tests.prepare.found import Found, intake_of
from tests.prepare.loops.prepare import Event, make_samples
from tests.prepare.test_samples import assert_same_rows

pytestmark = pytest.mark.every_third
KUAIRAND = Path(__file__).parents[2].parent / "shared" / "data" / "kuairand"
NOON = 1_700_006_400
Rows = list[dict[str, Any]]


def extract(source: Table, *files: Path, **settings: Any) -> Found:
    with duckdb.connect(config={"threads": 2}) as db:
        intake = intake_of(db, **settings)
        found = source.extract(intake, list(files))
        events = db.sql("FROM raw_events ORDER BY source_row").to_arrow_table().to_pylist()
    assert intake.read == len(events) + intake.rejected.total()
    return Found(found, intake, events)


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_defaults_read_user_item_time(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "item,note,time,user", f"7,x,{NOON},007", f"é,,{NOON + 1},2")
    found, _, events = extract(Table(), path)
    assert found.fields == (Field("item", "item"),)
    assert found.sampling is not None
    assert [(e["source_row"], e["user"], e["time"], e["item"]) for e in events] == [
        (2, "007", NOON, "7"),
        (3, "2", NOON + 1, "é"),
    ]
    assert set(events[0]) == {"source_row", "user", "time", "item"}  # without labels each event is a behavior


def test_fields_have_roles_and_empty_values_are_null(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "u\ti\tc\tt\tbrand\tage\tday", f"1\t2\t\t{NOON}\tb\t\tmon")
    source = Table(
        "u",
        "i",
        category_column="c",
        time_column="t",
        item_field=["brand"],
        user_field=["band=age"],
        context_field=["day"],
    )
    found, _, events = extract(source, path)
    assert [(f.name, f.role) for f in found.fields] == [
        ("item", "item"),
        ("category", "item"),
        ("brand", "item"),
        ("band", "user"),
        ("day", "context"),
    ]
    assert [(e["category"], e["brand"], e["band"], e["day"]) for e in events] == [(None, "b", None, "mon")]


def test_labels_make_exposures(tmp_path: Path) -> None:
    values = ["1", "0", "true", "False", "1.0", "2", "", "yes", "No ", "maybe"]
    path = write(tmp_path / "a.csv", "user,item,time,y", *(f"1,{n},{NOON},{v}" for n, v in enumerate(values)))
    both = extract(Table(label_column="y"), path)
    found, _, events = both
    assert found.sampling is None
    assert [(e["label"], e["is_behavior"]) for e in events] == [
        (1, True),
        (0, False),
        (1, True),
        (0, False),
        (1, True),
        (1, True),
        (0, False),
    ]
    assert both.rejected == {"label_not_0_or_1": 3}
    assert [(r.file, r.line, r.text) for r in both.examples] == [
        ("a.csv", 7, f"1,5,{NOON},2"),
        ("a.csv", 8, f"1,6,{NOON},"),
        ("a.csv", 11, f"1,9,{NOON},maybe"),
    ]


@pytest.mark.parametrize(
    ("unit", "text", "seconds"),
    [
        ("s", str(NOON), NOON),
        ("s", f"{NOON}.9", NOON),
        ("s", "-1", -1),
        ("ms", f"{NOON}999", NOON),
        ("ms", "-1", -1),
        ("ms", "-1000", -1),
        ("ms", f"{NOON}999.7", NOON),
        ("us", f"{NOON}999999", NOON),
        ("s", "2023-11-15T00:00:00Z", NOON),
        ("s", "2023-11-15 08:00:00+08", NOON),
        ("s", "2023-11-15T08:00:00.999+08:00", NOON),
        ("ms", "2023-11-15 00:00:00", NOON),
        ("s", "2023-11-15", NOON),
    ],
)
def test_times_as_text(tmp_path: Path, unit: Any, text: str, seconds: int) -> None:
    path = write(tmp_path / "a.csv", "user,item,time", f"1,2,{text}")
    assert extract(Table(time_unit=unit), path).events[0]["time"] == seconds


def test_rows_that_cannot_be_used_have_file_line_and_reason(tmp_path: Path) -> None:
    rows = [
        ",1,5",
        "1,,5",
        "1,2,",
        "1,2,noon",
        "1,2,1e9",
        "1,2",
        "1,2,3,4",
        "1,2,infinity",
        "1,2,1700006400000",
        "'",
        "",
    ]
    path = write(tmp_path / "a.csv", "user,item,time", *rows, f"1,2,{NOON}")
    found = extract(Table(), path)
    assert len(found.events) == 1
    assert found.events[0]["source_row"] == 13
    assert [(r.line, r.reason) for r in found.examples] == [
        (2, "missing_user"),
        (3, "missing_item"),
        (4, "unparseable_time"),
        (5, "unparseable_time"),
        (6, "unparseable_time"),
        (7, "wrong_number_of_columns"),
        (8, "wrong_number_of_columns"),
        (9, "unparseable_time"),
        (10, "time_out_of_range"),
        (11, "wrong_number_of_columns"),
        (12, "missing_user"),
    ]


def test_a_stray_quote_swallows_nothing_silently(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "user,item,time", f'1,"2,{NOON}', *(f"1,{n},{NOON}" for n in range(50)))
    with pytest.raises(UserError, match="has 51 lines from line 2 on but only"):
        extract(Table(), path)
    assert len(extract(Table(no_quotes=True), path).events) == 51


def stamped(kind: pa.DataType, value: Any) -> pa.Array:
    return pa.array([value], kind)


@pytest.mark.parametrize(
    "time",
    [
        stamped(pa.int64(), NOON),
        stamped(pa.uint64(), NOON),
        stamped(pa.int32(), NOON),
        stamped(pa.float64(), NOON + 0.9),
        stamped(pa.string(), str(NOON)),
        stamped(pa.timestamp("s"), datetime.fromtimestamp(NOON, UTC).replace(tzinfo=None)),
        stamped(pa.timestamp("ms", "UTC"), datetime.fromtimestamp(NOON + 0.9, UTC)),
        stamped(pa.timestamp("us", "+08:00"), datetime.fromtimestamp(NOON, timezone(timedelta(hours=8)))),
        stamped(pa.timestamp("ns"), datetime.fromtimestamp(NOON, UTC).replace(tzinfo=None)),
        stamped(pa.date32(), date(2023, 11, 15)),
    ],
    ids=lambda a: str(a.type),
)
def test_times_in_parquet(tmp_path: Path, time: pa.Array) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"user": [1], "item": ["x"], "time": time}), path)
    assert extract(Table(), path).events[0]["time"] == NOON


def test_parquet_agrees_with_text(tmp_path: Path) -> None:
    columns = {
        "user": pa.array([1, None, 3, 4]),
        "item": pa.array(["a", "b", None, "d"]),
        "time": pa.array([NOON, NOON, NOON, None]),
        "y": pa.array([True, False, True, False]),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    text = write(tmp_path / "a.csv", "user,item,time,y", f"1,a,{NOON},1", f",b,{NOON},0", f"3,,{NOON},1", "4,d,,0")
    one = extract(Table(label_column="y"), tmp_path / "a.parquet")
    two = extract(Table(label_column="y"), text)
    assert (one.intake.read, one.rejected) == (two.intake.read, two.rejected)
    assert [e | {"source_row": 0} for e in one.events] == [e | {"source_row": 0} for e in two.events]
    assert [(r.file, r.line) for r in one.examples] == [("a.parquet", n) for n in (2, 3, 4)]


def test_several_files_of_several_forms_are_one_log(tmp_path: Path) -> None:
    write(tmp_path / "b.csv", "user,item,time", f"1,2,{NOON}", "x")
    (tmp_path / "c.tsv.gz").write_bytes(gzip.compress(f"time\tuser\titem\n{NOON}\t3\t4\n".encode()))
    pq.write_table(pa.table({"item": [6], "user": [5], "time": [NOON]}), tmp_path / "a.parquet")
    write(tmp_path / "notes.txt", "not data")
    for raw in (tmp_path, tmp_path / "*.*[vzt]"):
        files = [f for f in find_files(Table(), raw, tmp_path) if f.suffix != ".txt"]
        assert [f.name for f in files] == ["a.parquet", "b.csv", "c.tsv.gz"]
        found = extract(Table(), *files)
        assert [(e["user"], e["item"]) for e in found.events] == [("5", "6"), ("1", "2"), ("3", "4")]
        assert len({e["source_row"] for e in found.events}) == 3
        assert found.rejected == {"wrong_number_of_columns": 1}
        assert [f.name for f in found.intake.files] == ["a.parquet", "b.csv", "c.tsv.gz"]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separator_is_that_of_the_header_and_quotes_are_read(tmp_path: Path, separator: str) -> None:
    lines = (["user", "item", "time"], ["1", f'"a{separator}b"', str(NOON)])
    path = write(tmp_path / "a.csv", *(separator.join(line) for line in lines))
    assert extract(Table(), path).events[0]["item"] == f"a{separator}b"


def test_columns_with_odd_names(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'user,"the ""item"", id",time,line,order', f"1,2,{NOON},9,8")
    source = Table(item_column='the "item", id', item_field=["order"], context_field=["day=line"])
    assert extract(source, path).events[0]["item"] == "2"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            Table(user_column="usr"),
            r"has no column 'usr' \(did you mean 'user'\?\). It has: user, item, time.*--user-column",
        ),
        (Table(label_column="clicked"), "has no column 'clicked'.*--label-column"),
        (Table(category_column="tag"), "has no column 'tag'.*--category-column"),
        (Table(user_field=["age=years"]), "has no column 'years'.*--user-field"),
    ],
)
def test_missing_column(tmp_path: Path, source: Table, message: str) -> None:
    path = write(tmp_path / "a.csv", "user,item,time", f"1,2,{NOON}")
    with pytest.raises(UserError) as caught:
        extract(source, path)
    assert re.search(message, f"{caught.value.message} {caught.value.remedy}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"item_field": ["time"]}, "'time' is not a usable name"),
        ({"item_field": ["a b"]}, "'a b' is not a usable name"),
        ({"user_field": ["ITEM=x"]}, "there is a field 'ITEM' already"),
        ({"user_field": ["a"], "context_field": ["A=b"]}, "there is a field 'A' already"),
        ({"time_unit": "h"}, "--time-unit is 'h'"),
        ({"utc_offset": "480"}, "--utc-offset is 480"),
        ({"item_column": "user"}, "--user-column and --item-column both name the column 'user'"),
        ({"user_column": "x", "time_column": "x"}, "--user-column and --time-column both name the column 'x'"),
        ({"item_column": "x", "time_column": "x"}, "--item-column and --time-column both name the column 'x'"),
        ({"label_column": "user"}, "--user-column and --label-column both name the column 'user'"),
        ({"label_column": "item"}, "--item-column and --label-column both name the column 'item'"),
        ({"label_column": "time"}, "--time-column and --label-column both name the column 'time'"),
        (
            {"label_column": "y", "category_column": "y"},
            "--category-column and --label-column both name the column 'y'",
        ),
        ({"label_column": "y", "item_field": ["z=y"]}, "--item-field and --label-column both .* would know the label"),
        ({"label_column": "y", "context_field": ["y"]}, "--context-field and --label-column both name the column 'y'"),
        ({"user_column": " "}, "--user-column names no column"),
        ({"label_column": ""}, "--label-column names no column"),
    ],
)
def test_impossible_options_fail_before_any_work(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Table(**options)


def test_unusable_files(tmp_path: Path) -> None:
    for name, content, message in (
        ("a.csv", "user,item,time\n", "No row of"),
        ("b.csv", "\n\n", "has no header line"),
        ("c.csv", "user,user,time\n1,2,3\n", "more than one column named 'user'"),
        ("d.parquet", "user,item\n", "cannot be read as Parquet"),
        ("e.csv", "user,item,time\n1,2,1700006400000\n", "No row of .*time_out_of_range"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            extract(Table(), write(tmp_path / name, content.rstrip("\n")))
        assert caught.value.remedy
    assert "--time-unit" in caught.value.remedy


def test_fields_of_all_roles_reach_the_samples(tmp_path: Path) -> None:
    """Names that could clash with ours; a negative has its own item fields and its request's others."""
    rows = [
        f"{user},{(user * 7 + day + n) % 40},{day * 86_400 + n},s{(user * 7 + day + n) % 40},{user % 2},{n % 3}"
        for user in range(12)
        for day in range(4)
        for n in range(6)
    ]
    path = write(tmp_path / "a.csv", "user,item,time,size,number,day", *rows)
    source = Table(item_field=["size"], user_field=["number"], context_field=["day"])
    manifest = prepare(source, [path], "d", Workspace(tmp_path), PrepareOptions(min_history=3, threads=2))
    assert [(f.name, f.role, f.size) for f in manifest.fields] == [
        ("item", "item", 42),
        ("size", "item", 42),
        ("number", "user", 4),
        ("day", "context", 5),
    ]
    folder = tmp_path / "data" / "d"
    values = {name: dict_of(folder / "vocab" / f"{name}.parquet") for name in ("item", "size", "number", "day", "user")}
    for row in pq.read_table(folder / "test.parquet").to_pylist():
        assert values["size"][row["size"]] == f"s{values['item'][row['item']]}"
        assert int(values["number"][row["number"]]) == int(values["user"][row["user"]]) % 2
        assert values["day"][row["day"]] == "2"  # that of the positive: the sixth row of the day


def dict_of(path: Path) -> dict[int, str]:
    """A vocabulary file as id -> raw value."""
    table = pq.read_table(path)
    return dict(zip(table[0].to_pylist(), table[1].to_pylist(), strict=True))


@pytest.mark.slow
def test_kuairand_excerpt_agrees_with_the_loops(tmp_path: Path) -> None:
    path = KUAIRAND / "kuairand_kcore15.tsv.gz"
    if not path.is_file():
        pytest.skip(f"the KuaiRand excerpt is not in {KUAIRAND}: put shared/ beside the repository")
    source = Table(
        "user_id", "video_id", time_column="time_ms", time_unit="ms", label_column="is_click", utc_offset="8"
    )
    manifest = prepare(source, [path], "k", Workspace(tmp_path), PrepareOptions(threads=2))
    assert manifest.events_read == 41_828
    assert manifest.events_kept == 41_828 - manifest.rejected["duplicate"] == 41_704
    assert (manifest.users, manifest.categories) == (664, None)
    lines = [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().splitlines()[1:]]
    unique = dict.fromkeys((c[0], c[1], c[4], c[5]) for c in lines)  # a repeat in all that is read is left out
    events = [Event(user, int(ms) // 1000, item, None, int(label), int(ms) % 1000) for user, item, ms, label in unique]
    assert_same_rows(tmp_path / "data" / "k", manifest, events, make_samples(events, 8)[0])
    test = pq.read_table(tmp_path / "data" / "k" / "test.parquet")["history_length"].to_numpy()
    assert 0.36 < (test > 64).mean() < 0.38


def test_names_of_columns_are_no_code(tmp_path: Path) -> None:
    """Neither our own names, nor those of DuckDB, nor twins in upper and lower case, nor quotes."""
    names = ["__line", "rowid", "User", "user", "time", "item", 'c1"; --', "c0", "incoming", ""]
    values = ["a", "b", "wrong", "1", str(NOON), "2", "x", "y", "z", "5"]
    source = Table(context_field=["a=__line", "b=rowid", 'c=c1"; --', "d=c0", "e=incoming"])
    quoted = ('"' + name.replace('"', '""') + '"' for name in names)
    text = write(tmp_path / "a.csv", ",".join(quoted), ",".join(values))
    pq.write_table(pa.table(dict(zip(names, ([v] for v in values), strict=True))), tmp_path / "a.parquet")
    for path in (text, tmp_path / "a.parquet"):
        (event,) = extract(source, path).events
        assert [event[n] for n in ("user", "time", "item", "a", "b", "c", "d", "e")] == [
            "1", NOON, "2", "a", "b", "x", "y", "z",
        ]  # fmt: skip
