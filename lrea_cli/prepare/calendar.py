"""Splits by time, the same instants for every user: which local days are train, valid and test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from lrea_cli.console.counts import counted
from lrea_cli.dataset.fields import SECONDS_PER_DAY
from lrea_cli.dataset.layout import Split
from lrea_cli.errors import UserError
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.sources.base import Extract

if TYPE_CHECKING:
    import duckdb

VALID_SHARE, TEST_SHARE = 0.1, 0.1
"""Of the targets, where days are cut by shares or users are drawn."""

LEAST_OF_USUAL = 0.1
"""A test split with fewer events, of the median of the days before it, is warned of."""


Days = list[tuple[int, int]]
"""(local day, rows) of the days that have any, in their order."""


@dataclass(frozen=True)
class Calendar:
    """Local days, numbered since 1970-01-01; a day begins at midnight, `utc_offset_minutes` east of UTC.

    Args:
        train_day, valid_day, test_day: the first of each split. last_day: the last of all.
        end: the second after the last event.
        by_user: a user is in one split with all targets, whatever the day; valid_day and test_day are past the end.
    """

    train_day: int
    valid_day: int
    test_day: int
    last_day: int
    end: int
    utc_offset_minutes: int
    by_user: bool = False

    def starts_at(self, day: int) -> int:
        """The first second of a local day (epoch seconds)."""
        return day * SECONDS_PER_DAY - self.utc_offset_minutes * 60

    @property
    def valid_from(self) -> int:
        return self.starts_at(self.valid_day)

    @property
    def splits(self) -> dict[str, int]:
        """What the manifest says, in epoch seconds; `end` is the second after the last event."""
        return {
            "train_from": self.starts_at(self.train_day),
            "valid_from": self.valid_from,
            "test_from": self.starts_at(self.test_day),
            "end": self.end,
        }

    @property
    def days(self) -> dict[Split, tuple[int, int]]:
        """First and last local day of each split."""
        if self.by_user:
            whole = (self.train_day, self.last_day)
            return {"train": whole, "valid": whole, "test": whole}
        return {
            "train": (self.train_day, self.valid_day - 1),
            "valid": (self.valid_day, self.test_day - 1),
            "test": (self.test_day, self.last_day),
        }

    def day_sql(self) -> str:
        """SQL for the local day of the column `time` of epoch seconds, also before 1970."""
        return _day_sql(self.utc_offset_minutes)

    @property
    def zone(self) -> str:
        """The zone as UTC+8 or UTC-3:30."""
        hours, minutes = divmod(abs(self.utc_offset_minutes), 60)
        return f"UTC{'-' if self.utc_offset_minutes < 0 else '+'}{hours}" + (f":{minutes:02d}" if minutes else "")

    def day_of(self, time: int) -> int:
        """The local day of an instant."""
        return (time + self.utc_offset_minutes * 60) // SECONDS_PER_DAY

    def within_sql(self) -> str:
        """SQL: the instant `time` is in one of the splits' days."""
        return f"time >= {self.starts_at(self.train_day)} AND time < {self.starts_at(self.last_day + 1)}"


def day_name(day: int) -> str:
    """A local day as 2017-12-03."""
    return str(date(1970, 1, 1) + timedelta(days=day))


