"""Sampled positives: the last behavior of each user's day, or of each user, with enough history before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lrea_cli.dataset.fields import Field
from lrea_cli.prepare.calendar import Calendar
from lrea_cli.prepare.events import UserPart, history_lengths
from lrea_cli.prepare.hashing import mix, mix_sql, residue_sql
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.sources.base import Extract
from lrea_cli.prepare.sql import drop, kinds_of, store
from lrea_cli.prepare.vocabulary import column, names, table

if TYPE_CHECKING:
    import duckdb

ITEM = Field("item", "item")


def make_positives(
    db: duckdb.DuckDBPyConnection,
    extract: Extract,
    calendar: Calendar,
    options: PrepareOptions,
    parts: Sequence[UserPart],
) -> None:
    """Make `positives` (user_id, time, _day, history_length, _key, an id for each field).

    `_key` is a hash of (seed, raw user, time, raw item): negatives are drawn by it, and of several behaviors in the
    last second it chooses one.

    Args:
        parts: of all users, in their order.
    """
    assert extract.sampling is not None
    of = "user_id, _day" if extract.sampling.targets == "day" else "user_id"
    fields = names(extract.fields)
    for part in parts:
        db.execute(
            f"CREATE TABLE eligible AS SELECT user_id, time, _day, {fields} "
            f"FROM events WHERE is_behavior AND {calendar.within_sql()} AND {part.sql('user_id')}"
        )
        if extract.sampling.positives == "first-time":
            _leave_out_repeats(db, part)
        db.execute(
            f"CREATE TABLE lasts AS SELECT e.* FROM eligible AS e JOIN (SELECT {of}, max(time) AS time FROM eligible "
            f"GROUP BY {of}) USING ({of}, time)"
        )
        query = (
            f"SELECT * FROM ({_keyed(db, options.seed)}) JOIN ({history_lengths('lasts', part)}) USING (user_id, time) "
            f"WHERE history_length >= {options.min_history} "
            f"QUALIFY row_number() OVER (PARTITION BY {of} ORDER BY _key, {fields}) = 1"
        )
        store(db, "positives", query, part is parts[0])
        drop(db, "eligible", "lasts")


def _leave_out_repeats(db: duckdb.DuckDBPyConnection, part: UserPart) -> None:
    """Of a user's behaviors on one item, those of the first second stay."""
    db.execute(
        "CREATE OR REPLACE TABLE eligible AS SELECT e.* FROM eligible AS e JOIN ("
        f"SELECT user_id, {column(ITEM)}, min(time) AS first FROM events "
        f"WHERE is_behavior AND {part.sql('user_id')} GROUP BY user_id, {column(ITEM)}) AS f "
        f"ON e.user_id = f.user_id AND e.{column(ITEM)} = f.{column(ITEM)} AND e.time = f.first"
    )


def _keyed(db: duckdb.DuckDBPyConnection, seed: int) -> str:
    """SQL for `lasts` with `_key`, of raw values: no numbering changes it."""
    parts = ("_user", residue_sql("time", "BIGINT"), "_item")
    raw = (
        f"SELECT l.*, {residue_sql('u.user', kinds_of(db, 'users')['user'])} AS _user, "
        f"{residue_sql('v.value', kinds_of(db, table(ITEM))['value'])} AS _item "
        f"FROM lasts AS l JOIN users AS u USING (user_id) JOIN {table(ITEM)} AS v ON l.{column(ITEM)} = v.id"
    )
    keyed = f"SELECT *, {mix(seed)} AS _key FROM ({raw})"
    for part in parts:
        keyed = f"SELECT * REPLACE ({mix_sql(f'_key + {part}')} AS _key) FROM ({keyed})"
    return f"SELECT * EXCLUDE (_user, _item) FROM ({keyed})"
