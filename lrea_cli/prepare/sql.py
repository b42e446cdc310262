"""SQL that all of preparing shares: names, the hash behind every draw, and `spelling.py` for columns of any type."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lrea_cli.dataset.spelling import BLANKS, MISSING, ROUNDED, WHOLE

if TYPE_CHECKING:
    import duckdb

CLICKED, NOT_CLICKED = ("1", "true", "t", "yes", "y"), ("0", "false", "f", "no", "n")
"""What is a label without a threshold, in small letters."""

EXACT_DOUBLE, EXACT_FLOAT = 2**53, 2**24

FAMILIES: dict[str, frozenset[str]] = {
    "whole": frozenset(
        f"{sign}{kind}" for sign in ("", "U") for kind in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
    ),
    "float": frozenset(("FLOAT", "DOUBLE")),
    "decimal": frozenset(("DECIMAL",)),
    "boolean": frozenset(("BOOLEAN",)),
    "text": frozenset(("VARCHAR", "ENUM", "JSON", "UUID", "NULL")),
    "binary": frozenset(("BLOB",)),
}

NUMBERS = ("whole", "float", "decimal", "boolean")
TEXTS = ("text", "binary")


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


def family(kind: str) -> str:
    """What a SQL type holds: one of `FAMILIES`, `time` or `other`."""
    bare = kind.strip('"').partition("(")[0]
    if kind.endswith("]"):
        return "other"
    for name, kinds in FAMILIES.items():
        if bare in kinds:
            return name
    return "time" if bare.startswith(("TIMESTAMP", "DATE")) else "other"


def spelled_sql(x: str, kind: str, missing: Iterable[str] = MISSING) -> str:
    """SQL for a value's one spelling, or NULL where it is missing.

    Args:
        x: SQL of the value, such as a quoted column.
        kind: its SQL type.
        missing: in small letters.
    """
    holds = family(kind)
    if holds in TEXTS:
        text = trimmed_sql(x, kind)
        whole = f"ends_with({text}, '0') AND regexp_full_match({text}, {literal(WHOLE)})"
        digits = f"WHEN {whole} THEN split_part({text}, '.', 1)"
        return f"CASE WHEN {is_missing_sql(text, missing)} THEN NULL {digits} ELSE {text} END"
    text = _number_text(x, kind)
    listed = [word for word in missing if re.match("[-+]?[0-9.]", word)] if holds in NUMBERS else []
    text = f"CASE WHEN {text} NOT IN ({', '.join(map(literal, listed))}) THEN {text} END" if listed else text
    return f"CASE WHEN isfinite({x}) THEN {text} END" if holds == "float" else text


def inexact_sql(x: str, kind: str) -> str:
    """SQL: a floating-point number has rounded this id, so that others may have become the same."""
    holds = family(kind)
    if holds == "float":
        return f"coalesce(isfinite({x}) AND abs({x}) > {_exact(kind)} AND {x} = trunc({x}), false)"
    if holds not in TEXTS:
        return "false"
    text = trimmed_sql(x, kind)
    large = f"TRY_CAST(split_part({text}, '.', 1) AS DOUBLE)"
    return (
        f"coalesce(length({text}) >= 7 AND (regexp_full_match({text}, {literal(ROUNDED)}) OR "
        f"(regexp_full_match({text}, {literal(WHOLE)}) AND abs({large}) > {EXACT_DOUBLE})), false)"
    )


def trimmed_sql(x: str, kind: str) -> str:
    """SQL for a text without blanks at its ends; bytes are read as UTF-8, and NULL where they are none."""
    text = f"TRY(decode({x}))" if family(kind) == "binary" else f"CAST({x} AS VARCHAR)"
    return f"trim({text}, {literal(BLANKS)})"


def is_missing_sql(trimmed: str, missing: Iterable[str] = MISSING) -> str:
    """SQL: a trimmed text is a spelling of a missing value."""
    words = ", ".join(map(literal, ("", *missing)))
    return f"({trimmed} IS NULL OR lower({trimmed}) IN ({words}))"


def _number_text(x: str, kind: str) -> str:
    holds = family(kind)
    if holds == "boolean":
        return f"CAST(CAST({x} AS TINYINT) AS VARCHAR)"
    if holds == "float":
        whole = f"abs({x}) <= {_exact(kind)} AND {x} = trunc({x})"
        return f"CASE WHEN {whole} THEN CAST(CAST({x} AS BIGINT) AS VARCHAR) ELSE CAST({x} AS VARCHAR) END"
    if holds == "decimal" and not kind.endswith(",0)"):
        return f"rtrim(rtrim(CAST({x} AS VARCHAR), '0'), '.')"
    return f"CAST({x} AS VARCHAR)"


def _exact(kind: str) -> int:
    return EXACT_FLOAT if kind == "FLOAT" else EXACT_DOUBLE


def number_sql(x: str, kind: str = "VARCHAR", missing: Iterable[str] = MISSING) -> str:
    """SQL for a finite number, or NULL; arguments as those of `spelled_sql`."""
    is_text = family(kind) in TEXTS
    text = trimmed_sql(x, kind) if is_text else x
    number = f"TRY_CAST({text} AS DOUBLE)"
    known = f"NOT {is_missing_sql(text, missing)} AND " if is_text else ""
    return f"CASE WHEN {known}isfinite({number}) THEN {number} END"


def lost_sql(x: str, kind: str, missing: Iterable[str] = MISSING) -> str:
    """SQL for a value that is there and is no number, as it stands, or NULL."""
    return f"CASE WHEN {number_sql(x, kind, missing)} IS NULL THEN {spelled_sql(x, kind, missing)} END"


def label_sql(x: str, kind: str = "VARCHAR", threshold: float | None = None) -> str:
    """SQL for 0 or 1, or NULL for anything else; with a threshold, numbers from it on are clicks, smaller ones none."""
    if threshold is not None:
        return f"CAST(({number_sql(x, kind)} >= {threshold!r}) AS TINYINT)"
    text = f"lower({spelled_sql(x, kind)})"
    words = ((", ".join(map(literal, listed)), value) for listed, value in ((CLICKED, 1), (NOT_CLICKED, 0)))
    cases = " ".join(f"WHEN {text} IN ({listed}) THEN {value}" for listed, value in words)
    return f"CAST(CASE {cases} END AS TINYINT)"


def strict_integer(name: str) -> str:
    """SQL for a 64-bit integer, or NULL: a plain TRY_CAST would also take 1.5 (as 2), 1e3, 1_0 and 0x10."""
    return (
        f"CASE WHEN TRY_CAST({name} AS BIGINT)::VARCHAR = {name} THEN TRY_CAST({name} AS BIGINT) "
        f"WHEN regexp_full_match({name}, '[-+]?[0-9]+') THEN TRY_CAST({name} AS BIGINT) END"
    )


PRIME = 2**31 - 1
"""Of the hash: only multiplications and remainders below 2^62."""