def find_calendar(db: duckdb.DuckDBPyConnection, extract: Extract, options: PrepareOptions) -> Calendar:
    """Read the times of `raw_events` and lay out the splits.

    Real labels: the last `test_days` are test, the one before valid, all before train; sampled ones: as
    `Sampling.splits` says.

    Raises:
        UserError: the log spans too few days.
    """
    first, last = db.execute("SELECT min(time), max(time) FROM raw_events").fetchall()[0]
    offset = extract.utc_offset_minutes
    first_day, last_seen = ((t + offset * 60) // SECONDS_PER_DAY for t in (first, last))
    last_day = last_seen if extract.last_day is None else extract.last_day
    if extract.sampling is not None and extract.sampling.splits == "users":
        past = last_day + 1
        return Calendar(first_day, past, past, last_day, last + 1, offset, by_user=True)
    if extract.sampling is not None and extract.sampling.splits == "shares":
        valid_day, test_day = _cut_by_shares(db, offset, options.min_history)
        return Calendar(first_day, valid_day, test_day, last_day, last + 1, offset)
    train_days = None if extract.sampling is None else options.train_days
    test_days = options.test_days if extract.test_days is None else extract.test_days
    test_day = last_day - test_days + 1
    train_day = min(first_day, test_day - 2) if train_days is None else test_day - 1 - train_days
    if train_day < first_day:
        raise _too_short(first_day, last_seen, last_day - first_day + 1, train_days, test_days, extract.time_hint)
    return Calendar(train_day, test_day - 1, test_day, last_day, last + 1, offset)


def odd_days(db: duckdb.DuckDBPyConnection, extract: Extract, calendar: Calendar) -> list[str]:
    """Warnings of first or last days that are far from all others, and of a test split that has next to no rows."""
    by_day = extract.sampling is None or extract.sampling.splits == "days"
    if extract.last_day is not None or not by_day:
        return []
    days = db.execute(f"SELECT {calendar.day_sql()}, count(*) FROM raw_events GROUP BY 1 ORDER BY 1").fetchall()
    early, body, late = _far_days(days)
    test_rows = sum(rows for day, rows in days if day >= calendar.test_day)
    usual = float(np.median([rows for day, rows in days if day < calendar.test_day]))
    warnings = [_of_far_days(early, body), _of_far_days(late, body)]
    if not late and test_rows < LEAST_OF_USUAL * usual:
        warnings.append(
            f"The test split has {counted(test_rows, 'event')} from {day_name(calendar.test_day)} on, "
            f"{test_rows / usual:.1%} of a usual day's: does the log end early that day? "
            f"With `table`, --until {day_name(days[-2][0])} ends the log before it; --test-days widens the split."
        )
    return [warning for warning in warnings if warning]


def _far_days(days: Days) -> tuple[Days, Days, Days]:
    """Split a log's days, in their order, where a gap is longer than all days on the side that has more rows.

    Returns:
        the days before the body of the log, its body, and those after it.
    """
    early: Days = []
    late: Days = []
    body = list(days)
    while len(body) > 1:
        cut = 1 + int(np.argmax(np.diff([day for day, _ in body])))
        left, right = body[:cut], body[cut:]
        of_left = _rows(left) >= _rows(right)
        larger = left if of_left else right
        if right[0][0] - left[-1][0] - 1 <= _span(larger):
            break
        body = larger
        early, late = (early, right + late) if of_left else (early + left, late)
    return early, body, late


def _of_far_days(days: Days, body: Days) -> str:
    """What to say of days that are far before or after the body of a log; nothing where there are none."""
    if not days:
        return ""
    (first, last), (begins, ends) = _ends(days), _ends(body)
    when = day_name(first) if first == last else f"{day_name(first)} to {day_name(last)}"
    early = last < begins
    gap, side, nearest = (begins - last, "before", begins) if early else (first - ends, "after", ends)
    rows = _rows(days)
    return (
        f"{counted(rows, 'row is', 'rows are')} dated {when}, {counted(gap, 'day')} {side} the nearest other day "
        f"({day_name(nearest)}), while most of the log spans {counted(_span(body), 'day')}: is the time wrong? "
        f"With `table`, --{'since' if early else 'until'} {day_name(nearest)} leaves such rows out."
    )


def _rows(days: Days) -> int:
    return sum(rows for _, rows in days)


def _ends(days: Days) -> tuple[int, int]:
    return days[0][0], days[-1][0]


def _span(days: Days) -> int:
    first, last = _ends(days)
    return last - first + 1


def _cut_by_shares(db: duckdb.DuckDBPyConnection, offset: int, min_history: int) -> tuple[int, int]:
    """First day of valid and of test, so that the targets (each user's last day) are nearest to 80%, 10% and 10%.

    Raises:
        UserError: the targets are on fewer than three days.
    """
    day = _day_sql(offset)
    last_days = db.execute(
        f"WITH days AS (SELECT user, {day} AS day, count(*) AS here FROM raw_events GROUP BY 1, 2), "
        "lasts AS (SELECT user, max(day) AS day, sum(here) - arg_max(here, day) AS before FROM days GROUP BY user) "
        f"SELECT day, count(*) FROM lasts WHERE before >= {min_history} GROUP BY day ORDER BY day"
    ).fetchall()
    if len(last_days) < 3:
        raise UserError(
            f"Users with {min_history} or more earlier behaviors end on {counted(len(last_days), 'different day')}; "
            "3 are needed.",
            "Give a longer log, or lower --min-history.",
        )
    days, targets = np.array(last_days).T
    before = (np.cumsum(targets) - targets) / targets.sum()
    valid = int(np.abs(before[1:-1] - (1 - VALID_SHARE - TEST_SHARE)).argmin()) + 1
    test = int(np.abs(before[valid + 1 :] - (1 - TEST_SHARE)).argmin()) + valid + 1
    return int(days[valid]), int(days[test])


def _day_sql(utc_offset_minutes: int) -> str:
    return f"CAST(floor((time + {utc_offset_minutes * 60}) / {SECONDS_PER_DAY}) AS INTEGER)"


def _too_short(
    first_day: int, last_seen: int, days: int, train_days: int | None, test_days: int, time_hint: str
) -> UserError:
    needed = (train_days or 1) + 1 + test_days
    split = "1 or more" if train_days is None else str(train_days)
    to_test = "one" if test_days == 1 else str(test_days)
    lower = [f"--{name}-days" for name, days in (("train", train_days or 1), ("test", test_days)) if days > 1]
    span = f"{counted(days, 'local day')} ({day_name(first_day)} to {day_name(last_seen)})"
    longer = f"Give a longer log, or lower {' or '.join(lower)}." if lower else "Give a longer log."
    return UserError(
        f"The log spans {span}; {needed} are needed: {split} to train, one to validate, {to_test} to test.",
        time_hint or longer,
    )
