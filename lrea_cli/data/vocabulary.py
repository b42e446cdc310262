"""Dense ids: 0 padding, 1 unknown, then the sorted raw values; values first seen after training come last.

Tables made here: `users` (user_id from 0, user) and, for each field, `vocab_<field>` (id, value, early).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lrea_cli.data.schema import FIRST_ID, UNKNOWN_ID, EncodedField, Field
from lrea_cli.data.sql import count, identifier

if TYPE_CHECKING:
    import duckdb


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
    db.execute(
        f"CREATE TABLE {table(field)} AS WITH seen AS ("
        f"SELECT {quoted(field)} AS value, min(time) < {valid_from} AS early FROM raw_events "
        f"WHERE {quoted(field)} IS NOT NULL GROUP BY 1) "
        f"SELECT CAST(row_number() OVER (ORDER BY early DESC, value) + {FIRST_ID - 1} AS INTEGER) AS id, "
        "value, early FROM seen ORDER BY id"
    )
    early = count(db, f"SELECT count(*) FROM {table(field)} WHERE early")
    late = count(db, f"SELECT count(*) FROM {table(field)} WHERE NOT early")
    return EncodedField(field.name, field.role, FIRST_ID + early, late)


def encoded(rows: str, fields: Sequence[Field], others: Iterable[str], as_prefix: str = "") -> str:
    """SQL for `rows` with ids: `user_id`, the columns `others`, and `<as_prefix><field>` for each field."""
    columns = [
        "u.user_id",
        *(f"r.{name}" for name in others),
        *(f'coalesce(v{n}.id, {UNKNOWN_ID}) AS "{as_prefix}{f.name}"' for n, f in enumerate(fields)),
    ]
    joins = "".join(f" LEFT JOIN {table(f)} AS v{n} ON r.{quoted(f)} = v{n}.value" for n, f in enumerate(fields))
    return f"SELECT {', '.join(columns)} FROM {rows} AS r JOIN users AS u ON r.user = u.user{joins}"


def table(field: Field) -> str:
    """The name of a field's vocabulary table."""
    return f"vocab_{field.name}"


def quoted(field: Field) -> str:
    """A field's name as a SQL identifier."""
    return identifier(field.name)


def names(fields: Iterable[Field], prefix: str = "") -> str:
    """The fields as a comma list of SQL identifiers."""
    return ", ".join(prefix + quoted(f) for f in fields)
