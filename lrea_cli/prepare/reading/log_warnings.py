"""What to tell of a log that was read: times, numbers and ids that look wrong, and columns that may be the label."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lrea_cli.console.progress import ignore
from lrea_cli.dataset.fields import SECONDS_PER_DAY
from lrea_cli.errors import UserError
from lrea_cli.prepare.reading.blocks import ROWS_AT_MOST
from lrea_cli.prepare.reading.intake import Intake
from lrea_cli.prepare.reading.judge import INCOMING
from lrea_cli.prepare.reading.tabular import TabularFile, TextLayout, open_table
from lrea_cli.prepare.reading.times import UNIT_NAMES, UNITS_PER_SECOND, TimeForm, TimeUnit, looks_like_a_date, unit_of
from lrea_cli.prepare.sql import NUMBERS, TEXTS, count, family, identifier, label_sql, literal, spelled_sql

if TYPE_CHECKING:
    import duckdb

LOST_AT_MOST = 0.5
"""A numeric field of whose values more are no numbers is refused."""

START_BYTES = 1 << 18
FILES_READ = 4
"""So many first bytes of so many first files are looked at for a label: it has both values there."""

NAMES_SHOWN = 3
FIRST_DAYS, FIRST_YEAR = 3 * 86_400, 365 * 86_400
"""Seconds since 1970 that a log hardly lies in, as a whole."""

WHOLE_NUMBER = "-?[0-9]+"
EMPTY = "NULL"
"""The type of a Parquet column without any value: it goes with all others."""


def time_hint(intake: Intake, times: TimeForm) -> str:
    """What to do where the times look as if they were read as something else, or nothing."""
    first, last = intake.db.execute("SELECT min(time), max(time) FROM raw_events").fetchall()[0]
    return misread(first, last, times.unit) if times.pattern is None else ""


def value_warnings(intake: Intake, offset_seconds: int) -> Iterator[str]:
    """Warn of coarse times, and of numbers that could not be read; UserError: most of a field's are no numbers."""
    whole = (
        " OR ".join(f"bool_and((time + {offset}) % {seconds} = 0)" for offset in (offset_seconds, 0))
        for seconds in (SECONDS_PER_DAY, 3600)
    )
    several, days, hours = intake.db.execute(
        f"SELECT bool_and(source_row < {ROWS_AT_MOST}) AND min(time) < max(time), {', '.join(whole)} FROM raw_events"
    ).fetchall()[0]
    if several and (days or hours):
        one, unit = ("a day", "day") if days else ("an hour", "hour")
        yield (
            f"Every time is a whole {unit}: the order of events inside {one} is not known. Events of the same time "
            f"are not in each other's history, so a request sees only behaviors of earlier {unit}s. If the log has "
            "a finer time, name its column with --time-column."
        )
    for name, lost in intake.lost.items():
        if not lost.count:
            continue
        share = lost.count / (lost.count + count(intake.db, f"SELECT count({identifier(name)}) FROM raw_events"))
        some = ", ".join(map(repr, lost.first_values))
        message = f"--numeric {name}: {share:.1%} of its values are no numbers and count as missing, such as {some}."
        if share > LOST_AT_MOST:
            mend = "Write numbers as 4.50, name a spelling of no value with --missing, or leave --numeric out."
            raise UserError(message, mend)
        yield message


def label_warnings(intake: Intake, files: Sequence[ReadFile], layout: TextLayout) -> list[str]:
    """A warning that names the unused columns that hold 0 and 1 and nothing else, if there are any."""
    start = replace(intake.beside(), progress=ignore, first_bytes=START_BYTES)
    tables = [open_table(file.path, start, layout) for file in files[:FILES_READ]]
    names = [
        name
        for name in unused_columns(files[:FILES_READ])
        if {value for table in tables if name in table.names for value in _values(start, table, name)} == {0, 1}
    ]
    if not names:
        return []
    listed = ", ".join(map(repr, names[:NAMES_SHOWN])) + (", .." if len(names) > NAMES_SHOWN else "")
    return [
        "No --label-column is given: every row counts as a click, and negatives are drawn. Unused columns that hold "
        f"only 0 and 1 (or yes and no) at the start of the log: {listed}. If one says which rows were clicked, add "
        f"--label-column {shlex.quote(names[0]) if len(names) == 1 else 'NAME'}."
    ]


def _values(intake: Intake, table: TabularFile, name: str) -> set[int | None]:
    """0 and 1 where a column has them, None for anything else but a missing value."""
    try:
        chosen = table.choose([name])
        block = next(chosen.blocks, None)
    except UserError:  # it holds no single values
        return {None}
    if block is None:
        return set()
    x, kind = chosen.values[name]
    intake.db.register(INCOMING, block.rows)
    try:
        labels = intake.db.execute(
            f"SELECT DISTINCT {label_sql(x, kind)} FROM {INCOMING} WHERE {spelled_sql(x, kind)} IS NOT NULL"
        ).fetchall()
    finally:
        intake.db.unregister(INCOMING)
    return {value for (value,) in labels}


def misread(first: int, last: int, unit: TimeUnit) -> str:
    """What to say of a log's first and last time (seconds since 1970) that look wrong in this unit, or nothing."""
    per = UNITS_PER_SECOND[unit]
    read_as = f"read as {UNIT_NAMES[unit]} since 1970"
    if guess := looks_like_a_date(first * per, last * per):
        return f"The times {first * per} to {last * per} were {read_as}; they look like dates: --time-format '{guess}'."
    if not 0 <= first <= last < FIRST_YEAR:
        return ""
    other = unit_of((last + 1) * per)
    if other and other != unit:
        return (
            f"The times were {read_as}, and all lie in 1970; they look like {UNIT_NAMES[other]}: --time-unit {other}."
        )
    if last < FIRST_DAYS:
        return (
            "All times lie in the first days of 1970: their unit looks wrong here, or was when the file was written. "
            "See --time-unit and --time-format, or name another --time-column."
        )
    return ""


@dataclass(frozen=True)
class ReadFile:
    """A file that was read.

    Args:
        lines_before: of the files before.
        kinds: column of `raw_events` -> the SQL type that it was read from.
        unused: columns that no option names.
    """

    path: Path
    lines_before: int
    lines: int
    kinds: dict[str, str]
    unused: tuple[str, ...] = ()


def check_reconciled(db: duckdb.DuckDBPyConnection, files: Sequence[ReadFile], columns: Sequence[str]) -> list[str]:
    """Return warnings of columns of text that hold numbers in one file and names in another.

    An id has one spelling, whatever its type: whole numbers are the same ids as numbers of any type and as text (5, 5.0
    and "5"). Names beside fractions or booleans are not, nor are times beside anything else.

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
