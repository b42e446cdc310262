"""Splits by time, the same instants for every user: which local days are train, valid and test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from lrea_cli.console.counts import counted
from lrea_cli.dataset.fields import SECONDS_PER_DAY
from lrea_cli.dataset.layout import SPLITS, Split
from lrea_cli.dataset.manifest import SplitTimes
from lrea_cli.errors import UserError
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.sources.base import Extract

if TYPE_CHECKING:
    import duckdb

VALID_SHARE, TEST_SHARE = 0.1, 0.1
"""Of the targets, where days are cut by shares or users are drawn."""

LEAST_OF_USUAL = 0.1
"""A test split with fewer events, of the median of the days before it, is warned of."""


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
    def splits(self) -> SplitTimes:
        """When each split begins, as the manifest has it."""
        at = self.starts_at
        return SplitTimes(at(self.train_day), at(self.valid_day), at(self.test_day), self.end)

    @property
    def days(self) -> dict[Split, tuple[int, int]]:
        """First and last local day of each split."""
        if self.by_user:
            return dict.fromkeys(SPLITS, (self.train_day, self.last_day))
        starts = (self.train_day, self.valid_day, self.test_day, self.last_day + 1)
        return {split: (first, past - 1) for split, (first, past) in zip(SPLITS, pairwise(starts), strict=True)}

    def within_sql(self) -> str:
        """SQL: the instant `time` is in one of the splits' days."""
        return f"time >= {self.starts_at(self.train_day)} AND time < {self.starts_at(self.last_day + 1)}"


def day_name(day: int) -> str:
    """A local day as 2017-12-03."""
    return str(date(1970, 1, 1) + timedelta(days=int(day)))


def day_of(time: int, utc_offset_minutes: int) -> int:
    """The local day of an instant."""
    return (time + utc_offset_minutes * 60) // SECONDS_PER_DAY


def day_sql(utc_offset_minutes: int) -> str:
    """SQL for the local day of the column `time` of epoch seconds, also before 1970."""
    return f"CAST(floor((time + {utc_offset_minutes * 60}) / {SECONDS_PER_DAY}) AS INTEGER)"


def find_calendar(db: duckdb.DuckDBPyConnection, extract: Extract, options: PrepareOptions) -> Calendar:
    """Read the times of `raw_events` and lay out the splits.

    Real labels: the last `test_days` are test, the one before valid, all before train; sampled ones: as
    `Sampling.splits` says.

    Raises:
        UserError: the log spans too few days.
    """
    first, last = db.execute("SELECT min(time), max(time) FROM raw_events").fetchall()[0]
    offset, sampling = extract.utc_offset_minutes, extract.sampling
    first_day, last_seen = day_of(first, offset), day_of(last, offset)
    last_day = last_seen if extract.last_day is None else extract.last_day
    if sampling is not None and sampling.splits == "users":
        return Calendar(first_day, last_day + 1, last_day + 1, last_day, last + 1, offset, by_user=True)
    if sampling is not None and sampling.splits == "shares":
        return Calendar(first_day, *_cut_by_shares(db, offset, options.min_history), last_day, last + 1, offset)
    train_days = None if sampling is None else options.train_days
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
    day = day_sql(extract.utc_offset_minutes)
    days = np.array(db.execute(f"SELECT {day}, count(*) FROM raw_events GROUP BY 1 ORDER BY 1").fetchall())
    start, stop = _body(*days.T)
    far = (days[:start], days[stop:])
    warnings = [_of_far_days(some, days[start:stop]) for some in far if len(some)]
    in_test = days[:, 0] >= calendar.test_day
    test_rows, usual = int(days[in_test, 1].sum()), float(np.median(days[~in_test, 1]))
    if stop == len(days) and test_rows < LEAST_OF_USUAL * usual:
        warnings.append(
            f"The test split has {counted(test_rows, 'event')} from {day_name(calendar.test_day)} on, "
            f"{test_rows / usual:.1%} of a usual day's: does the log end early that day? "
            f"With `table`, --until {day_name(days[-2, 0])} ends the log before it; --test-days widens the split."
        )
    return warnings


def _body(day: np.ndarray, rows: np.ndarray) -> tuple[int, int]:
    """Where the body of a log starts and stops among its days: all others are behind a gap longer than itself."""
    start, stop = 0, len(day)
    while stop - start > 1:
        cut = start + 1 + int(np.argmax(np.diff(day[start:stop])))
        before = rows[start:cut].sum() >= rows[cut:stop].sum()
        first, past = (start, cut) if before else (cut, stop)
        if day[cut] - day[cut - 1] - 1 <= day[past - 1] - day[first] + 1:
            break
        start, stop = first, past
    return start, stop


def _of_far_days(far: np.ndarray, body: np.ndarray) -> str:
    """What to say of days far before or after the body of a log; both (days, 2): the day and its rows."""
    (first, last), (begins, ends) = far[[0, -1], 0], body[[0, -1], 0]
    when = day_name(first) if first == last else f"{day_name(first)} to {day_name(last)}"
    early = last < begins
    gap, side, nearest = (begins - last, "before", begins) if early else (first - ends, "after", ends)
    return (
        f"{counted(far[:, 1].sum(), 'row is', 'rows are')} dated {when}, {counted(gap, 'day')} {side} the nearest "
        f"other day ({day_name(nearest)}), while most of the log spans {counted(ends - begins + 1, 'day')}: is the "
        f"time wrong? With `table`, --{'since' if early else 'until'} {day_name(nearest)} leaves such rows out."
    )


def _cut_by_shares(db: duckdb.DuckDBPyConnection, offset: int, min_history: int) -> tuple[int, int]:
    """First day of valid and of test, so that the targets (each user's last day) are nearest to 80%, 10% and 10%."""
    day = day_sql(offset)
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


def _too_short(
    first_day: int, last_seen: int, days: int, train_days: int | None, test_days: int, time_hint: str
) -> UserError:
    least = {"train": train_days or 1, "test": test_days}
    lower = " or ".join(f"--{name}-days" for name, number in least.items() if number > 1)
    return UserError(
        f"The log spans {counted(days, 'local day')} ({day_name(first_day)} to {day_name(last_seen)}); "
        f"{sum(least.values()) + 1} are needed: {train_days or '1 or more'} to train, one to validate, "
        f"{'one' if test_days == 1 else test_days} to test.",
        time_hint or f"Give a longer log{f', or lower {lower}' if lower else ''}.",
    )
