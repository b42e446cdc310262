"""How a column of a table becomes a user, an item, a time, a label or a field: checks and SQL expressions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lrea_cli.console.terminal import clean
from lrea_cli.dataset.fields import Field, Role
from lrea_cli.dataset.spelling import MISSING
from lrea_cli.errors import UserError, nearest
from lrea_cli.prepare.sources.header import shown_names
from lrea_cli.prepare.sources.hints import CLICKED, NOT_CLICKED
from lrea_cli.prepare.spelling_sql import TEXTS, family, is_missing_sql, spelled_sql, trimmed_sql
from lrea_cli.prepare.sql import literal

LONGEST_NAME, MOST_NAMES = 60, 40
"""Of the columns that a message lists."""

RESERVED = frozenset(("user", "time", "label", "source_row", "is_behavior", "request_id", "history_length", "offsets"))
"""Columns and files that a dataset has of its own."""


@dataclass(frozen=True)
class FieldColumn:
    """A field, the column that it is read from, and the option that says so."""

    field: Field
    column: str
    option: str


def field_columns(
    chosen: Sequence[FieldColumn], declared: Mapping[Role, Iterable[str]], numeric: Iterable[str]
) -> list[FieldColumn]:
    """Add the fields of `--<role>-field name=column` (or just `name`) to those chosen already.

    Args:
        numeric: names of those whose values are numbers.

    Raises:
        UserError: a name is not usable, or used twice, or numeric and not declared.
    """
    columns = list(chosen)
    numbers = set(numeric)
    reserved = ", ".join(sorted(RESERVED))
    for role, texts in declared.items():
        option = f"--{role}-field"
        for text in texts:
            name, _, column = text.partition("=")
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name.lower() in RESERVED:
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
                f"{clean(path)} has no column '{column}'{clean(nearest(column, names))}. It has: {_listed(names)}.",
                remedy,
            )


def _listed(names: list[str]) -> str:
    """The first columns of a file, as a message may show them."""
    short = [
        name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}.." for name in shown_names(names)[:MOST_NAMES]
    ]
    return clean(", ".join(short) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""))


def number_sql(x: str, kind: str = "VARCHAR", missing: Iterable[str] = MISSING) -> str:
    """SQL for a finite number, or NULL.

    Args:
        x: SQL of the value. kind: its SQL type.
    """
    if family(kind) not in TEXTS:
        number = f"TRY_CAST({x} AS DOUBLE)"
        return f"CASE WHEN isfinite({number}) THEN {number} END"
    text = trimmed_sql(x, kind)
    number = f"TRY_CAST({text} AS DOUBLE)"
    return f"CASE WHEN NOT {is_missing_sql(text, missing)} AND isfinite({number}) THEN {number} END"


def lost_sql(x: str, kind: str, missing: Iterable[str] = MISSING) -> str:
    """SQL for a value that is there and is no number, as it stands, or NULL."""
    return f"CASE WHEN {number_sql(x, kind, missing)} IS NULL THEN {spelled_sql(x, kind, missing)} END"


def label_sql(x: str, kind: str = "VARCHAR", threshold: float | None = None) -> str:
    """SQL for 0 or 1, or NULL for anything else.

    Args:
        threshold: a number that is at least so large is a click, any smaller one is none.
    """
    if threshold is not None:
        return f"CAST(({number_sql(x, kind)} >= {threshold!r}) AS TINYINT)"
    text = f"lower({spelled_sql(x, kind)})"
    words = ((", ".join(map(literal, listed)), value) for listed, value in ((CLICKED, 1), (NOT_CLICKED, 0)))
    cases = " ".join(f"WHEN {text} IN ({listed}) THEN {value}" for listed, value in words)
    return f"CAST(CASE {cases} END AS TINYINT)"
