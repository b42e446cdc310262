"""Splits by time, the same instants for every user: test is the last local day, valid the day before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from lrea_cli.data.layout import Split
from lrea_cli.data.schema import SECONDS_PER_DAY, Extract
from lrea_cli.errors import UserError

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Calendar:
    """Local days, numbered since 1970-01-01; a day begins at midnight of `utc_offset_hours`."""

    train_day: int
    valid_day: int
    test_day: int
    end: int
    utc_offset_hours: int

    def starts_at(self, day: int) -> int:
        """The first second of a local day (epoch seconds)."""
        return day * SECONDS_PER_DAY - self.utc_offset_hours * 3600

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
        return {
            "train": (self.train_day, self.valid_day - 1),
            "valid": (self.valid_day, self.valid_day),
            "test": (self.test_day, self.test_day),
        }

    def day_sql(self, time: str = "time") -> str:
        """SQL for the local day of a column of epoch seconds, also before 1970."""
        return f"CAST(floor(({time} + {self.utc_offset_hours * 3600}) / {SECONDS_PER_DAY}) AS INTEGER)"


def day_name(day: int) -> str:
    """A local day as 2017-12-03."""
    return str(date(1970, 1, 1) + timedelta(days=day))


def find_calendar(db: duckdb.DuckDBPyConnection, extract: Extract, train_days: int) -> Calendar:
    """Read first and last time of `raw_events` and lay out the splits.

    `real` labels: all days before valid are train. `sampled`: the `train_days` days before valid.

    Raises:
        UserError: the log spans too few days.
    """
    first, last = db.execute("SELECT min(time), max(time) FROM raw_events").fetchall()[0]
    first_day, last_seen = ((t + extract.utc_offset_hours * 3600) // SECONDS_PER_DAY for t in (first, last))
    test_day = last_seen if extract.last_day is None else extract.last_day
    real = extract.labels == "real"
    train_day = min(first_day, test_day - 2) if real else test_day - 1 - train_days
    if train_day < first_day:
        days = test_day - first_day + 1
        needed = 3 if real else train_days + 2
        split = "1 or more" if real else str(train_days)
        span = f"{days} local day{'s' if days != 1 else ''} ({day_name(first_day)} to {day_name(last_seen)})"
        raise UserError(
            f"The log spans {span}; {needed} are needed: {split} to train, one to validate, one to test.",
            "Give a longer log, or lower --train-days." if train_days > 1 and not real else "Give a longer log.",
        )
    return Calendar(train_day, test_day - 1, test_day, last + 1, extract.utc_offset_hours)
