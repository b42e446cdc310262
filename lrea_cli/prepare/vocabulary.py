"""Dense ids: 0 padding, 1 unknown, then the sorted raw values; values first seen after training come last.

Tables made here: `users` (user_id from 0, user) and, for each field, `vocab_<field>` (id, value, first: the time of its
first event). A numeric field's values share the id of their quantile.

`raw_events` has a column named after each field; from `encode` on a field's column is `f_<name>`, so that no name is
that of a column, a pseudo column (`rowid`) or a function of ours. On disk the fields have their names again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lrea_cli.dataset.fields import EncodedField, Field
from lrea_cli.ids import FIRST_ID, UNKNOWN_ID
from lrea_cli.prepare.sql import count, drop, identifier

if TYPE_CHECKING:
    import duckdb

BYTES_A_VALUE = 64
"""Of memory, for each value of a vocabulary that is looked up; it is allowed this share of what there is."""
SHARE_OF_MEMORY = 0.25

QUANTILES = 32
"""Of a numeric field, at most: values that are equal share one."""


def number_users(db: duckdb.DuckDBPyConnection) -> int:
    """Number the users from 0 in the order of their raw values; return how many there are."""
    db.execute(
        "CREATE TABLE users AS "
        "SELECT CAST(row_number() OVER (ORDER BY user) - 1 AS INTEGER) AS user_id, user "
        "FROM (SELECT DISTINCT user FROM raw_events) ORDER BY user_id"
    )
    return count(db, "SELECT count(*) FROM users")


def number_values(db: duckdb.DuckDBPyConnection, field: Field, valid_from: int) -> EncodedField:
    """Number one field's values; `size` counts padding, unknown and the values seen before `valid_from`."""
    encoded = EncodedField(field.name, field.role, field.numeric)
    if field.numeric:
        return replace(encoded, size=FIRST_ID + _number_quantiles(db, field, valid_from))
    raw, early = identifier(field.name), f"(first < {valid_from})"
    db.execute(
        f"CREATE TABLE {table(field)} AS WITH seen AS ("
        f"SELECT {raw} AS value, min(time) AS first FROM raw_events WHERE {raw} IS NOT NULL GROUP BY 1) "
        f"SELECT CAST(row_number() OVER (ORDER BY {early} DESC, value) + {FIRST_ID - 1} AS INTEGER) AS id, "
        "value, first FROM seen ORDER BY id"
    )
    counts = f"SELECT count(*) FILTER ({early}), count(*) FILTER (NOT {early}) FROM {table(field)}"
    known, late = db.execute(counts).fetchall()[0]
    return replace(encoded, size=FIRST_ID + known, late=late)


def _number_quantiles(db: duckdb.DuckDBPyConnection, field: Field, valid_from: int) -> int:
    """Cut the values of the events before `valid_from` into parts of about equal size; return how many.

    A value outside of them, or between, belongs to the part of the nearest one below it, or to the first.
    """
    raw = identifier(field.name)
    db.execute(
        f"CREATE TABLE {table(field)} AS WITH seen AS ("
        f"SELECT {raw} AS value, min(time) AS first, count(*) FILTER (WHERE time < {valid_from}) AS early "
        f"FROM raw_events WHERE {raw} IS NOT NULL GROUP BY 1), "
        "placed AS (SELECT value, sum(early) OVER (ORDER BY value) - early AS before, sum(early) OVER () AS total "
        "FROM seen WHERE early > 0), "
        f"edges AS (SELECT min(value) AS edge FROM placed GROUP BY floor({QUANTILES} * before / total)) "
        f"SELECT CAST({FIRST_ID - 1} + greatest(count(edge), 1) AS INTEGER) AS id, value, first "
        "FROM seen LEFT JOIN edges ON edge <= value GROUP BY value, first ORDER BY id, value"
    )
    return count(db, f"SELECT count(DISTINCT id) FROM {table(field)} WHERE first < {valid_from}")


def encode(db: duckdb.DuckDBPyConnection, fields: Sequence[Field], others: Sequence[str], memory_mb: int) -> str:
    """SQL for `raw_events` with ids: `user_id`, the columns `others`, and each field.

    Where the vocabularies do not fit into DuckDB's memory side by side they are looked up one after another, each in a
    pass of its own; `encoded` then holds what came of it.
    """
    values = sum(count(db, f"SELECT count(*) FROM {name}") for name in ("users", *map(table, fields)))
    if values * BYTES_A_VALUE > memory_mb * 1e6 * SHARE_OF_MEMORY:
        _encode_one_by_one(db, fields, others)
        return f"SELECT user_id, {', '.join(others)}, {names(fields)} FROM encoded"
    ids = ", ".join(f"coalesce(v{n}.id, {UNKNOWN_ID}) AS {quoted(f)}" for n, f in enumerate(fields))
    joins = "".join(
        f" LEFT JOIN {table(f)} AS v{n} ON r.{identifier(f.name)} = v{n}.value" for n, f in enumerate(fields)
    )
    columns = ", ".join(f"r.{name}" for name in others)
    return f"SELECT u.user_id, {columns}, {ids} FROM raw_events AS r JOIN users AS u ON r.user = u.user{joins}"


def _encode_one_by_one(db: duckdb.DuckDBPyConnection, fields: Sequence[Field], others: Sequence[str]) -> None:
    db.execute("SET preserve_insertion_order = false")  # events are sorted afterwards
    columns = ", ".join([f"r.{name}" for name in others] + [f"r.{identifier(f.name)} AS {quoted(f)}" for f in fields])
    db.execute(
        f"CREATE TABLE encoded AS SELECT u.user_id, {columns} FROM raw_events AS r JOIN users AS u ON r.user = u.user"
    )
    for field in fields:
        name = quoted(field)
        db.execute(
            f"CREATE TABLE further AS SELECT r.* REPLACE (coalesce(v.id, {UNKNOWN_ID}) AS {name}) "
            f"FROM encoded AS r LEFT JOIN {table(field)} AS v ON r.{name} = v.value"
        )
        drop(db, "encoded")
        db.execute("ALTER TABLE further RENAME TO encoded")
    db.execute("SET preserve_insertion_order = true")


def table(field: Field) -> str:
    """The name of a field's vocabulary table."""
    return f"vocab_{field.name}"


def column(field: Field) -> str:
    """The name of a field's column in every table made here, but for `raw_events`; no other column begins so."""
    return f"f_{field.name}"


def quoted(field: Field) -> str:
    """That column as a SQL identifier."""
    return identifier(column(field))


def names(fields: Iterable[Field], prefix: str = "") -> str:
    """The fields' columns as a comma list of SQL identifiers."""
    return ", ".join(prefix + quoted(f) for f in fields)


ITEM_FIELD = Field("item", "item")
ITEM = column(ITEM_FIELD)
"""What every log has: the column of its ids."""
