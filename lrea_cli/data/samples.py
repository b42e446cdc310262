"""Samples: which rows are scored, with what label, and how much of its user's history each may see.

Everything is SQL over tables on disk. In: `raw_events` and the vocabulary. Out: `samples` (_split, user_id,
request_id, time, history_length, an id for each field, label). Columns of our own begin with `_`: no field of
a log does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lrea_cli.data.calendar import Calendar, day_name
from lrea_cli.data.layout import SPLITS, Split
from lrea_cli.data.negatives import sample_candidates
from lrea_cli.data.schema import Extract, Field
from lrea_cli.data.vocabulary import encoded, names
from lrea_cli.errors import UserError

if TYPE_CHECKING:
    import duckdb


def count_histories(db: duckdb.DuckDBPyConnection) -> None:
    """Make `counts` (user, time, before, through): behaviors before an instant with some, and up to it."""
    db.execute(
        "CREATE TABLE counts AS WITH seconds AS ("
        "SELECT user, time, count(*) AS here FROM raw_events WHERE is_behavior GROUP BY user, time), "
        "summed AS (SELECT *, CAST(sum(here) OVER (PARTITION BY user ORDER BY time) AS BIGINT) AS through "
        "FROM seconds) SELECT user, time, through - here AS before, through FROM summed"
    )


def make_samples(
    db: duckdb.DuckDBPyConnection,
    extract: Extract,
    calendar: Calendar,
    seed: int,
    min_history: int,
    negatives_per_positive: int,
) -> int:
    """Make `samples`; return how many negatives could not be drawn (always 0 for real labels)."""
    dropped = 0
    if extract.labels == "real":
        _shown_candidates(db, extract.fields, calendar)
    else:
        dropped = sample_candidates(db, extract.fields, calendar, seed, min_history, negatives_per_positive)
    ids = encoded("candidates", extract.fields, ("time", "_day", "history_length", "label"))
    cases = " ".join(
        f"WHEN _day BETWEEN {first} AND {last} THEN {SPLITS.index(split)}"
        for split, (first, last) in calendar.days.items()
    )
    db.execute(
        "CREATE TABLE samples AS "
        "SELECT *, dense_rank() OVER (ORDER BY _split, user_id, time) - 1 AS request_id "
        f"FROM (SELECT *, CASE {cases} END AS _split FROM ({ids}))"
    )
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


def _shown_candidates(db: duckdb.DuckDBPyConnection, fields: Sequence[Field], calendar: Calendar) -> None:
    """Every labelled row is a candidate; a request is one user at one second."""
    db.execute(
        f"CREATE TABLE candidates AS SELECT e.user, e.time, {calendar.day_sql('e.time')} AS _day, "
        f"coalesce(c.through, 0) AS history_length, {names(fields, 'e.')}, e.label "
        "FROM raw_events AS e ASOF LEFT JOIN counts AS c ON e.user = c.user AND e.time > c.time "
        f"WHERE e.label IS NOT NULL AND _day BETWEEN {calendar.train_day} AND {calendar.test_day}"
    )


def _no_samples(split: Split, extract: Extract, calendar: Calendar, min_history: int) -> UserError:
    first, last = map(day_name, calendar.days[split])
    when = first if first == last else f"{first} to {last}"
    zone = f"UTC{calendar.utc_offset_hours:+d}"
    if extract.labels == "real":
        return UserError(f"The {split} split ({when}, {zone}) has no labelled row.", "Give a log without such gaps.")
    return UserError(
        f"The {split} split ({when}, {zone}) has no sample: no user has a behavior on such a day with "
        f"{min_history} or more strictly before it, and an item of another user to set against it.",
        "Give a longer log, or lower --min-history.",
    )
