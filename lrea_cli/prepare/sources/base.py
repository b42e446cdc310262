"""What every source is: the options of logs without real labels, and what it yields, the event schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Protocol, get_args

import typer

from lrea_cli.dataset.fields import Field
from lrea_cli.errors import check_choice

if TYPE_CHECKING:
    from lrea_cli.prepare.reading.intake import Intake

Negatives = Literal["same-day", "same-day-category", "same-month", "uniform", "popularity"]
DayNegatives = Literal["same-day", "same-day-category", "uniform", "popularity"]
Positives = Literal["all", "first-time"]
Targets = Literal["day", "user"]
Splits = Literal["days", "shares", "users"]

NegativesOption = Annotated[
    DayNegatives,
    typer.Option(
        metavar="<kind>",
        help="Negatives are drawn from: other users' behaviors of that day (same-day), and of that category "
        "(same-day-category), all items seen so far (uniform), or all behaviors so far (popularity).",
    ),
]
PositivesOption = Annotated[
    Positives,
    typer.Option(
        metavar="<kind>",
        help="Which targets count: all, or only items that the user had not touched before (first-time).",
    ),
]
DRAWING_OPTIONS = ("negatives", "positives", "min_history", "negatives_per_positive", "train_days", "seed")
"""What decides how candidates are drawn, and nothing else."""


def check_sampling(negatives: str, positives: str) -> None:
    """Raise a UserError, with the nearest known one, where a choice is unknown."""
    check_choice("negatives", negatives, get_args(DayNegatives))
    check_choice("positives", positives, get_args(Positives))


@dataclass(frozen=True)
class Sampling:
    """How candidates are drawn from a log without real labels (docs/data.md).

    Args:
        negatives: where they come from. `same-day`, `same-month`: behaviors of that day or month;
            `same-day-category`: of that day and category; `uniform`: the items seen by the end of that day, each alike;
            `popularity`: all behaviors by the end of that day.
        positives: `first-time` leaves out what repeats an item of the user.
        targets: the last behavior of each `day` of a user that is in a split, or of each `user`.
        splits: `days`: the last is test, the one before valid; `shares`: 80%, 10%, 10% of the targets, cut between
            days; `users`: 10% of the users valid and 10% test, drawn with the seed, whatever the day.
    """

    negatives: Negatives = "same-day"
    positives: Positives = "all"
    targets: Targets = "day"
    splits: Splits = "days"


@dataclass(frozen=True)
class Extract:
    """What a source found; the rows themselves are in the DuckDB table `raw_events`, one for each kept event.

        source_row BIGINT   the order inside one second: the nanoseconds, where the log has them, then the row's number
                            in the raw files, or what the source puts in its place
        user       BIGINT or VARCHAR
        time       BIGINT   epoch seconds, UTC
        and one column named after each field (BIGINT or VARCHAR, DOUBLE where numeric, NULL = unknown); where labels
        are real:
        is_behavior BOOLEAN counts as history (without them each event does)
        label      TINYINT  0 or 1 where the event is a candidate that was shown, else NULL

    Args:
        fields: `item` first; `category` second where the log has categories.
        sampling: how candidates are drawn; None = the rows with a label are the samples.
        utc_offset_minutes: days (splits, targets, negatives) begin at midnight of this zone, east of UTC.
        last_day: day number (local days since 1970-01-01) of the end of the test split; None = that of the data.
        test_days: days of the test split, where the source and not an option decides.
        unique: columns of `raw_events`, user and time among them: of rows equal in all of them and in their nanoseconds
            the first stays.
        text: SQL over `raw_events` for such a row as it stands in the file.
        published: what a known file must give: `kept`, or a reason, -> count.
        facts: what the source knows beyond the rows (synthetic: the best possible AUC and GAUC).
        warnings: what the user should know of this protocol, or of what was read.
        unused_columns: of the raw files, which no option names.
        time_hint: what to do where the times look as if they were read as something else.
    """

    fields: tuple[Field, ...]
    sampling: Sampling | None
    utc_offset_minutes: int = 0
    last_day: int | None = None
    test_days: int | None = None
    unique: tuple[str, ...] = ()
    text: str = ""
    published: Mapping[str, int] = field(default_factory=dict)
    facts: dict[str, float | str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    unused_columns: tuple[str, ...] = ()
    time_hint: str = ""


class Source(Protocol):
    """One data set's raw form. A source is a frozen dataclass: its attributes are its options on the command line.

    file_names: of the event log, in a folder: the first that exists is taken, plain or packed (`.gz`, `.zip`,
        `.bz2`, `.xz`); may be patterns; of names that begin with `*`, all are taken. None: the source reads no file.
    companion_names: of further files that belong to the log (a catalog of items); each is looked for beside it.
    unused_options: those of `PrepareOptions` that change nothing here, and are not offered.
    idle_options: options that change nothing where another one is given, and that one: both together are refused.
    """

    name: ClassVar[str]
    file_names: ClassVar[tuple[str, ...]]
    companion_names: ClassVar[tuple[str, ...]] = ()
    unused_options: ClassVar[tuple[str, ...]] = ()
    idle_options: ClassVar[Mapping[str, str]] = {}
    where_to_get: ClassVar[str]

    def extract(self, intake: Intake, files: list[Path]) -> Extract:
        """Turn raw files into `raw_events` of `intake.db`, and nothing else; the intake keeps account of every row.

        Raises:
            UserError: a file is missing, cannot be read as what it should be, or has no usable row.
        """
        ...
