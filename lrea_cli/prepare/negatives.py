"""Sampled negatives: for each positive, items of other users' behaviors that its own user never touched.

A draw is a counter-based hash of (seed, raw user, target time, raw item, draw) that picks a place in a pool sorted by
(stratum, user, time, item): no engine, thread count or order of the raw file changes a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lrea_cli.dataset.fields import Field
from lrea_cli.prepare.calendar import Calendar
from lrea_cli.prepare.events import among
from lrea_cli.prepare.sources.base import Negatives
from lrea_cli.prepare.sql import count, mix_sql, wide_sql
from lrea_cli.prepare.vocabulary import ITEM, column, names

if TYPE_CHECKING:
    import duckdb

DRAWS = 100
CATEGORY = column(Field("category", "item"))
ROUNDS = ((0, 1), (1, 10), (10, DRAWS))  # nearly all pairs end with their first draw
NESTED = ("popularity", "uniform")
"""Of these a positive draws from what was there by the end of its day, of the others from its own day or month."""


def draw_negatives(
    db: duckdb.DuckDBPyConnection,
    fields: Sequence[Field],
    calendar: Calendar,
    kind: Negatives,
    per_positive: int,
    parts: Sequence[range],
) -> int:
    """Make `candidates` (user_id, time, _day, history_length, an id for each field, label) of `positives`.

    A negative has its request's user and context fields. A positive that keeps no negative is dropped, too.

    Args:
        kind: what the negatives are drawn from, see `Sampling`.
        parts: of all users, in their order.

    Returns:
        how many (positive, negative) pairs were dropped: their 100 draws were all among the user's behaviors.
    """
    items = [f for f in fields if f.role == "item"]
    strata = ("_period", CATEGORY) if kind == "same-day-category" else ("_period",)
    period = f"{_month_sql(calendar) if kind == 'same-month' else '_day'} AS _period"
    db.execute(f"CREATE VIEW targets AS SELECT *, {period} FROM positives")
    db.execute(f"CREATE VIEW behaviors AS SELECT user_id, time, {period}, {names(items)} FROM events WHERE is_behavior")
    _make_pool(db, items, kind, strata)
    _make_strata(db, kind in NESTED, ", ".join(strata))
    wanted = count(db, "SELECT count(*) FROM positives") * per_positive
    db.execute(
        f"CREATE TABLE negatives AS SELECT user_id, _day, range AS _number, {names(items)} "
        "FROM positives, range(1) LIMIT 0"
    )
    for part in parts:
        db.execute(
            "CREATE OR REPLACE TABLE pending AS SELECT user_id, _day, range AS _number, _key, _first, _size "
            f"FROM targets JOIN strata USING ({', '.join(strata)}), range({per_positive}) "
            f"WHERE {among(part)}"
        )
        for first, last in ROUNDS:
            _draw(db, items, part, first, last)
    _make_candidates(db, fields)
    return wanted - count(db, "SELECT count(*) FROM negatives")


def _month_sql(calendar: Calendar) -> str:
    """SQL: the number of a `_day`'s month, which is cut where a split begins."""
    month = "year(DATE '1970-01-01' + _day) * 12 + month(DATE '1970-01-01' + _day)"
    starts = f"CAST(_day >= {calendar.valid_day} AS INTEGER) + CAST(_day >= {calendar.test_day} AS INTEGER)"
    return f"CAST(({month}) * 3 + {starts} AS INTEGER)"


def _make_candidates(db: duckdb.DuckDBPyConnection, fields: Sequence[Field]) -> None:
    """Each positive with a negative, and each negative with its positive's request."""
    of_negative = ", ".join(f"{'n' if f.role == 'item' else 'p'}.{names([f])}" for f in fields)
    db.execute(
        "CREATE TABLE candidates AS "
        f"SELECT user_id, time, _day, history_length, {names(fields)}, 1::TINYINT AS label FROM positives "
        "SEMI JOIN negatives USING (user_id, _day) UNION ALL "
        f"SELECT p.user_id, p.time, p._day, p.history_length, {of_negative}, 0::TINYINT "
        "FROM negatives AS n JOIN positives AS p USING (user_id, _day)"
    )


def _make_pool(db: duckdb.DuckDBPyConnection, items: Sequence[Field], kind: Negatives, strata: Sequence[str]) -> None:
    """The pool in its order, by the strata first; a row's place is its `rowid`, from 0."""
    first = ", ".join(strata)
    others = "".join(f", {names([f])}" for f in items if column(f) not in strata)
    if kind == "uniform":  # each item stands once, where it was first seen
        rows = (
            "SELECT * FROM behaviors JOIN ("
            f"SELECT {ITEM}, min(time) AS time FROM events WHERE is_behavior GROUP BY {ITEM}) USING ({ITEM}, time) "
            f"QUALIFY row_number() OVER (PARTITION BY {ITEM} ORDER BY user_id{others}) = 1"
        )
    elif kind == "popularity":
        rows = "FROM behaviors"
    else:
        rows = "FROM behaviors SEMI JOIN (SELECT DISTINCT _period FROM targets) USING (_period)"
    db.execute(f"CREATE TABLE pool AS SELECT {first}{others} FROM ({rows}) ORDER BY {first}, user_id, time{others}")


def _make_strata(db: duckdb.DuckDBPyConnection, nested: bool, strata: str) -> None:
    """`strata`: the first place and the size of a positive's part of the pool, by its stratum.

    Where `nested`, that part is its own period and all before.
    """
    own = f"SELECT {strata}, min(rowid) AS _first, count(*) AS _size FROM pool GROUP BY {strata}"
    if nested:
        own = (
            "SELECT t._period, 0 AS _first, CAST(sum(o._size) AS BIGINT) AS _size "
            f"FROM (SELECT DISTINCT _period FROM targets) AS t JOIN ({own}) AS o ON o._period <= t._period "
            "GROUP BY t._period"
        )
    db.execute(f"CREATE TABLE strata AS {own}")


def _draw(db: duckdb.DuckDBPyConnection, items: Sequence[Field], part: range, first: int, last: int) -> None:
    """Settle by draws `first` .. `last` - 1 what they can: the earliest item that the user never touched."""
    mixed = (
        f"SELECT *, range AS _draw, {mix_sql(f'_key + _number * {DRAWS} + range')} AS _mixed "
        f"FROM pending, range({first}, {last})"
    )
    db.execute(
        f"CREATE OR REPLACE TABLE draws AS "
        f"SELECT d.user_id, d._day, d._number, d._draw, {names(items, 'pool.')} "
        f"FROM (SELECT *, _first + {wide_sql('_mixed')} % _size AS _place FROM ({mixed})) AS d "
        "JOIN pool ON pool.rowid = d._place"
    )
    db.execute(  # the few draws are looked up in the many behaviors, not the other way round
        f"CREATE OR REPLACE TABLE touched AS SELECT DISTINCT e.user_id, e.{ITEM} FROM events AS e "
        f"SEMI JOIN draws AS d ON e.user_id = d.user_id AND e.{ITEM} = d.{ITEM} "
        f"WHERE e.is_behavior AND {among(part, 'e.user_id')}"
    )
    db.execute(
        f"INSERT INTO negatives SELECT user_id, _day, _number, {names(items)} FROM draws "
        f"ANTI JOIN touched USING (user_id, {ITEM}) "
        "QUALIFY row_number() OVER (PARTITION BY user_id, _day, _number ORDER BY _draw) = 1"
    )
    db.execute("CREATE OR REPLACE TABLE pending AS FROM pending ANTI JOIN negatives USING (user_id, _day, _number)")
