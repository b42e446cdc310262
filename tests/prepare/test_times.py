"""Times: order inside a second, formats and zones, days that cannot be right, where a log ends and splits begin."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrea_cli.dataset.manifest import DatasetManifest
from lrea_cli.errors import UserError
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.prepare import Surroundings, prepare
from lrea_cli.prepare.reading.times import looks_like_a_date, parse_offset
from lrea_cli.prepare.sources.table import Table
from lrea_cli.workspace.home import Workspace
from tests.prepare.test_table import NOON, extract, write

pytestmark = pytest.mark.every_third
DAY = 86_400
HEADER = "user,item,time"


def order_of(events: list[Any]) -> list[str]:
    return [e["item"] for e in sorted(events, key=lambda e: (e["time"], e["source_row"]))]


@pytest.mark.parametrize(
    ("options", "late", "early"),
    [
        ({"time_unit": "ms"}, f"{NOON}900", f"{NOON}100"),
        ({"time_unit": "us"}, f"{NOON}000002", f"{NOON}000001"),
        ({"time_unit": "ns"}, f"{NOON}000000002", f"{NOON}000000001"),
        ({}, f"{NOON}.9", f"{NOON}.1"),
        ({}, "2023-11-15 00:00:00.000000009", "2023-11-15T00:00:00.000000001Z"),
        ({}, "2023-11-15 00:00:00.9999999", "2023-11-15 00:00:00.5"),
        ({"time_unit": "ms"}, "-100", "-900"),
        ({"time_format": "%d/%m/%Y %H:%M:%S.%f"}, "15/11/2023 00:00:00.000009", "15/11/2023 00:00:00.000001"),
        ({"time_format": "%Y%m%d%H%M%S.%n"}, "20231115000000.000000009", "20231115000000.000000001"),
    ],
)
def test_events_of_one_second_are_in_the_order_of_their_full_time(
    tmp_path: Path, options: dict[str, Any], late: str, early: str
) -> None:
    found = extract(Table(**options), write(tmp_path / "a.csv", HEADER, f"1,late,{late}", f"1,early,{early}"))
    assert {e["time"] for e in found.events} == {-1 if late == "-100" else NOON}
    assert order_of(found.events) == ["early", "late"]


@pytest.mark.parametrize(
    "kind", [pa.int64(), pa.timestamp("ns"), pa.timestamp("ns", "UTC"), pa.timestamp("ns", "Asia/Shanghai")], ids=str
)
def test_nanoseconds_of_parquet_order_events(tmp_path: Path, kind: pa.DataType) -> None:
    times = pa.array([NOON * 10**9 + 2, NOON * 10**9 + 1], pa.int64()).cast(kind)
    pq.write_table(pa.table({"user": [1, 1], "item": ["late", "early"], "time": times}), tmp_path / "a.parquet")
    found = extract(Table(time_unit="ns"), tmp_path / "a.parquet")
    assert {e["time"] for e in found.events} == {NOON}
    assert order_of(found.events) == ["early", "late"]


def test_the_history_is_in_the_order_of_the_full_time_and_ends_before_the_second(tmp_path: Path) -> None:
    rows = [
        f"1,{item},{1000 * (NOON + day * DAY) + ms},{label}"
        for day in range(3)
        for item, ms, label in (("late", 900, 1), ("early", 100, 1), ("b", 1500, 0))
    ]
    path = write(tmp_path / "a.csv", f"{HEADER},label", *rows)
    prepare(Table(time_unit="ms", label_column="label"), [path], "d", Workspace(tmp_path), PrepareOptions())
    folder = tmp_path / "data" / "d"
    assert pq.read_table(folder / "events")["item"].to_pylist() == ["early", "late"] * 3
    assert [np.load(folder / "histories" / "item.npy").tolist()[n] for n in (0, 1)] == [3, 4]
    test = pq.read_table(folder / "test.parquet")
    assert test["history_length"].to_pylist() == [4, 4, 6]  # what is 800 ms older is of the same second


@pytest.mark.parametrize(
    ("options", "text", "seconds"),
    [
        ({"time_format": "%Y%m%d%H"}, "2016010100", 1_451_606_400),
        ({"time_format": "%Y%m%d%H", "utc_offset": "8"}, "2016010108", 1_451_606_400),
        ({"time_format": "%d/%m/%Y %H:%M:%S %z", "utc_offset": "8"}, "01/01/2016 05:30:00 +0530", 1_451_606_400),
        ({"utc_offset": "8"}, "2023-11-15 08:00:00", NOON),
        ({"utc_offset": "8"}, "2023-11-15 08:00:00.5", NOON),
        ({"utc_offset": "8"}, "2023-11-15T00:00:00Z", NOON),
        ({"utc_offset": "8"}, "2023-11-15T01:00+01", NOON),
        ({"utc_offset": "8"}, "2023-11-14T21:00:00.25-03:00", NOON),
        ({"utc_offset": "8"}, "2023-11-15 01:00:00 Europe/Berlin", NOON),
        ({"utc_offset": "8"}, str(NOON), NOON),
        ({"utc_offset": "+05:30"}, "2023-11-15 05:30:00", NOON),
        ({"utc_offset": "-3.5"}, "2023-11-14 20:30", NOON),
        ({"utc_offset": "5.75"}, "2023-11-15", NOON - 20_700),
    ],
)
def test_local_times_and_formats(tmp_path: Path, options: dict[str, Any], text: str, seconds: int) -> None:
    found = extract(Table(**options), write(tmp_path / "a.csv", HEADER, f"1,2,{text}"))
    assert [e["time"] for e in found.events] == [seconds]


@pytest.mark.parametrize(
    "column", [pa.array([2016010108]), pa.array([2016010108.0]), pa.array(["2016010108"])], ids=str
)
def test_a_format_reads_numbers_of_parquet(tmp_path: Path, column: pa.Array) -> None:
    pq.write_table(pa.table({"user": [1], "item": [2], "time": column}), tmp_path / "a.parquet")
    found = extract(Table(time_format="%Y%m%d%H", utc_offset="8"), tmp_path / "a.parquet")
    assert [e["time"] for e in found.events] == [1_451_606_400]


def test_a_timestamp_of_parquet_without_a_zone_is_local_and_one_with_a_zone_is_not(tmp_path: Path) -> None:
    for kind, seconds in (
        (pa.timestamp("us"), NOON - 8 * 3600),
        (pa.timestamp("us", "UTC"), NOON),
        (pa.date32(), NOON - 8 * 3600),
    ):
        time = pa.array([datetime.fromtimestamp(NOON, UTC).replace(tzinfo=None)], pa.timestamp("us")).cast(kind)
        pq.write_table(pa.table({"user": [1], "item": [2], "time": time}), tmp_path / "a.parquet")
        assert [e["time"] for e in extract(Table(utc_offset="8"), tmp_path / "a.parquet").events] == [seconds]


@pytest.mark.parametrize(
    "column", [pa.array([1], pa.time64("us")), pa.array([True]), pa.array([[1]])], ids=lambda a: str(a.type)
)
def test_a_column_that_holds_no_time_is_refused(tmp_path: Path, column: pa.Array) -> None:
    pq.write_table(pa.table({"user": [1], "item": [2], "time": column}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"olumn 'time' is of type .*(holds no times|no single value)|unparseable_time"):
        extract(Table(), tmp_path / "a.parquet")


def test_a_format_that_is_none_is_refused_before_a_file_is_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--time-format '%Q' is no format of times") as caught:
        extract(Table(time_format="%Q"), tmp_path / "missing.csv")
    assert "%Y%m%d%H" in caught.value.remedy


def test_rows_that_a_format_does_not_read_are_rejected(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER, "1,2,20160101", "1,2,yesterday", "1,2,NULL")
    assert extract(Table(time_format="%Y%m%d"), path).rejected == {"unparseable_time": 2}


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("0", 0),
        ("8", 480),
        ("-5", -300),
        ("5.5", 330),
        ("+05:30", 330),
        ("-03:30", -210),
        ("5.75", 345),
        ("UTC+8", 480),
        ("-0:30", -30),
    ],
)
def test_offsets(text: str, minutes: int) -> None:
    assert parse_offset(text) == minutes


@pytest.mark.parametrize("text", ["480", "15", "-14.5", "5.123", "east", "", "8:60", "1e1"])
def test_impossible_offsets(text: str) -> None:
    with pytest.raises(UserError, match="--utc-offset is"):
        parse_offset(text)


def test_dates_that_are_read_as_seconds_are_told_of(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER, "1,2,2016010100", "1,2,2016013123")
    (warning,) = extract(Table(), path).extract.warnings
    assert "--time-format '%Y%m%d%H'" in warning
    as_dates = extract(Table(time_format="%Y%m%d%H"), path).extract.warnings
    assert not any("look like dates" in warning for warning in as_dates)
    assert looks_like_a_date(20160101, 20161231) == "%Y%m%d"
    assert looks_like_a_date(NOON, NOON + DAY) is None
    assert looks_like_a_date(2016010124, 2016010124) is None  # no hour


def log(folder: Path, days: list[int], rows: int = 40, last: int | None = None) -> Path:
    """So many rows a day of three users; the last day may have another number."""
    lines = [
        f"u{n % 3},{(n * 7 + day) % 211},{NOON + day * DAY + n},{n % 2}"
        for day in days
        for n in range(rows if last is None or day != days[-1] else last)
    ]
    return write(folder / "log.csv", f"{HEADER},label", *lines)


def made(folder: Path, path: Path, options: dict[str, Any] | None = None, **source: Any) -> DatasetManifest:
    labels = {"label_column": "label"} if "negatives" not in source else {}
    return prepare(
        Table(**labels, **source),
        [path],
        "d",
        Workspace(folder),
        PrepareOptions(**(options or {})),
        Surroundings(replace=True),
    )


FAR = (datetime(2199, 1, 1, tzinfo=UTC) - datetime.fromtimestamp(NOON, UTC)).days


def test_one_row_of_2199_is_told_of_and_until_leaves_it_out(tmp_path: Path) -> None:
    path = log(tmp_path, [0, 1, 2, FAR], last=1)
    with pytest.raises(
        UserError,
        match=r"no labelled row. 1 row is dated 2199-01-01, 63,\d+ days after .* \(2023-11-17\).*--until 2023-11-17",
    ):
        made(tmp_path, path)
    manifest = made(tmp_path, path, until="2023-11-17")
    assert manifest.rejected == {"after_until": 1}
    assert manifest.split_facts["test"]["last_day"] == "2023-11-17"
    assert manifest.warnings == ()


@pytest.mark.parametrize(("last", "told"), [(6, False), (7, True)])
def test_a_gap_is_told_of_when_it_is_longer_than_all_the_rest(tmp_path: Path, last: int, told: bool) -> None:
    """Three days, and then three or four without an event."""
    with pytest.raises(UserError, match="no labelled row") as caught:
        made(tmp_path, log(tmp_path, [0, 1, 2, last]))
    assert ("40 rows are dated 20" in caught.value.message) == told


def test_until_is_a_local_day_and_counts(tmp_path: Path) -> None:
    last = NOON + DAY + 4 * 3600  # 2023-11-16 04:00 in UTC
    path = write(tmp_path / "a.csv", HEADER, f"1,2,{last - 1}", f"1,2,{last}")
    found = extract(Table(until="2023-11-15", utc_offset="-4"), path)
    assert [e["time"] for e in found.events] == [last - 1]
    assert found.rejected == {"after_until": 1}
    with pytest.raises(UserError, match="--until is 'soon'"):
        Table(until="soon")


def test_what_until_leaves_out_is_no_wrong_form(tmp_path: Path) -> None:
    path = log(tmp_path, [0, 1, 2, 3, 4], rows=400)
    assert made(tmp_path, path, until="2023-11-17").rejected == {"after_until": 800}


def test_a_last_day_with_next_to_no_rows_is_told_of(tmp_path: Path) -> None:
    (warning,) = made(tmp_path, log(tmp_path, [0, 1, 2, 3], last=3)).warnings
    assert "3 events from 2023-11-18 on, 7.5% of a usual day's" in warning
    assert "--until 2023-11-17" in warning
    assert "--test-days" in warning
    assert made(tmp_path, log(tmp_path, [0, 1, 2, 3], last=4)).warnings == ()
    assert made(tmp_path, log(tmp_path, [0, 1, 2, 3], last=3), {"test_days": 2}).warnings == ()


@pytest.mark.parametrize("source", [{}, {"negatives": "same-day"}])
def test_the_test_split_is_the_last_days(tmp_path: Path, source: dict[str, Any]) -> None:
    options = {"test_days": 3, "min_history": 1}
    facts = made(tmp_path, log(tmp_path, list(range(8))), options, **source).split_facts
    days = {split: (of["first_day"], of["last_day"]) for split, of in facts.items()}
    first = "2023-11-15" if not source else "2023-11-18"
    assert days == {
        "train": (first, "2023-11-18"),
        "valid": ("2023-11-19", "2023-11-19"),
        "test": ("2023-11-20", "2023-11-22"),
    }
    with pytest.raises(
        UserError,
        match="5 are needed: 1 or more to train, one to validate, 3 to test"
        if not source
        else "5 are needed: 1 to train",
    ) as caught:
        made(tmp_path, log(tmp_path, list(range(4))), options, **source)
    assert "--test-days" in caught.value.remedy
