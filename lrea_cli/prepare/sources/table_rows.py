"""How the rows of one file of `table` become events: which columns, of which types, under which conditions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

from lrea_cli.console.terminal import clean
from lrea_cli.dataset.fields import YEAR_1900, YEAR_2200, Field, Role
from lrea_cli.errors import UserError, nearest
from lrea_cli.prepare.reading import hints
from lrea_cli.prepare.reading.blocks import WRONG_COLUMNS
from lrea_cli.prepare.reading.forms import NotTheLog
from lrea_cli.prepare.reading.judge import Judge
from lrea_cli.prepare.reading.tabular import TabularFile, check_columns
from lrea_cli.prepare.reading.times import TimeForm
from lrea_cli.prepare.sql import inexact_sql, label_sql, lost_sql, number_sql, spelled_sql, trimmed_sql

REMEDY = (
    "Check the column options (--user-column, --item-column, --time-column, --label-column), --time-unit, "
    "--time-format and --label-threshold."
)

BEFORE_SINCE, AFTER_UNTIL = "before_since", "after_until"
RESERVED = frozenset(("user", "time", "label", "source_row", "is_behavior", "request_id", "history_length", "offsets"))
"""Columns and files that a dataset has of its own."""


@dataclass(frozen=True)
class TableRows:
    """What is read of every file.

    Args:
        user, time, label: their columns; None: there is no label. fields: `item` first.
        times: how times are written. begins, ends: the first second that counts, and the one after the last; or None.
        threshold: of a label that is a number. missing: spellings of a missing value, in small letters.
    """

    user: str
    time: str
    label: str | None
    fields: tuple[FieldColumn, ...]
    times: TimeForm
    begins: int | None
    ends: int | None
    threshold: float | None
    missing: tuple[str, ...]

    @property
    def kinds(self) -> dict[str, str]:
        """The columns of `raw_events` and their SQL types."""
        shown = {"is_behavior": "BOOLEAN", "label": "TINYINT"} if self.label is not None else {}
        fields = {c.field.name: "DOUBLE" if c.field.numeric else "VARCHAR" for c in self.fields}
        return {"user": "VARCHAR", "time": "BIGINT", **shown, **fields}

    @property
    def texts(self) -> dict[str, str]:
        """Of these the ones that are compared as text, and the file's column that each is read from."""
        return {"user": self.user} | {c.field.name: c.column for c in self.fields if not c.field.numeric}

    @property
    def columns(self) -> dict[str, str]:
        """The columns to read, and the options that name them."""
        label = {} if self.label is None else {self.label: "--label-column"}
        of_fields = {c.column: c.option for c in self.fields}
        return {self.user: "--user-column", self.time: "--time-column"} | label | of_fields

    def check_roles(self) -> None:
        """Raise a UserError: user, item, time or label share a column, a field is the label, or a name is blank."""
        item, *others = self.fields
        roles = {"--user-column": self.user, "--item-column": item.column, "--time-column": self.time}
        roles |= {"--label-column": self.label} if self.label is not None else {}
        for option, column in (*roles.items(), *((c.option, c.column) for c in others)):
            if not column.strip():
                raise UserError(f"{option} names no column.", "Name a column, or leave the option out.")
        for one, other in combinations(roles, 2):
            if roles[one] == roles[other]:
                raise UserError(
                    f"{one} and {other} both name the column '{clean(roles[one])}'.",
                    "User, item, time and label each need a column of their own: name another one.",
                )
        for c in others:
            if c.column == self.label:
                raise UserError(
                    f"{c.option} and --label-column both name the column '{clean(c.column)}': an input would know the "
                    "label.",
                    f"Leave that {c.option} out, or name another column.",
                )

    def check_columns(self, file: TabularFile) -> None:
        """Raise NotTheLog where the file lacks user, item or time, UserError where it lacks another column."""
        identify = (self.user, self.fields[0].column, self.time)
        hint = hints.of_header(file.own, identify) if file.delimited and file.delimited.has_header else ""
        remedies = {column: hint or f"Name the column with {option}." for column, option in self.columns.items()}
        try:
            check_columns(file.path, file.names, remedies)
        except UserError as error:
            names = {name.strip().lower() for name in file.names}
            if all(column.strip().lower() in names for column in identify):
                raise  # the log, without another column or with a name in other letters
            raise NotTheLog(error.message, error.remedy) from error

    def judge(self, file: TabularFile, values: Mapping[str, tuple[str, str]]) -> Judge:
        """How the rows of a file are read; `values` are those of `Chosen`. UserError: the time's column has none."""
        user, item, time = (values[column] for column in (self.user, self.fields[0].column, self.time))
        instant = self.times.instant(*time, self.time)
        texts = {"_user_text": user, "_item_text": item, "_time_text": time}
        cast = {
            "_user": spelled_sql(*user, self.missing),
            "_inexact": f"{inexact_sql(*user)} OR {inexact_sql(*item)}",
            "_time": instant.seconds,
            "_nanoseconds": instant.nanoseconds,
        }
        kept, lost = {"user": "_user", "time": "_time"}, {}
        if self.label is not None:
            texts["_label_text"] = values[self.label]
            cast["_label"] = label_sql(*values[self.label], self.threshold)
            kept |= {"is_behavior": "_label = 1", "label": "_label"}
        for n, c in enumerate(self.fields):
            read = number_sql if c.field.numeric else spelled_sql
            cast[f"_f{n}"] = read(*values[c.column], self.missing)
            kept[c.field.name] = f"_f{n}"
            if c.field.numeric:
                cast[f"_lost{n}"] = lost_sql(*values[c.column], self.missing)
                lost[c.field.name] = f"_lost{n}"
        cast |= {name: f"nullif({trimmed_sql(*value)}, '')" for name, value in texts.items()}
        cast["_id_text"] = f"CASE WHEN {inexact_sql(*user)} THEN _user_text ELSE _item_text END"
        return Judge(
            cast,
            self._reasons(),
            kept,
            REMEDY,
            unwanted=frozenset((BEFORE_SINCE, AFTER_UNTIL)),
            nanoseconds="_nanoseconds",
            lost=lost,
            hints=self._hints(file),
        )

    def _hints(self, file: TabularFile) -> dict[str, tuple[str, hints.Hint]]:
        """What to do about the rejected rows of a file: reason -> the text that it is about, and what looks at it."""
        item = self.fields[0]
        times = ("_time_text", partial(hints.of_times, self.time, self.times.unit, self.times.pattern))
        by_reason: dict[str, tuple[str, hints.Hint]] = {
            "missing_user": ("_user_text", partial(hints.of_missing, "user", self.user, "--user-column")),
            "missing_item": ("_item_text", partial(hints.of_missing, "item", item.column, item.option)),
            "inexact_id": ("_id_text", hints.of_inexact),
            "unparseable_time": times,
            "time_out_of_range": times,
            AFTER_UNTIL: ("", hints.of_late),
        }
        if self.label is not None:
            by_reason[self._no_label] = ("_label_text", partial(hints.of_labels, self.label, self.threshold))
        if (form := file.delimited) is not None:
            lines = partial(hints.of_lines, form.separation.delimiter, len(form.names), not form.has_header)
            by_reason[WRONG_COLUMNS] = ("", lines)
        return by_reason

    @property
    def _no_label(self) -> str:
        return "label_not_0_or_1" if self.threshold is None else "label_not_a_number"

    def _reasons(self) -> dict[str, str]:
        reasons = {
            "missing_user": "_user IS NULL",
            "missing_item": "_f0 IS NULL",
            "inexact_id": "_inexact",
            "unparseable_time": "_time IS NULL",
            "time_out_of_range": f"_time NOT BETWEEN {YEAR_1900} AND {YEAR_2200}",
        }
        if self.begins is not None:
            reasons[BEFORE_SINCE] = f"_time < {self.begins}"
        if self.ends is not None:
            reasons[AFTER_UNTIL] = f"_time >= {self.ends}"
        if self.label is not None:
            reasons[self._no_label] = "_label IS NULL"
        return reasons


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
