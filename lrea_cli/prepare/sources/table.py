"""Any event log in delimited text, JSON lines (also packed) or Parquet: options say which column is what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, get_args

import typer

from lrea_cli.dataset.fields import SECONDS_PER_DAY, Field, Role
from lrea_cli.dataset.spelling import MISSING
from lrea_cli.errors import UserError, check_choice
from lrea_cli.prepare.reading.forms import EmptyFile, NotTheLog
from lrea_cli.prepare.reading.intake import Intake
from lrea_cli.prepare.reading.log_warnings import (
    ReadFile,
    check_reconciled,
    label_warnings,
    time_hint,
    unused_columns,
    value_warnings,
)
from lrea_cli.prepare.reading.tabular import TextLayout, open_table, shown_names
from lrea_cli.prepare.reading.times import TimeForm, TimeUnit, parse_day, parse_offset
from lrea_cli.prepare.sources.base import (
    DRAWING_OPTIONS,
    Extract,
    NegativesOption,
    PositivesOption,
    Sampling,
    Source,
    check_sampling,
)
from lrea_cli.prepare.sources.table_rows import REMEDY, FieldColumn, TableRows, field_columns
from lrea_cli.prepare.sql import identifier

PASSED_OVER_SHOWN = 3


@dataclass(frozen=True)
class Table(Source):
    """Your own log: one row an event, columns named by options."""

    name: ClassVar[str] = "table"
    file_names: ClassVar[tuple[str, ...]] = ("*.csv", "*.tsv", "*.parquet", "*.pq", "*.jsonl", "*.ndjson", "*.json")
    idle_options: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(DRAWING_OPTIONS, "label_column"),
        "time_unit": "time_format",
    }
    where_to_get: ClassVar[str] = (
        "any CSV, TSV, JSON lines (also .gz, .zip, .bz2, .xz) or Parquet with columns for user, item and time"
    )

    user_column: Annotated[str, typer.Option(help="Column of the user's id.")] = "user"
    item_column: Annotated[str, typer.Option(help="Column of the item's id.")] = "item"
    category_column: Annotated[str | None, typer.Option(help="Column of the item's category, if there is one.")] = None
    time_column: Annotated[str, typer.Option(help="Column of the time: a number, a timestamp or ISO 8601 text.")] = (
        "time"
    )
    time_unit: Annotated[TimeUnit, typer.Option(help="Unit of a numeric time since 1970.")] = "s"
    time_format: Annotated[
        str | None,
        typer.Option(help="Format of times, in the signs of strptime: '%Y%m%d%H' reads 2016010100."),
    ] = None
    label_column: Annotated[
        str | None,
        typer.Option(
            help="Column with 0 or 1 (or yes, no, true, false): each row is then an exposure, and rows with 1 are the "
            "history. Without it every row is a behavior, and negatives are drawn."
        ),
    ] = None
    label_threshold: Annotated[
        float | None, typer.Option(help="The label is a number, and a click from this one on: 4 for ratings.")
    ] = None
    item_field: Annotated[
        list[str], typer.Option(metavar="<name>", help="A further item feature: name or name=column. Repeatable.")
    ] = field(default_factory=list)
    user_field: Annotated[
        list[str], typer.Option(metavar="<name>", help="A user feature: name or name=column. Repeatable.")
    ] = field(default_factory=list)
    context_field: Annotated[
        list[str], typer.Option(metavar="<name>", help="A context feature: name or name=column. Repeatable.")
    ] = field(default_factory=list)
    numeric: Annotated[
        list[str],
        typer.Option(
            metavar="<name>", help="A declared field whose values are numbers: they are cut into quantiles. Repeatable."
        ),
    ] = field(default_factory=list)
    missing: Annotated[
        str,
        typer.Option(
            show_default=False,
            help="Texts that mean that a value is missing, with commas between them, in any case of the letters; an "
            f"empty value always does. Default: {', '.join(MISSING)}.",
        ),
    ] = ",".join(MISSING)
    keep_repeats: Annotated[
        bool, typer.Option("--keep-repeats", help="Keep rows that equal another one in every column that is used.")
    ] = False
    since: Annotated[
        str | None, typer.Option(help="The first day that counts, such as 2017-11-25; earlier rows are left out.")
    ] = None
    until: Annotated[
        str | None, typer.Option(help="The last day that counts, such as 2017-12-03; later rows are left out.")
    ] = None
    negatives: NegativesOption = "same-day"
    positives: PositivesOption = "all"
    delimiter: Annotated[
        str | None,
        typer.Option(help="Between the values of text files: ';', '::', tab, ..; default: found in the first line."),
    ] = None
    columns: Annotated[
        str | None, typer.Option(help="Names of all columns, for text files without a header: user,item,time.")
    ] = None
    no_quotes: Annotated[
        bool, typer.Option("--no-quotes", help="In text files: double quotes are characters like all others.")
    ] = False
    backslash: Annotated[
        bool, typer.Option("--backslash", help="In text files: a backslash escapes the next character.")
    ] = False
    utc_offset: Annotated[
        str,
        typer.Option(
            help="Hours east of UTC, such as 8, -3.5, +05:30, at which days begin and which times without a zone have."
        ),
    ] = "0"

    def __post_init__(self) -> None:
        check_sampling(self.negatives, self.positives)
        self._layout()
        check_choice("time-unit", self.time_unit, get_args(TimeUnit))
        if self.label_threshold is not None and self.label_column is None:
            raise UserError("--label-threshold needs a label.", "Name its column with --label-column.")
        rows = self._rows()
        rows.check_roles()
        if rows.begins is not None and rows.ends is not None and rows.begins >= rows.ends:
            raise UserError(
                f"--since {self.since} is after --until {self.until}: no row is between them.", "Exchange the two."
            )
        names = [c.field.name for c in rows.fields if c.field.role == "item"]
        if self.negatives == "same-day-category" and self.label_column is None and "category" not in names:
            raise UserError(
                "--negatives same-day-category needs the items' categories.",
                "Name their column with --category-column, or choose other --negatives.",
            )

    def extract(self, intake: Intake, files: list[Path]) -> Extract:
        """Read the files, keep the rows that have a user, an item, a time and (if asked for) a label."""
        rows = self._rows()
        rows.times.check(intake.db)
        intake.db.execute("SET TimeZone = 'UTC'")  # of text without a zone, from which the offset is then taken off
        intake.create("raw_events", rows.kinds)
        read, passed_over = self._read(intake, files, rows)
        intake.require_some(files, REMEDY)
        hint = time_hint(intake, rows.times)
        warnings = [*passed_over, *check_reconciled(intake.db, read, list(rows.texts))]
        warnings += [hint] if hint else []
        warnings += value_warnings(intake, rows.times.offset_seconds)
        warnings += label_warnings(intake, read, self._layout()) if self.label_column is None else []
        unique = [name for name in rows.kinds if name != "is_behavior"]  # which follows from the label
        return Extract(
            fields=tuple(c.field for c in rows.fields),
            sampling=Sampling(self.negatives, self.positives) if self.label_column is None else None,
            utc_offset_minutes=parse_offset(self.utc_offset),
            unique=() if self.keep_repeats else tuple(unique),
            text=f"concat_ws(',', {', '.join(map(identifier, unique))})",
            warnings=tuple(warnings),
            unused_columns=unused_columns(read),
            time_hint=hint,
        )

    def _rows(self) -> TableRows:
        offset = parse_offset(self.utc_offset) * 60
        declared: dict[Role, list[str]] = {
            "item": self.item_field,
            "user": self.user_field,
            "context": self.context_field,
        }
        return TableRows(
            user=self.user_column,
            time=self.time_column,
            label=self.label_column,
            fields=tuple(field_columns(self._own_columns(), declared, self.numeric)),
            times=TimeForm(self.time_unit, self.time_format, offset),
            begins=None if self.since is None else parse_day("--since", self.since) * SECONDS_PER_DAY - offset,
            ends=None if self.until is None else (parse_day("--until", self.until) + 1) * SECONDS_PER_DAY - offset,
            threshold=self.label_threshold,
            missing=tuple(word.strip().lower() for word in self.missing.split(",") if word.strip()),
        )

    def _layout(self) -> TextLayout:
        return TextLayout.of_options(self.columns, self.delimiter, not self.no_quotes, self.backslash)

    def _own_columns(self) -> list[FieldColumn]:
        """Those of the item and, if there is one, its category."""
        own = [FieldColumn(Field("item", "item"), self.item_column, "--item-column")]
        if self.category_column is not None:
            own.append(FieldColumn(Field("category", "item"), self.category_column, "--category-column"))
        return own

    def _read(self, intake: Intake, files: Sequence[Path], rows: TableRows) -> tuple[list[ReadFile], tuple[str, ...]]:
        """Take the rows of the files that are part of the log; return these files, and what to tell of the others.

        Raises:
            UserError: a file cannot be read or lacks a column, or none is part of the log.
        """
        read: list[ReadFile] = []
        others: list[NotTheLog] = []
        for path in files:
            try:
                read.append(self._read_file(intake, path, rows))
            except NotTheLog as error:
                others.append(error)
        if others and not read:
            raise next((error for error in others if not isinstance(error, EmptyFile)), others[0])
        shown = " ".join(error.message for error in others[:PASSED_OVER_SHOWN])
        told = f"{len(others)} of {len(files)} files were passed over, as they are no part of the log: {shown}"
        return read, (told,) if others else ()

    def _read_file(self, intake: Intake, path: Path, rows: TableRows) -> ReadFile:
        file = open_table(path, intake, self._layout())
        rows.check_columns(file)
        chosen, before = file.choose(list(rows.columns)), intake.lines
        intake.take(chosen.file, chosen.blocks, rows.judge(file, chosen.values), "raw_events")
        kinds = {name: chosen.values[column][1] for name, column in rows.texts.items()}
        names = zip(file.names, shown_names(file.names), strict=True)
        unused = tuple(shown for name, shown in names if name not in rows.columns)
        return ReadFile(path, before, intake.lines - before, kinds, unused)
