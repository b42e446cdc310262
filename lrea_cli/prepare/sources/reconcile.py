"""Whether a column holds the same kind of values in every file of a log: an id has one spelling, whatever its type.

Whole numbers reconcile all number types and text (5, 5.0 and "5" are one id). What does not: names in one file and
fractions or booleans in another, or times beside anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lrea_cli.errors import UserError
from lrea_cli.prepare.sources.blocks import ROWS_AT_MOST
from lrea_cli.prepare.spelling_sql import NUMBERS, TEXTS, family
from lrea_cli.prepare.sql import identifier, literal

if TYPE_CHECKING:
    import duckdb

WHOLE_NUMBER = "-?[0-9]+"
EMPTY = "NULL"
"""The type of a Parquet column without any value: it goes with all others."""


@dataclass(frozen=True)
class ReadFile:
    """A file that was read.

    Args:
        lines_before: of the files before.
        lines: of this one.
        kinds: column of `raw_events` -> the SQL type that it was read from.
        unused: columns that no option names.
    """

    path: Path
    lines_before: int
    lines: int
    kinds: dict[str, str]
    unused: tuple[str, ...] = ()


def check_reconciled(db: duckdb.DuckDBPyConnection, files: Sequence[ReadFile], columns: Sequence[str]) -> list[str]:
    """Return warnings of columns that hold numbers in one file and names in another.

    Args:
        columns: of `raw_events`, whose values are compared as text.

    Raises:
        UserError: a column's types cannot be reconciled; two files are named.
    """
    return [warning for column in columns if (warning := _check(db, files, column))]


def unused_columns(files: Sequence[ReadFile]) -> tuple[str, ...]:
    """Columns of any file that no option names, in the order of the files."""
    return tuple(dict.fromkeys(name for file in files for name in file.unused))


def _check(db: duckdb.DuckDBPyConnection, files: Sequence[ReadFile], column: str) -> str:
    known = [file for file in files if file.kinds[column].strip('"') != EMPTY]
    numbers, texts = ([file for file in known if family(file.kinds[column]) in kinds] for kinds in (NUMBERS, TEXTS))
    others = [file for file in known if file not in numbers and file not in texts]
    for file in known if others else ():
        if file.kinds[column] != others[0].kinds[column]:
            raise _apart(column, (others[0], "of one type"), (file, "of another"))
    value = identifier(column)
    name = _first(db, texts, column, lambda _: f"TRY_CAST({value} AS DOUBLE) IS NULL") if numbers else None
    if name is None:
        return ""
    no_number = f"NOT regexp_full_match({value}, {literal(WHOLE_NUMBER)})"
    odd = _first(db, numbers, column, lambda kind: "true" if kind == "BOOLEAN" else no_number)
    if odd is not None:
        raise _apart(column, odd, name)
    return (
        f"'{column}' holds whole numbers in {numbers[0].path.name} and names such as {name[1]} in {name[0].path.name}: "
        "no number is the same as a name."
    )


def _first(
    db: duckdb.DuckDBPyConnection, files: Sequence[ReadFile], column: str, condition: Callable[[str], str]
) -> tuple[ReadFile, str] | None:
    """The first file with a value of which `condition` (of its type; SQL) holds, and that value, quoted."""
    value, line = identifier(column), f"source_row % {ROWS_AT_MOST}"
    for file in files:
        of_file = f"{line} BETWEEN {file.lines_before + 1} AND {file.lines_before + file.lines}"
        where = f"{of_file} AND {value} IS NOT NULL AND {condition(file.kinds[column])}"
        query = f"SELECT arg_min({value}, {line}) FROM raw_events WHERE {where}"
        if (first := db.execute(query).fetchall()[0][0]) is not None:
            return file, repr(first)
    return None


def _apart(column: str, one: tuple[ReadFile, str], other: tuple[ReadFile, str]) -> UserError:
    (file, what), (second, and_what) = one, other
    return UserError(
        f"'{column}' is {what} ({file.kinds[column]}) in {file.path} and {and_what} ({second.kinds[column]}) in "
        f"{second.path}: these cannot be the same ids.",
        "Export the column with one type, or prepare the files apart.",
    )
