"""The event schema: what every source yields and what every dataset's manifest declares."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

if TYPE_CHECKING:
    import duckdb

PADDING_ID = 0
UNKNOWN_ID = 1
FIRST_ID = 2
SECONDS_PER_DAY = 86_400

Role = Literal["item", "user", "context"]


@dataclass(frozen=True)
class Field:
    """One categorical feature.

    `item` fields stand on behaviors and candidates alike and share one embedding table;
    `user` and `context` fields go straight to the MLP (paper, 2.1).
    """

    name: str
    role: Role


@dataclass(frozen=True)
class EncodedField(Field):
    """A field whose values have dense ids: 0 padding, 1 unknown, then sorted raw values.

    Values first seen before the valid split have ids 2 .. size - 1; later ones follow from `size`
    on, so they stay apart on disk and in counters, while the model sees all of them as unknown.
    """

    size: int
    late: int = 0


@dataclass(frozen=True)
class SourceFile:
    """A raw file that a dataset was made from."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Extract:
    """What a source found; the rows themselves are in the DuckDB tables `raw_events` and `raw_rejected`.

    `raw_events` has one row for each kept event:
        source_row BIGINT   order in the raw files, the tie-break inside one second
        user       BIGINT or VARCHAR
        time       BIGINT   epoch seconds, UTC
        is_behavior BOOLEAN counts as history
        label      TINYINT  0 or 1 where the event is a candidate that was shown, else NULL
        and one column named after each field (BIGINT or VARCHAR, NULL = unknown).
    `raw_rejected` has (file VARCHAR, line BIGINT, reason VARCHAR, text VARCHAR), capped at `REJECTED_CAP` rows.

    Args:
        fields: `item` first; `category` second where the log has categories.
        events_read: rows of the raw files, kept or not.
        rejected: full count for each reason; events_read == rows of raw_events + their sum.
        labels: `real` = the rows with a label are the samples; `sampled` = positives and negatives are drawn.
        utc_offset_hours: days (splits, targets, negatives) begin at midnight of this zone.
        last_day: day number (local days since 1970-01-01) of the test split; None = the last day in the data.
        facts: what the source knows beyond the rows (synthetic: the best possible AUC and GAUC).
    """

    fields: tuple[Field, ...]
    events_read: int
    rejected: dict[str, int]
    labels: Literal["real", "sampled"]
    files: tuple[SourceFile, ...] = ()
    utc_offset_hours: int = 0
    last_day: int | None = None
    facts: dict[str, float | str] = field(default_factory=dict)


REJECTED_CAP = 10_000


class Source(Protocol):
    """One data set's raw form. A source is a frozen dataclass: its attributes are its options on the command line."""

    name: ClassVar[str]
    needs_files: ClassVar[bool]
    file_names: ClassVar[tuple[str, ...]]
    where_to_get: ClassVar[str]

    def extract(self, db: duckdb.DuckDBPyConnection, files: list[Path]) -> Extract:
        """Turn raw files into `raw_events` and `raw_rejected`, and nothing else.

        Raises:
            UserError: a file cannot be read as what it should be.
        """
        ...
