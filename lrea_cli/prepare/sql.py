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
