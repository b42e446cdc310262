"""Logs that cannot be read as the options say: the remedy follows from what was seen in them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrea_cli.console.counts import counted
from lrea_cli.errors import UserError
from lrea_cli.prepare.estimate import estimate
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.prepare import prepare
from lrea_cli.prepare.reading.log_warnings import misread
from lrea_cli.prepare.reading.times import FORMATS, TimeUnit, formats_of_most, unit_of, unit_of_most
from lrea_cli.prepare.sources.table import Table
from lrea_cli.workspace.home import Workspace

pytestmark = pytest.mark.every_third
NOON = 1_700_006_400
DAY = 86_400
EVENTS = [(user, (user * 7 + day) % 40, NOON + day * DAY + user) for user in range(12) for day in range(20)]
Row = Callable[[int, int, int], str]


def log(folder: Path, row: Row, header: str = "user,item,time") -> Path:
    path = folder / "log.csv"
    lines = [*([header] if header else []), *(row(user, item, time) for user, item, time in EVENTS)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def refused(path: Path, max_rejected: str = "1%", **options: Any) -> UserError:
    """What preparing says."""
    settings = PrepareOptions(min_history=2, threads=1, max_rejected=max_rejected)
    with pytest.raises(UserError) as caught:
        prepare(Table(**options), [path], "d", Workspace(path.parent), settings)
    return caught.value


def dated(pattern: str) -> Row:
    return lambda user, item, time: f"{user},{item},{datetime.fromtimestamp(time, UTC).strftime(pattern)}"


@pytest.mark.parametrize(
    ("row", "options", "remedy"),
    [
        (
            lambda u, i, t: f"{u},{i},{t}123",
            {},
            "Times such as 1700006400123 look like milliseconds: --time-unit ms.",
        ),
        (
            lambda u, i, t: f"{u},{i},{t}123456.0",
            {},
            "Times such as 1700006400123456.0 look like microseconds: --time-unit us.",
        ),
        (
            lambda u, i, t: f"{u},{i},{t}123456789",
            {"time_unit": "ms"},
            "Times such as 1700006400123456789 look like nanoseconds: --time-unit ns.",
        ),
        (
            lambda u, i, t: f"{u},{i},{t}",
            {"time_format": "%d.%m.%Y"},
            "Times such as 1700006400 look like seconds: leave --time-format out, and add --time-unit s.",
        ),
        (dated("%d.%m.%Y %H:%M"), {}, "are read by --time-format '%d.%m.%Y %H:%M'."),
        (dated("%d.%m.%Y %H:%M"), {"time_format": "%d.%m.%Y"}, "are read by --time-format '%d.%m.%Y %H:%M'."),
        (dated("%m/%d/%Y"), {}, "are read by --time-format '%m/%d/%Y'."),
        (dated("%Y%m%d%H%M%S"), {}, "are read by --time-format '%Y%m%d%H%M%S'."),
        (dated("%Y-%m-%d %I:%M %p"), {}, "are read by --time-format '%Y-%m-%d %I:%M %p'."),
        (
            lambda u, i, t: f"{u},{i},0{1 + i % 9}/05/2024",
            {},
            "are read by --time-format '%d/%m/%Y' or '%m/%d/%Y': day and month could be either one.",
        ),
        (
            lambda u, i, t: f"{u},{i},week {u}",
            {},
            "Times such as 'week 0', 'week 1', 'week 2' are read by no format that is known here: describe them with "
            "--time-format, such as '%d.%m.%Y %H:%M', or name another --time-column.",
        ),
        (lambda u, i, t: f"{u},{i},", {}, "240 of 240 rows have no time: column 'time' is empty there."),
    ],
)
def test_times_that_are_not_read(tmp_path: Path, row: Row, options: dict[str, Any], remedy: str) -> None:
    assert remedy in refused(log(tmp_path, row), **options).remedy


def test_the_proposed_options_read_the_log(tmp_path: Path) -> None:
    """Some rows may be of another kind, such as a word where there was no time."""
    for n, (row, option) in enumerate(
        (
            (lambda u, i, t: f"{u},{i},{t}123" if u else f"{u},{i},soon", {"time_unit": "ms"}),
            (dated("%d.%m.%Y %H:%M"), {"time_format": "%d.%m.%Y %H:%M"}),
        )
    ):
        path = log(tmp_path, row)
        (name, value), *_ = option.items()
        assert f"--{name.replace('_', '-')} '{value}'".replace("'ms'", "ms") in refused(path).remedy
        options = PrepareOptions(min_history=2, threads=1, max_rejected="10%")
        prepare(Table(**option), [path], f"d{n}", Workspace(tmp_path), options)


@pytest.mark.parametrize(
    ("label", "options", "remedy"),
    [
        (
            lambda n: 1 + n % 5,
            {},
            "Labels such as '2', '3', '4' are not among those that are known: 1, true, t, yes, y (clicked) and 0, "
            "false, f, no, n (not). Of numbers, --label-threshold 4 takes those from 4 on as clicks.",
        ),
        (lambda n: n % 2 or -1, {}, "--label-threshold 1 takes those from 1 on as clicks."),
        (lambda n: "click" if n % 2 else "skip", {}, "Write them so, or as numbers with --label-threshold."),
        (
            lambda n: "yes" if n % 2 else "no",
            {"label_threshold": 3.0},
            "Labels such as 'no', 'yes' are no numbers. Leave --label-threshold out: without a threshold 1, true, t",
        ),
        (lambda n: "", {}, "240 of 240 rows have no label: column 'y' is empty there. Name another column with"),
    ],
)
def test_labels_that_are_not_read(
    tmp_path: Path, label: Callable[[int], object], options: dict[str, Any], remedy: str
) -> None:
    path = log(tmp_path, lambda u, i, t: f"{u},{i},{t},{label(u + t // DAY)}", "user,item,time,y")
    assert remedy in refused(path, label_column="y", **options).remedy


@pytest.mark.parametrize(
    ("row", "options", "message", "remedy"),
    [
        (
            lambda u, i, t: f"{'' if u % 2 else u},{i},{t}",
            {},
            "120 of the first 240 rows cannot be used: more than --max-rejected 1.00%. log.csv, line 22: missing_user",
            "120 of 240 rows have no user: column 'user' is empty there. To leave such rows out: --max-rejected 50%.",
        ),
        (
            lambda u, i, t: f"{u},{'na' if u < 6 else i},{t}",
            {},
            "120 of the first 240 rows cannot be used: more than --max-rejected 1.00%. log.csv, line 2: missing_item",
            "120 of 240 rows have no item: column 'item' is empty there, or holds 'na'; --missing lists what means "
            "that a value is missing. To leave such rows out: --max-rejected 50%.",
        ),
        (
            lambda u, i, t: f",{i},{t}",
            {},
            "240 of the first 240 rows",
            "240 of 240 rows have no user: column 'user' is empty there. Name another column with --user-column.",
        ),
        (
            lambda u, i, t: f"1.23457E+12,{i},{t}",
            {},
            "240 of the first 240 rows",
            "Ids such as '1.23457E+12' were rounded before they came here: export their column as text.",
        ),
        (
            lambda u, i, t: f"{u},{i},{t}",
            {"until": "2020-01-01"},
            "No row of",
            "240 of 240 rows lie after the day of --until: name a later one, or leave it out.",
        ),
    ],
)
def test_rows_without_a_user_or_item(
    tmp_path: Path, row: Row, options: dict[str, Any], message: str, remedy: str
) -> None:
    error = refused(log(tmp_path, row), max_rejected="1%", **options)
    assert message in error.message
    assert error.remedy == remedy


def test_the_share_that_is_named_takes_the_log(tmp_path: Path) -> None:
    path = log(tmp_path, lambda u, i, t: f"{'' if u % 2 else u},{i},{t}")
    share = refused(path).remedy.rpartition(" ")[2].removesuffix(".")
    manifest = prepare(
        Table(), [path], "d", Workspace(tmp_path), PrepareOptions(min_history=2, threads=1, max_rejected=share)
    )
    assert manifest.rejected == {"missing_user": 120}


NAME_ALL = "The first line looks like values, not names. Where there is no header, name all"


@pytest.mark.parametrize(
    ("row", "header", "options", "remedy"),
    [
        (
            lambda u, i, t: f"{u + 900},{i},{t}",
            "",
            {},
            f"{NAME_ALL} 3 columns in their order: --columns user,item,time",
        ),
        (
            lambda u, i, t: f"{t}::u{u}::i{i}::5",
            "",
            {"user_column": "uid"},
            f"{NAME_ALL} 4 columns in their order: --columns time,uid,item,c4",
        ),
        (
            lambda u, i, t: f"5,5,{t}",  # two columns of one name
            "",
            {},
            f"{NAME_ALL} 3 columns in their order: --columns user,item,time",
        ),
        (
            dated("%d.%m.%Y"),
            "",
            {"label_column": "y"},
            f"{NAME_ALL} 3 columns in their order: --columns user,item,time",
        ),
        (
            lambda u, i, t: f"{u};{i};{t}",
            "user;item;time",
            {"delimiter": ","},
            "The first line was read as one name, and holds ';': --delimiter ';'.",
        ),
        (
            lambda u, i, t: f"{u}\t{i}\t{t}",
            "user\titem\ttime",
            {"delimiter": ","},
            "The first line was read as one name, and holds tab: --delimiter tab.",
        ),
        (
            lambda u, i, t: f"{u} {i} {t}",
            "",
            {},
            "The first line was read as one name, and holds space: --delimiter space. "
            f"{NAME_ALL} 3 columns in their order: --columns user,item,time",
        ),
        (
            lambda u, i, t: f"{u},{i},{t}",
            "Export of March\nuser,item,time",
            {},
            "The file was read as one column. Delete what stands above the header, or name what stands between values "
            "with --delimiter.",
        ),
        (
            lambda u, i, t: f"{u},{i},{t}",
            "uid,iid,ts",
            {},
            "Name the column with --user-column.",
        ),
    ],
)
def test_first_lines_that_are_no_header_or_are_cut_elsewhere(
    tmp_path: Path, row: Row, header: str, options: dict[str, Any], remedy: str
) -> None:
    assert refused(log(tmp_path, row, header), **options).remedy == remedy


@pytest.mark.parametrize(
    ("row", "header", "options", "remedy"),
    [
        (
            lambda u, i, t: f"{u}|{i}|{t}",
            "",
            {"columns": "user,item,time", "delimiter": ","},
            "Cut at '|', these lines have 3 values: --delimiter '|'.",
        ),
        (
            lambda u, i, t: f"{u},{i},{t},5",
            "",
            {"columns": "user,item,time"},
            "--columns has 3 names and these lines have 4 values: name all.",
        ),
        (
            lambda u, i, t: f"{u},{i},{t},5",
            "user,item,time",
            {},
            "The first line has 3 values and these lines have 4: delete a title above the header, or name all 4 "
            "columns with --columns.",
        ),
        (
            lambda u, i, t: f"{u},{i},{t},{'a,b' if u % 3 else 'a,b,c'}",
            "user,item,time,tags",
            {},
            "A value that holds ',' must stand in double quotes.",
        ),
    ],
)
def test_lines_with_a_wrong_number_of_values(
    tmp_path: Path, row: Row, header: str, options: dict[str, Any], remedy: str
) -> None:
    assert refused(log(tmp_path, row, header), **options).remedy == remedy


@pytest.mark.parametrize(
    ("row", "options", "remedy"),
    [
        (
            lambda u, i, t: f"{u},{i},{t}",
            {"time_unit": "ms"},
            "The times were read as milliseconds since 1970, and all lie in 1970; they look like seconds: "
            "--time-unit s.",
        ),
        (
            lambda u, i, t: f"{u},{i},{t}123",
            {"time_unit": "ns"},
            "The times were read as nanoseconds since 1970, and all lie in 1970; they look like milliseconds: "
            "--time-unit ms.",
        ),
        (
            dated("%Y%m%d"),
            {"label_column": None},
            "The times 20231115 to 20231204 were read as seconds since 1970; they look like dates: "
            "--time-format '%Y%m%d'.",
        ),
        (
            lambda u, i, t: f"{u},{i},{t // DAY}",
            {},
            "All times lie in the first days of 1970: their unit looks wrong here, or was when the file was written. "
            "See --time-unit and --time-format, or name another --time-column.",
        ),
    ],
)
def test_a_log_that_lies_in_1970(tmp_path: Path, row: Row, options: dict[str, Any], remedy: str) -> None:
    error = refused(log(tmp_path, row), **options)
    assert "The log spans 1 local day (1970-" in error.message
    assert error.remedy == remedy


def test_the_dry_run_warns_of_a_log_in_1970(tmp_path: Path) -> None:
    path = log(tmp_path, lambda u, i, t: f"{u},{i},{t}")
    (warning,) = estimate(Table(time_unit="ms"), [path], PrepareOptions(threads=1)).warnings
    assert "--time-unit s" in warning
    assert estimate(Table(), [path], PrepareOptions(threads=1)).warnings == ()


def test_a_short_log_of_our_time_needs_a_longer_one(tmp_path: Path) -> None:
    assert refused(log(tmp_path, lambda u, i, t: f"{u},{i},{NOON + u}")).remedy == "Give a longer log."
    assert misread(NOON, NOON + 1, "s") == misread(0, 200 * DAY, "s") == misread(-DAY, DAY, "s") == ""


def test_times_of_parquet_have_hints(tmp_path: Path) -> None:
    columns = list(zip(*EVENTS, strict=True))
    for kind, scale in ((pa.int64(), 1000), (pa.float64(), 1000)):
        time = pa.array([t * scale for t in columns[2]], kind)
        pq.write_table(pa.table({"user": columns[0], "item": columns[1], "time": time}), tmp_path / "log.parquet")
        assert "look like milliseconds: --time-unit ms." in refused(tmp_path / "log.parquet").remedy


def test_every_format_that_is_proposed_is_read_alike_by_the_database() -> None:
    time = datetime(2024, 12, 31, 22, 5, 0, tzinfo=UTC)
    with duckdb.connect() as db:
        for pattern in FORMATS:
            text = time.strftime(pattern)
            (found,) = db.execute(
                "SELECT epoch(try_strptime($1::VARCHAR, $2::VARCHAR)::TIMESTAMPTZ)", [text, pattern]
            ).fetchall()
            wanted = datetime.strptime(text, pattern).replace(tzinfo=UTC).timestamp()
            assert found == (wanted,), (text, pattern)
            assert formats_of_most([text]) == [pattern], text


@pytest.mark.parametrize("unit", get_args(TimeUnit))
def test_a_number_is_a_time_of_one_unit(unit: TimeUnit) -> None:
    scale = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    assert unit_of(NOON * scale) == unit
    assert unit_of_most([str(NOON * scale)] * 9 + ["soon"]) == unit
    assert unit_of_most([str(NOON * scale)] * 8 + ["soon"]) is None
    assert unit_of_most([]) is None


def test_a_count_and_its_noun() -> None:
    assert [counted(n, "row") for n in (0, 1, 2, 1000)] == ["0 rows", "1 row", "2 rows", "1,000 rows"]
    assert [counted(n, "entry", "entries") for n in (1, 2)] == ["1 entry", "2 entries"]
