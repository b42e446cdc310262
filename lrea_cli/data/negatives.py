"""Sampled candidates: a user's last behavior of a day as positive, same-day behaviors of others as negatives.

Every draw is a counter-based hash of (seed, raw user, target time, raw item, draw) that picks a place in the
day's pool, which is sorted by raw values: no engine, thread count or order of the raw file changes a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lrea_cli.data.calendar import Calendar
from lrea_cli.data.schema import Field
from lrea_cli.data.sql import count
from lrea_cli.data.vocabulary import names, quoted

if TYPE_CHECKING:
    import duckdb

DRAWS = 100
ROUNDS = ((0, 1), (1, 10), (10, DRAWS))  # nearly all pairs end with their first draw
PRIME = 2**31 - 1


def sample_candidates(
    db: duckdb.DuckDBPyConnection,
    fields: Sequence[Field],
    calendar: Calendar,
    seed: int,
    min_history: int,
    negatives_per_positive: int,
) -> int:
    """Make `candidates` (user, time, _day, history_length, fields, label) with raw values.

    A negative has its request's user and context fields. A positive that keeps no negative is dropped, too.

    Returns:
        how many (positive, negative) pairs were dropped: their 100 draws were all among the user's behaviors.
    """
    items = [f for f in fields if f.role == "item"]
    _make_positives(db, fields, calendar, min_history)
    _make_pool(db, items, calendar)
    _make_pending(db, seed, negatives_per_positive)
    wanted = count(db, "SELECT count(*) FROM pending")
    db.execute(
        f"CREATE TABLE negatives AS SELECT w.user, w._day, _number, {names(items)} FROM pending AS w, pool LIMIT 0"
    )
    for first, last in ROUNDS:
        _draw(db, items, first, last)
    of_negative = ", ".join(f"{'n' if f in items else 'p'}.{quoted(f)}" for f in fields)
    db.execute(
        "CREATE TABLE candidates AS "
        f"SELECT user, time, _day, history_length, {names(fields)}, 1::TINYINT AS label FROM positives "
        "SEMI JOIN negatives USING (user, _day) UNION ALL "
        f"SELECT p.user, p.time, p._day, p.history_length, {of_negative}, 0::TINYINT "
        "FROM negatives AS n JOIN positives AS p USING (user, _day)"
    )
    return wanted - count(db, "SELECT count(*) FROM negatives")


def mix(number: int) -> int:
    """One step of the hash (multiply, fold, multiply; modulo 2^31 - 1), the same in any engine."""
    h = number % PRIME * 1_103_515_245 % PRIME
    return (h ^ (h >> 15)) * 48_271 % PRIME


def mix_sql(number: str) -> str:
    """`mix` as SQL, for a BIGINT expression that is not negative."""
    h = f"(({number}) % {PRIME} * 1103515245 % {PRIME})"
    return f"(xor({h}, {h} >> 15) * 48271 % {PRIME})"


def _make_positives(
    db: duckdb.DuckDBPyConnection, fields: Sequence[Field], calendar: Calendar, min_history: int
) -> None:
    """The last behavior of each user and day: largest time, item, then whatever makes the choice unique."""
    order = ", ".join(f"{quoted(f)} DESC NULLS LAST" for f in fields)
    db.execute(
        f"CREATE TABLE positives AS "
        f"SELECT e.user, e.time, e._day, c.before AS history_length, {names(fields, 'e.')} FROM ("
        f"SELECT *, {calendar.day_sql()} AS _day FROM raw_events "
        f"WHERE is_behavior AND _day BETWEEN {calendar.train_day} AND {calendar.test_day} "
        f"QUALIFY row_number() OVER (PARTITION BY user, _day ORDER BY time DESC, {order}) = 1) AS e "
        "JOIN counts AS c ON c.user = e.user AND c.time = e.time "
        f"WHERE c.before >= {min_history}"
    )


def _make_pool(db: duckdb.DuckDBPyConnection, items: Sequence[Field], calendar: Calendar) -> None:
    """Behaviors of the days with positives, numbered in order of raw user, time and item fields."""
    order = ", ".join(f"{quoted(f)} NULLS LAST" for f in items)
    db.execute(
        f"CREATE TABLE pool AS SELECT {calendar.day_sql()} AS _day, {names(items)}, "
        f"row_number() OVER (PARTITION BY _day ORDER BY user, time, {order}) - 1 AS _place "
        "FROM raw_events WHERE is_behavior AND _day IN (SELECT _day FROM positives)"
    )


def _make_pending(db: duckdb.DuckDBPyConnection, seed: int, per_positive: int) -> None:
    """Negatives still wanted: user, _day, _number, the _hash of their key, the _size of the day's pool."""
    kinds = {name: kind for name, kind, *_ in db.execute("DESCRIBE positives").fetchall()}
    user, time, item = (_residue(name, kinds[name]) for name in ("user", "time", "item"))
    hashed = f"SELECT *, {mix_sql(f'{mix(seed)} + {user}')} AS _hash FROM positives"
    for key in (time, item):
        hashed = f"SELECT * REPLACE ({mix_sql(f'_hash + {key}')} AS _hash) FROM ({hashed})"
    db.execute(
        f"CREATE TABLE pending AS SELECT user, _day, range AS _number, _hash, _size FROM ({hashed}) "
        f"JOIN (SELECT _day, count(*) AS _size FROM pool GROUP BY _day) USING (_day), range({per_positive})"
    )


def _draw(db: duckdb.DuckDBPyConnection, items: Sequence[Field], first: int, last: int) -> None:
    """Settle by draws `first` .. `last` - 1 what they can: the earliest item that the user never touched."""
    place = f"{mix_sql(f'_hash + _number * {DRAWS} + _draw')} % _size AS _place"
    db.execute(
        f"CREATE OR REPLACE TABLE draws AS "
        f"SELECT d.user, d._day, d._number, d._draw, {names(items, 'pool.')} "
        f"FROM (SELECT *, range AS _draw, {place} FROM pending, range({first}, {last})) AS d "
        "JOIN pool USING (_day, _place)"
    )
    db.execute(  # the few draws are looked up in the many behaviors, not the other way round
        "CREATE OR REPLACE TABLE touched AS SELECT DISTINCT e.user, e.item FROM raw_events AS e "
        "SEMI JOIN draws AS d ON e.user = d.user AND e.item = d.item WHERE e.is_behavior"
    )
    db.execute(
        f"INSERT INTO negatives SELECT user, _day, _number, {names(items)} FROM draws "
        "ANTI JOIN touched USING (user, item) "
        "QUALIFY row_number() OVER (PARTITION BY user, _day, _number ORDER BY _draw) = 1"
    )
    db.execute("CREATE OR REPLACE TABLE pending AS FROM pending ANTI JOIN negatives USING (user, _day, _number)")


def _residue(column: str, kind: str) -> str:
    """A raw value as 0 .. PRIME - 1, so that no sum overflows; text by the first 15 hex digits of its md5."""
    number = f"CAST('0x' || substr(md5({column}), 1, 15) AS BIGINT)" if kind == "VARCHAR" else column
    return f"(({number}) % {PRIME} + {PRIME}) % {PRIME}"
