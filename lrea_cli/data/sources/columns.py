"""How a column of a table becomes a user, an item, a time, a label or a field: checks and SQL expressions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lrea_cli.data.schema import Field, Role
from lrea_cli.data.sources.forms import shown
from lrea_cli.errors import UserError, nearest

UNITS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000}
LONGEST_NAME, MOST_NAMES = 60, 40
"""Of the columns that a message lists."""

RESERVED = frozenset(
    ("user", "time", "label", "source_row", "is_behavior", "request_id", "history_length", "offsets", "value")
)
INTEGER_TYPES = frozenset(
    f"{sign}{kind}" for sign in ("", "U") for kind in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
)


@dataclass(frozen=True)
class FieldColumn:
    """A field, the column that it is read from, and the option that says so."""

    field: Field
    column: str
    option: str


def field_columns(
    found: list[FieldColumn], declared: Mapping[Role, Iterable[str]], numeric: Iterable[str]
) -> list[FieldColumn]:
    """Add the fields of `--<role>-field name=column` (or just `name`) to those found already.

    Args:
        numeric: names of those whose values are numbers.

    Raises:
        UserError: a name is not usable, or used twice, or numeric and not declared.
    """
    columns = list(found)
    numbers = set(numeric)
    reserved = ", ".join(sorted(RESERVED))
    for role, texts in declared.items():
        option = f"--{role}-field"
        for text in texts:
            name, _, column = text.partition("=")
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name.lower() in RESERVED:
                raise UserError(
                    f"{option} {text}: '{name}' is not a usable name of a field.",
                    f"Write {option} name=column, with letters, digits and '_', and none of: {reserved}.",
                )
            if name.lower() in {c.field.name.lower() for c in columns}:
                raise UserError(f"{option} {text}: there is a field '{name}' already.", "Give it another name.")
            columns.append(FieldColumn(Field(name, role, name in numbers), column or name, option))
    names = [c.field.name for c in columns if c.option.endswith("-field")]
    for name in sorted(numbers - set(names)):
        raise UserError(
            f"--numeric {name}: no such field is declared{nearest(name, names)}.",
            f"Declare it as well: --item-field {name}, --user-field {name} or --context-field {name}.",
        )
    return columns


def check_columns(path: Path, existing: Iterable[str], wanted: Mapping[str, str]) -> None:
    """Every wanted column (name -> what to do where it is missing) must exist.

    Raises:
        UserError: one does not; the message has the nearest name and all names.
    """
    names = list(existing)
    for column, remedy in wanted.items():
        if column not in names:
            raise UserError(
                f"{shown(path)} has no column '{column}'{shown(nearest(column, names))}. It has: {_listed(names)}.",
                remedy,
            )


def _listed(names: list[str]) -> str:
    """The first columns of a file, as a message may show them."""
    short = [name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}.." for name in names[:MOST_NAMES]]
    return shown(", ".join(short) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""))


def text_sql(column: str) -> str:
    """A value as text; the empty text is a missing value. Here and below `column` is SQL of a column."""
    return f"nullif(CAST({column} AS VARCHAR), '')"


def number_sql(column: str) -> str:
    """A finite number, or NULL."""
    number = f"TRY_CAST({column} AS DOUBLE)"
    return f"CASE WHEN isfinite({number}) THEN {number} END"


def label_sql(column: str) -> str:
    """0 or 1, or NULL for anything else."""
    text = f"lower(trim(CAST({column} AS VARCHAR)))"
    return f"CASE WHEN {text} IN ('1', '1.0', 'true') THEN 1 WHEN {text} IN ('0', '0.0', 'false') THEN 0 END"


def time_sql(column: str, kind: str, unit: str) -> str:
    """Epoch seconds, rounded down, or NULL; `kind` is the column's SQL type, `unit` that of a number."""
    x, per_second = column, UNITS_PER_SECOND[unit]
    if kind in INTEGER_TYPES:
        return _floor_seconds(f"TRY_CAST({x} AS BIGINT)", per_second)
    if kind.startswith(("TIMESTAMP", "DATE")):
        return f"CASE WHEN isfinite({x}) THEN CAST(floor(epoch({x})) AS BIGINT) END"
    if kind != "VARCHAR":
        return f"TRY_CAST(floor(TRY_CAST({x} AS DOUBLE) / {per_second}) AS BIGINT)"
    stamp = f"TRY_CAST({x} AS TIMESTAMPTZ)"
    return (
        f"CASE WHEN regexp_full_match({x}, '[-+]?[0-9]+') "
        f"THEN {_floor_seconds(f'TRY_CAST({x} AS BIGINT)', per_second)} "
        f"WHEN regexp_full_match({x}, '[-+]?[0-9]+[.][0-9]*') "
        f"THEN TRY_CAST(floor(TRY_CAST({x} AS DOUBLE) / {per_second}) AS BIGINT) "
        f"WHEN isfinite({stamp}) THEN CAST(floor(epoch({stamp})) AS BIGINT) END"
    )


def _floor_seconds(number: str, per_second: int) -> str:
    """Integer division that rounds down for times before 1970, too (that of SQL goes towards zero)."""
    if per_second == 1:
        return number
    return f"({number} - ({number} % {per_second} + {per_second}) % {per_second}) // {per_second}"
