"""The events in order: raw rows with dense ids, sorted once, on which all that follows rests.

`events` (user_id, time, source_row, is_behavior, label, _day, an id for each field) lies sorted by its first three
columns; it is a view of the table `sorted`, which holds no constant and no local day. Window functions with an empty
OVER () read it in this order, without sorting it again; for an engine that keeps none, write OVER (ORDER BY user_id,
time, source_row).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lrea_cli.prepare.calendar import day_sql
from lrea_cli.prepare.reading.blocks import ROWS_AT_MOST
from lrea_cli.prepare.reading.intake import Intake
from lrea_cli.prepare.sources.base import Extract
from lrea_cli.prepare.sql import count, drop, identifier
from lrea_cli.prepare.vocabulary import encode, names

if TYPE_CHECKING:
    import duckdb

DUPLICATE = "duplicate"
BYTES_A_ROW = 60
"""Of an event while it is sorted."""

SPILLED_AT_MOST = 8
"""So many times its memory DuckDB sorts by itself; seen to fail at 15 times."""


def user_parts(db: duckdb.DuckDBPyConnection, events: str, memory_mb: int) -> list[range]:
    """Ranges of users: what needs all events of a user, and no other user's, is done for some users after others.

    One range of all users, or, where DuckDB's limit is far too small for all events, so many that half of it is enough.
    """
    users = count(db, "SELECT count(*) FROM users")
    parts = _parts(users, count(db, f"SELECT count(*) FROM {events}"), memory_mb)
    return [range(part * users // parts, (part + 1) * users // parts) for part in range(parts)]


def among(users: range, column: str = "user_id") -> str:
    """SQL: the user is one of these."""
    return f"{column} >= {users.start} AND {column} < {users.stop}"


def _parts(users: int, rows: int, memory_mb: int) -> int:
    need = rows * BYTES_A_ROW / (memory_mb * 1e6)
    return max(1, min(users, round(need * 2))) if need > SPILLED_AT_MOST else 1


def sort_events(intake: Intake, extract: Extract, memory_mb: int) -> None:
    """Make `events` of `raw_events`, which is dropped; repeats are left out, and the intake is told of them."""
    db = intake.db
    shown = ["is_behavior", "label"] if extract.sampling is None else []
    rows = encode(db, extract.fields, ["time", "source_row", *shown], memory_mb)
    parts = user_parts(db, "raw_events", memory_mb)
    db.execute(f"CREATE TABLE sorted AS {rows} LIMIT 0")
    for part in parts:
        db.execute(f"INSERT INTO sorted FROM ({rows}) WHERE {among(part)} ORDER BY user_id, time, source_row")
    db.execute("DROP TABLE IF EXISTS encoded")
    constants = "" if shown else ", true AS is_behavior, CAST(NULL AS TINYINT) AS label"
    db.execute(f"CREATE VIEW events AS SELECT *{constants}, {day_sql(extract.utc_offset_minutes)} AS _day FROM sorted")
    if extract.unique:
        _drop_repeats(intake, extract, parts)
    drop(db, "raw_events")
    _count_behaviors(db, parts)


def history_lengths(wanted: str, part: range) -> str:
    """SQL for (user_id, time, history_length): the behaviors of a user strictly before an instant.

    A behavior's place is the number of behaviors before it in `events`; that of a second's first event, less that of
    the user's, is what was known then. `wanted` is a table of the user_id and time of events of these users.
    """
    placed = (
        "SELECT user_id, time, CAST(sum(CAST(is_behavior AS TINYINT)) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND "
        f"CURRENT ROW) AS BIGINT) - CAST(is_behavior AS TINYINT) AS place FROM events WHERE {among(part)}"
    )
    before = f"(SELECT start FROM starts WHERE user_id = {part.start})"
    return (
        f"SELECT f.user_id, f.time, CAST(f.place + {before} - s.start AS INTEGER) AS history_length FROM ("
        f"SELECT user_id, time, min(place) AS place FROM ({placed}) AS p SEMI JOIN {wanted} AS w "
        "USING (user_id, time) GROUP BY user_id, time) AS f JOIN starts AS s ON f.user_id = s.user_id"
    )


def _drop_repeats(intake: Intake, extract: Extract, parts: Sequence[range]) -> None:
    """Of the events that share their second and all ids, the raw rows say which are equal."""
    db = intake.db
    same = ", ".join([*map(identifier, extract.unique), f"source_row // {ROWS_AT_MOST}"])
    ids = f"user_id, time, {names(extract.fields)}"
    db.execute(
        "CREATE TABLE shared AS SELECT DISTINCT user_id, time FROM ("
        "SELECT user_id, time, lag(user_id) OVER () AS user_before, lag(time) OVER () AS time_before FROM sorted) "
        "WHERE user_id = user_before AND time = time_before"
    )
    db.execute("CREATE TABLE repeats (source_row BIGINT, text VARCHAR)")
    for part in parts:
        db.execute(
            f"CREATE TABLE tied AS SELECT source_row, {ids} FROM sorted SEMI JOIN shared USING (user_id, time) "
            f"WHERE {among(part)}"
        )
        db.execute(
            f"INSERT INTO repeats SELECT source_row, {extract.text} FROM raw_events SEMI JOIN ("
            f"FROM tied SEMI JOIN (SELECT {ids} FROM tied GROUP BY ALL HAVING count(*) > 1) USING ({ids})"
            f") USING (source_row) QUALIFY row_number() OVER (PARTITION BY {same} ORDER BY source_row) > 1"
        )
        drop(db, "tied")
    repeated = count(db, "SELECT count(*) FROM repeats")
    intake.reject_later(DUPLICATE, repeated, "FROM repeats")
    for part in parts if repeated else ():
        db.execute(f"DELETE FROM sorted WHERE {among(part)} AND source_row IN (SELECT source_row FROM repeats)")
        db.execute("CHECKPOINT")  # until then a deleted row holds 256 KiB for its whole row group
    drop(db, "shared", "repeats")


def _count_behaviors(db: duckdb.DuckDBPyConnection, parts: Sequence[range]) -> None:
    """`starts` (user_id, rows, behaviors, start): of each user; start = the behaviors of all users before."""
    db.execute("CREATE TABLE counted (user_id INTEGER, rows BIGINT, behaviors BIGINT)")
    for part in parts:
        db.execute(
            "INSERT INTO counted SELECT user_id, count(*), count(*) FILTER (WHERE is_behavior) FROM events "
            f"WHERE {among(part)} GROUP BY user_id"
        )
    db.execute(
        "CREATE TABLE starts AS SELECT user_id, rows, behaviors, "
        "CAST(sum(behaviors) OVER (ORDER BY user_id) - behaviors AS BIGINT) AS start FROM counted ORDER BY user_id"
    )
    drop(db, "counted")
