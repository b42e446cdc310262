"""Small pieces of SQL text that all of data preparation shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


def count(db: duckdb.DuckDBPyConnection, sql: str) -> int:
    """The single number that a query returns."""
    return db.execute(sql).fetchall()[0][0]  # fetchone would leave the result open, and the connection busy


def literal(text: str) -> str:
    """A string as SQL text."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def kinds_of(db: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """The columns of a table and their SQL types."""
    return {name: kind for name, kind, *_ in db.execute(f"DESCRIBE {table}").fetchall()}
