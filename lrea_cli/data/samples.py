"""Samples: which rows are scored, with what label, and how much of its user's history each may see.

Everything is SQL over tables on disk. In: `events` and the vocabulary. Out: `samples` (_split, user_id, time,
history_length, an id for each field, label), sorted by all of these, so that a request's rows are neighbors. Columns of
our own begin with `_`: no field of a log does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lrea_cli.data.calendar import TEST_SHARE, VALID_SHARE, Calendar, day_name
from lrea_cli.data.events import UserPart, history_lengths, user_parts
from lrea_cli.data.hashing import PRIME, mix, mix_sql, residue_sql
from lrea_cli.data.layout import SPLITS, Split
from lrea_cli.data.negatives import draw_negatives
from lrea_cli.data.options import PrepareOptions
from lrea_cli.data.schema import Extract, Field
from lrea_cli.data.sql import kinds_of
from lrea_cli.data.targets import make_positives
from lrea_cli.data.vocabulary import names
from lrea_cli.errors import UserError

if TYPE_CHECKING:
    import duckdb


def make_samples(db: duckdb.DuckDBPyConnection, extract: Extract, calendar: Calendar, options: PrepareOptions) -> int:
    """Make `samples`; return how many negatives could not be drawn (always 0 for real labels)."""
    fields, dropped = extract.fields, 0
    parts = user_parts(db, "sorted", options.database_mb)
    if extract.sampling is None:
        _shown_candidates(db, fields, calendar, parts)
    else:
        make_positives(db, extract, calendar, options, parts)
        per_positive = options.negatives_per_positive
        dropped = draw_negatives(db, fields, calendar, extract.sampling.negatives, per_positive, parts)
    columns = f"user_id, time, history_length, {names(fields)}, label"
    rows = f"candidates JOIN ({_drawn(db, options.seed)}) USING (user_id)" if calendar.by_user else "candidates"
    db.execute(
        f"CREATE TABLE samples AS SELECT {_split_sql(calendar)} AS _split, {columns} FROM {rows} "
        f"ORDER BY _split, {columns}"
    )
    db.execute("DROP TABLE candidates")
    return dropped


def check_samples(
    db: duckdb.DuckDBPyConnection, extract: Extract, calendar: Calendar, min_history: int
) -> tuple[dict[Split, int], list[str]]:
    """Return the samples of each split and warnings.

    Raises:
        UserError: a split has none.
    """
    found = db.execute("SELECT _split, count(*), CAST(sum(label) AS BIGINT) FROM samples GROUP BY _split").fetchall()
    by_split = {SPLITS[split]: (rows, clicked) for split, rows, clicked in found}
    warnings: list[str] = []
    for split in SPLITS:
        rows, clicked = by_split.get(split, (0, 0))
        if not rows:
            raise _no_samples(split, extract, calendar, min_history)
        if clicked in (0, rows):
            only = "0" if clicked == 0 else "1"
            warnings.append(f"All {rows:,} samples of {split} have label {only}: AUC is undefined there.")
    return {split: by_split[split][0] for split in SPLITS}, warnings


def _shown_candidates(
    db: duckdb.DuckDBPyConnection, fields: Sequence[Field], calendar: Calendar, parts: Sequence[UserPart]
) -> None:
    """Every labelled row is a candidate; a request is one user at one second."""
    for part in parts:
        db.execute(
            f"CREATE TABLE shown AS SELECT user_id, time, {calendar.day_sql()} AS _day, {names(fields)}, label "
            f"FROM events WHERE label IS NOT NULL AND {calendar.within_sql()} AND {part.sql('user_id')}"
        )
        found = f"SELECT * FROM shown JOIN ({history_lengths('shown', part)}) USING (user_id, time)"
        db.execute(f"CREATE TABLE candidates AS {found}" if part is parts[0] else f"INSERT INTO candidates {found}")
        db.execute("DROP TABLE shown")


def _split_sql(calendar: Calendar) -> str:
    """The number of a candidate's split: by its day, or by a hash of its user."""
    if calendar.by_user:
        test, valid = round(PRIME * TEST_SHARE), round(PRIME * (TEST_SHARE + VALID_SHARE))
        return f"CASE WHEN _drawn < {test} THEN 2 WHEN _drawn < {valid} THEN 1 ELSE 0 END"
    cases = " ".join(
        f"WHEN _day BETWEEN {first} AND {last} THEN {SPLITS.index(split)}"
        for split, (first, last) in calendar.days.items()
    )
    return f"CASE {cases} END"


def _drawn(db: duckdb.DuckDBPyConnection, seed: int) -> str:
    """SQL: a hash of (seed, raw user) for each user, from 0 to PRIME - 1."""
    user = residue_sql("user", kinds_of(db, "users")["user"])
    return f"SELECT user_id, {mix_sql(f'{mix(seed)} + {user}')} AS _drawn FROM users"


def _no_samples(split: Split, extract: Extract, calendar: Calendar, min_history: int) -> UserError:
    first, last = map(day_name, calendar.days[split])
    when = first if first == last else f"{first} to {last}"
    zone = f"UTC{calendar.utc_offset_hours:+d}"
    if extract.sampling is None:
        return UserError(f"The {split} split ({when}, {zone}) has no labelled row.", "Give a log without such gaps.")
    return UserError(
        f"The {split} split ({when}, {zone}) has no sample: no user has a behavior on such a day with "
        f"{min_history} or more strictly before it, and an item of another user to set against it.",
        "Give a longer log, or lower --min-history.",
    )
