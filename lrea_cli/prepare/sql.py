"""Pieces of SQL that all of data preparation shares, and the hash behind every draw, the same in any engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

PRIME = 2**31 - 1
"""Of the hash: only multiplications and remainders below 2^62."""


def count(db: duckdb.DuckDBPyConnection, sql: str) -> int:
    """The single number that a query returns."""
    return db.execute(sql).fetchall()[0][0]  # fetchone would leave the result open, and the connection busy


def literal(text: str) -> str:
    """A string as SQL text."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def store(db: duckdb.DuckDBPyConnection, table: str, query: str, first: bool) -> None:
    """Make a table of a query's rows where it is the `first` one, else add the rows to it."""
    db.execute(f"CREATE TABLE {table} AS {query}" if first else f"INSERT INTO {table} {query}")


def drop(db: duckdb.DuckDBPyConnection, *tables: str) -> None:
    """Drop tables that have served."""
    for table in tables:
        db.execute(f"DROP TABLE {table}")


def kinds_of(db: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """The columns of a table and their SQL types."""
    return {name: kind for name, kind, *_ in db.execute(f"DESCRIBE {table}").fetchall()}


def mix(number: int) -> int:
    """One step (multiply, fold, multiply; modulo 2^31 - 1); `mix_sql` is the same."""
    h = number % PRIME * 1_103_515_245 % PRIME
    return (h ^ (h >> 15)) * 48_271 % PRIME


def mix_sql(number: str) -> str:
    """`mix` as SQL, for a BIGINT expression that is not negative."""
    h = f"(({number}) % {PRIME} * 1103515245 % {PRIME})"
    return f"(xor({h}, {h} >> 15) * 48271 % {PRIME})"


def wide_sql(mixed: str) -> str:
    """SQL: a column that is mixed once already beside its next step, below 2^62: enough to choose among billions."""
    return f"({mixed} * {PRIME} + {mix_sql(f'{mixed} + 1')})"


def residue_sql(column: str, kind: str) -> str:
    """A raw value as 0 .. PRIME - 1, so that no sum overflows; text by the first 15 hex digits of its md5."""
    number = f"CAST('0x' || substr(md5({column}), 1, 15) AS BIGINT)" if kind == "VARCHAR" else column
    return f"(({number}) % {PRIME} + {PRIME}) % {PRIME}"
