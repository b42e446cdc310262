"""What a preparation says of a log that can be read and may be meant otherwise, counted by hand."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrea_cli.errors import UserError
from lrea_cli.prepare.estimate import estimate
from lrea_cli.prepare.facts import MANY_USERS
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.prepare import Surroundings, prepare
from lrea_cli.prepare.sources.table import Table
from lrea_cli.workspace.home import Workspace
from tests.prepare.test_table import extract, write
from tests.selection import one_by_default

pytestmark = pytest.mark.every_third
START = 1_700_006_400  # 2023-11-15 00:00 in UTC
DAY = 86_400
Row = tuple[str, str, int, int]


def log(users: int = 12, days: int = 4, a_day: int = 4) -> list[Row]:
    """User, item, time, label: of each user so many rows a day, of different seconds and both labels."""
    return [
        (f"u{user}", f"i{(7 * user + 3 * day + n) % 40}", START + day * DAY + 60 * user + n + 1, (user + n) % 2)
        for day in range(days)
        for user in range(users)
        for n in range(a_day)
    ]


def warnings_of(folder: Path, rows: list[Row], **source: Any) -> list[str]:
    """Those of a whole preparation, with the labels."""
    path = write(folder / "log.csv", "user,item,time,label", *(",".join(map(str, row)) for row in rows))
    manifest = prepare(
        Table(label_column="label", **source),
        [path],
        "d",
        Workspace(folder),
        PrepareOptions(),
        Surroundings(replace=True),
    )
    assert manifest.events_read == len(rows)
    return list(manifest.warnings)


def of_one_user(user: str, rows: int) -> list[Row]:
    """A row a second, on four days in turn."""
    return [(user, f"i{n % 40}", START + n % 4 * DAY + 5_000 + n, n // 4 % 2) for n in range(rows)]


def test_a_log_as_it_should_be_has_no_warning(tmp_path: Path) -> None:
    assert warnings_of(tmp_path, log()) == []


# A column that may be the label


def labelled(folder: Path, form: str, **columns: list[Any]) -> Path:
    """Four rows of a user with these further columns."""
    content = {"user": [1] * 4, "item": [1, 2, 3, 4], "time": [START + n for n in range(4)], **columns}
    path = folder / f"log.{form}"
    rows = [dict(zip(content, row, strict=True)) for row in zip(*content.values(), strict=True)]
    if form == "parquet":
        pq.write_table(pa.table(content), path)
    elif form == "jsonl":
        write(path, *map(json.dumps, rows))
    else:
        text = "\n".join([",".join(content), *(",".join(map(str, row.values())) for row in rows)]) + "\n"
        path.write_bytes(gzip.compress(text.encode()) if form.endswith("gz") else text.encode())
    return path


@pytest.mark.parametrize("form", one_by_default("csv", "csv.gz", "jsonl", "parquet"))
def test_an_unused_column_of_0_and_1_may_be_the_label(tmp_path: Path, form: str) -> None:
    path = labelled(tmp_path, form, click=[0, 1, 1, 0], price=[0, 1, 2, 0], always=[1, 1, 1, 1])
    (warning,) = extract(Table(), path).extract.warnings
    assert "every row counts as a click" in warning
    assert "at the start of the log: 'click'." in warning
    assert warning.endswith("add --label-column click.")
    assert extract(Table(label_column="click"), path).extract.warnings == ()
    assert extract(Table(context_field=["click"]), path).extract.warnings == ()  # it is used
    assert estimate(Table(), [path], PrepareOptions()).warnings == (warning,)


def test_a_label_may_be_a_word_and_have_missing_values(tmp_path: Path) -> None:
    path = labelled(
        tmp_path, "csv", a=["yes", "no", "", "No"], b=["true", "FALSE", "NA", "t"], c=["yes", "no", "?", ""]
    )
    (warning,) = extract(Table(), path).extract.warnings
    assert "at the start of the log: 'a', 'b'." in warning
    assert warning.endswith("add --label-column NAME.")


def test_a_label_may_have_its_values_in_different_files(tmp_path: Path) -> None:
    one = write(tmp_path / "a.csv", "user,item,time,click", f"1,2,{START},0")
    two = write(tmp_path / "b.csv", "user,item,time,other,click", f"1,2,{START + 1},7,1")
    (warning,) = extract(Table(), one, two).extract.warnings
    assert warning.endswith("add --label-column click.")
    assert extract(Table(), one).extract.warnings == ()


def test_columns_that_hold_no_single_values_or_have_no_name_are_no_label(tmp_path: Path) -> None:
    nested = labelled(tmp_path, "jsonl", many=[[0], [1], [0], [1]])
    assert extract(Table(), nested).extract.warnings == ()
    assert extract(Table(), labelled(tmp_path, "parquet", many=[[0], [1], [0], [1]])).extract.warnings == ()
    unnamed = write(tmp_path / "a.csv", ",user,item,time", f"0,1,2,{START}", f"1,1,2,{START + 1}")
    found = extract(Table(), unnamed).extract
    assert (found.warnings, found.unused_columns) == ((), ("column 1 (no name)",))


# One user who has most rows


@pytest.mark.parametrize(("others", "rows", "told"), [(8, 129, False), (9, 144, False), (9, 145, True)])
def test_a_user_with_more_than_half_of_the_rows_is_told_of(tmp_path: Path, others: int, rows: int, told: bool) -> None:
    """Each of the others has 16 rows; user -1 has 129 beside 128, in a log of 9 users, or 144 or 145 beside 144."""
    assert MANY_USERS == 10
    found = warnings_of(tmp_path, [*log(others), *of_one_user("-1", rows)])
    assert [f"The user '-1' has {rows} of {16 * others + rows} rows (50%)" in warning for warning in found] == [
        True
    ] * told


def test_the_remedy_for_a_user_of_most_rows_works(tmp_path: Path) -> None:
    (warning,) = warnings_of(tmp_path, [*log(10), *of_one_user("0", 240)])
    assert "The user '0' has 240 of 400 rows (60%), the other 10 users" in warning
    assert "--max-rejected 100%" in warning
    path = tmp_path / "log.csv"
    options = PrepareOptions(max_rejected="100%")
    manifest = prepare(
        Table(label_column="label", missing="0"), [path], "d", Workspace(tmp_path), options, Surroundings(replace=True)
    )
    assert (manifest.rejected, manifest.users, manifest.warnings) == ({"missing_user": 240}, 10, ())


def test_a_log_of_one_user_is_told_of_even_where_it_makes_no_samples(tmp_path: Path) -> None:
    (warning,) = warnings_of(tmp_path, log(1))
    assert warning.startswith("All 16 rows are of one user, 'u0'")
    with pytest.raises(UserError, match=r"has no sample: .* All 16 rows are of one user, 'u0'"):
        prepare(Table(), [tmp_path / "log.csv"], "e", Workspace(tmp_path), PrepareOptions(min_history=1))


# Days far before all others


def test_rows_of_1970_are_told_of_and_since_leaves_them_out(tmp_path: Path) -> None:
    lost = [("u1", "i1", 0, 1), ("u2", "i1", 0, 0), ("u2", "i3", DAY, 0)]
    rows = log() + lost
    (warning,) = warnings_of(tmp_path, rows)
    gap = START // DAY - 1
    assert warning == (
        f"3 rows are dated 1970-01-01 to 1970-01-02, {gap:,} days before the nearest other day (2023-11-15), while "
        "most of the log spans 4 days: is the time wrong? With `table`, --since 2023-11-15 leaves such rows out."
    )
    assert warnings_of(tmp_path, rows, since="2023-11-15") == []


def test_days_far_before_and_far_after_are_both_told_of(tmp_path: Path) -> None:
    end = START + 30_000 * DAY
    late = [("u1", "i1", end, 1), ("u2", "i1", end, 0), ("u2", "i1", end - DAY, 0), ("u3", "i1", end - DAY, 1)]
    early, after = warnings_of(tmp_path, [*log(), ("u1", "i1", 0, 1), *late])[:2]
    assert early.startswith("1 row is dated 1970-01-01, ")
    assert after.startswith("4 rows are dated 2106-01-03 to 2106-01-04, 29,996 days after the nearest other day")
    assert "--until 2023-11-18" in after


@pytest.mark.parametrize(("first", "told"), [(-5, False), (-6, True)])
def test_a_gap_at_the_start_is_told_of_when_it_is_longer_than_all_the_rest(
    tmp_path: Path, first: int, told: bool
) -> None:
    """Four days, and before them four or five without an event."""
    found = warnings_of(tmp_path, [*log(), ("u1", "i1", START + first * DAY, 1)])
    assert [warning.startswith("1 row is dated 2023-11-09, 6 days before") for warning in found] == [True] * told


def test_since_is_a_local_day_and_what_it_leaves_out_is_no_wrong_form(tmp_path: Path) -> None:
    first = START + 4 * 3600  # 2023-11-15 00:00 in UTC-4
    path = write(tmp_path / "a.csv", "user,item,time", *[f"1,2,{first - 1}"] * 200, f"1,2,{first}")
    found = extract(Table(since="2023-11-15", utc_offset="-4"), path, max_rejected="0%")
    assert ([e["time"] for e in found.events], found.rejected) == ([first], {"before_since": 200})
    with pytest.raises(UserError, match="--since is 'soon'"):
        Table(since="soon")
    with pytest.raises(UserError, match="--since 2023-11-16 is after --until 2023-11-15"):
        Table(since="2023-11-16", until="2023-11-15")
    assert Table(since="2023-11-15", until="2023-11-15")  # one day


# Times without an hour or a minute


def coarse(folder: Path, *times: object, **source: Any) -> tuple[str, ...]:
    return extract(
        Table(**source), write(folder / "a.csv", "user,item,time", *(f"1,2,{t}" for t in times))
    ).extract.warnings


@pytest.mark.parametrize(
    ("times", "source", "unit"),
    [
        (["2023-11-15", "2023-11-16"], {}, "day"),
        (["2023-11-15", "2023-11-16"], {"utc_offset": "8"}, "day"),
        ([START, START + 3 * DAY], {"utc_offset": "8"}, "day"),
        (["2023-11-15 00:00:00", "2023-11-16"], {"utc_offset": "-3.5"}, "day"),
        (["20231115", "20231116"], {"time_format": "%Y%m%d"}, "day"),
        (["2023111500", "2023111507"], {"time_format": "%Y%m%d%H"}, "hour"),
        (["2023-11-15", "2023-11-16 07:00:00"], {}, "hour"),
        (["2023-11-15", "2023-11-16 07:00:01"], {}, None),
        (["2023-11-15", "2023-11-16 00:00:00.001"], {}, None),
        ([START, START], {}, None),
    ],
)
def test_times_that_are_whole_days_or_hours_are_told_of(
    tmp_path: Path, times: list[object], source: dict[str, Any], unit: str | None
) -> None:
    found = coarse(tmp_path, *times, **source)
    assert [f"Every time is a whole {unit}: " in warning for warning in found] == [True] * (unit is not None)
    assert all(f"only behaviors of earlier {unit}s" in warning for warning in found)


# Signs that nobody sees


@pytest.mark.parametrize("sign", ["\0", "\x1b", "\x7f", "\x85", "\u200b", "\ufeff"])
def test_unseen_signs_in_users_and_values_are_counted(tmp_path: Path, sign: str) -> None:
    rows = log()
    user = [(f"u{sign}0", *row[1:]) for row in rows[:2]]
    item = [("u1", f"{name}{sign}x", START + n + 9_000, n % 2) for n, name in enumerate("abc")]
    first, second = warnings_of(tmp_path, [*user, *rows[2:], *item])
    assert first.startswith(
        f"1 value of 'user' holds control characters or signs without a width, such as {f'u{sign}0'!r}: "
    )
    assert second.startswith("3 values of 'item' hold control ")


def test_blanks_and_letters_of_any_script_are_seen(tmp_path: Path) -> None:
    rows = log()
    values = ["a b", "é", "中", "\u0645\u06cc\u200c\u062e", "👨\u200d👩", "a\u00a0b", "\ta\t"]
    odd = [("u1", value, START + n + 9_000, n % 2) for n, value in enumerate(values)]
    assert warnings_of(tmp_path, [*rows, *odd]) == []


# Numbers in a German spelling


def test_a_number_with_a_decimal_comma_is_no_number(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv",
        "user;item;time;stars",
        f"1;2;{START};1.234,5",
        f"1;2;{START + 1};4.5",
        f"1;3;{START}.234,5;5",
    )
    found = extract(Table(label_column="stars", label_threshold=4), path)
    assert [e["label"] for e in found.events] == [1]
    assert [(r.line, r.reason, r.text) for r in found.examples] == [
        (2, "label_not_a_number", f"1;2;{START};1.234,5"),
        (4, "unparseable_time", f"1;3;{START}.234,5;5"),
    ]
