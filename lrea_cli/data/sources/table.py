"""Any event log in CSV, TSV (also .gz or .zip) or Parquet: which column is what is said by options."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, get_args

import typer

from lrea_cli.data.schema import SECONDS_PER_DAY, Extract, Field, Role, Sampling
from lrea_cli.data.sources.columns import FieldColumn, field_columns
from lrea_cli.data.sources.delimited import Delimited, read_header
from lrea_cli.data.sources.intake import Intake
from lrea_cli.data.sources.parquet import ParquetRows, is_parquet
from lrea_cli.data.sources.reconcile import ReadFile, check_reconciled, unused_columns
from lrea_cli.data.sources.sampled import NegativesOption, PositivesOption, check_sampling
from lrea_cli.data.sources.table_rows import REMEDY, TableRows
from lrea_cli.data.sources.times import TimeForm, TimeUnit, parse_offset, parse_until
from lrea_cli.data.spelling import MISSING
from lrea_cli.data.sql import identifier
from lrea_cli.errors import UserError, check_choice


@dataclass(frozen=True)
class Table:
    """Your own log: one row an event, columns named by options."""

    name: ClassVar[str] = "table"
    file_names: ClassVar[tuple[str, ...]] = ("*.csv", "*.tsv", "*.parquet")
    companion_names: ClassVar[tuple[str, ...]] = ()
    unused_options: ClassVar[tuple[str, ...]] = ()
    where_to_get: ClassVar[str] = "any CSV, TSV (also .gz, .zip) or Parquet with columns for user, item and time"

    user_column: Annotated[str, typer.Option(help="Column of the user's id.")] = "user"
    item_column: Annotated[str, typer.Option(help="Column of the item's id.")] = "item"
    category_column: Annotated[str | None, typer.Option(help="Column of the item's category, if there is one.")] = None
    time_column: Annotated[str, typer.Option(help="Column of the time: a number, a timestamp or ISO 8601 text.")] = (
        "time"
    )
    time_unit: Annotated[TimeUnit, typer.Option(help="Unit of a numeric time since 1970.")] = "s"
    time_format: Annotated[
        str | None,
        typer.Option(help="How text or numbers are times, as strptime has it: '%Y%m%d%H' reads 2016010100."),
    ] = None
    label_column: Annotated[
        str | None,
        typer.Option(
            help="Column with 0 or 1 (or yes, no, true, false): each row is then an exposure, and rows with 1 are the "
            "history. Without it every row is a behavior, and negatives are drawn."
        ),
    ] = None
    label_threshold: Annotated[
        float | None, typer.Option(help="The label is a number, and from this one on it is a click: 4 for ratings.")
    ] = None
    item_field: Annotated[list[str], typer.Option(help="A further item feature: name or name=column. Repeatable.")] = (
        field(default_factory=list)
    )
    user_field: Annotated[list[str], typer.Option(help="A user feature: name or name=column. Repeatable.")] = field(
        default_factory=list
    )
    context_field: Annotated[list[str], typer.Option(help="A context feature: name or name=column. Repeatable.")] = (
        field(default_factory=list)
    )
    numeric: Annotated[
        list[str], typer.Option(help="A declared field whose values are numbers, to be cut into quantiles. Repeatable.")
    ] = field(default_factory=list)
    missing: Annotated[
        str, typer.Option(help="Comma list of what means that a value is missing, in any case; empty always does.")
    ] = ",".join(MISSING)
    keep_repeats: Annotated[
        bool, typer.Option(help="Keep rows that repeat another one in every column that is used.")
    ] = False
    until: Annotated[
        str | None, typer.Option(help="The last day that counts, such as 2017-12-03; later rows are left out.")
    ] = None
    negatives: NegativesOption = "same-day"
    positives: PositivesOption = "all"
    quotes: Annotated[bool, typer.Option(help="In text files: a value may stand in double quotes.")] = True
    utc_offset: Annotated[
        str,
        typer.Option(help="Hours east of UTC, such as 8, -3.5, +05:30: of midnight, and of times without a zone."),
    ] = "0"

    def __post_init__(self) -> None:
        check_sampling(self.negatives, self.positives)
        check_choice("time-unit", self.time_unit, get_args(TimeUnit))
        if self.label_threshold is not None and self.label_column is None:
            raise UserError("--label-threshold needs a label.", "Name its column with --label-column.")
        rows = self._rows()
        names = [c.field.name for c in rows.fields if c.field.role == "item"]
        if self.negatives == "same-day-category" and self.label_column is None and "category" not in names:
            raise UserError(
                "--negatives same-day-category needs the items' categories.",
                "Name their column with --category-column, or choose other --negatives.",
            )

    def extract(self, intake: Intake, files: list[Path]) -> Extract:
        """Read the files, keep the rows that have a user, an item, a time and (if asked for) a label.

        Raises:
            UserError: a file cannot be read, a column is missing or holds other things than in another file, or no row
                can be used.
        """
        rows = self._rows()
        rows.times.check(intake.db)
        intake.db.execute("SET TimeZone = 'UTC'")  # of text without a zone, from which the offset is then taken off
        intake.create("raw_events", rows.kinds)
        read = [self._read(intake, path, rows) for path in files]
        intake.require_some(files, REMEDY)
        apart = check_reconciled(intake.db, read, list(rows.texts))
        return Extract(
            fields=tuple(c.field for c in rows.fields),
            sampling=Sampling(self.negatives, self.positives) if self.label_column is None else None,
            utc_offset_minutes=parse_offset(self.utc_offset),
            unique=() if self.keep_repeats else rows.unique,
            text=rows.text,
            warnings=(*apart, *rows.warnings(intake)),
            unused_columns=unused_columns(read),
        )

    def _rows(self) -> TableRows:
        offset = parse_offset(self.utc_offset) * 60
        return TableRows(
            user=self.user_column,
            time=self.time_column,
            label=self.label_column,
            fields=tuple(self._columns()),
            times=TimeForm(self.time_unit, self.time_format, offset),
            ends=None if self.until is None else parse_until(self.until) * SECONDS_PER_DAY - offset,
            threshold=self.label_threshold,
            missing=tuple(word.strip().lower() for word in self.missing.split(",") if word.strip()),
        )

    def _columns(self) -> list[FieldColumn]:
        """The fields and the columns that they come from: item, category if there is one, then the others."""
        found = [FieldColumn(Field("item", "item"), self.item_column, "--item-column")]
        if self.category_column is not None:
            found.append(FieldColumn(Field("category", "item"), self.category_column, "--category-column"))
        declared: dict[Role, list[str]] = {
            "item": self.item_field,
            "user": self.user_field,
            "context": self.context_field,
        }
        return field_columns(found, declared, self.numeric)

    def _read(self, intake: Intake, path: Path, rows: TableRows) -> ReadFile:
        """Take the rows of one file."""
        before = intake.lines
        if is_parquet(path):
            parquet = ParquetRows(path, intake.progress)
            types = parquet.types
            rows.check_columns(path, list(types))
            judge = rows.judge(types, {name: identifier(name) for name in types})
            intake.take(parquet, parquet.blocks(), judge, "raw_events")
        else:
            names, delimiter = read_header(path)
            types = dict.fromkeys(names, "VARCHAR")
            rows.check_columns(path, names)
            form = Delimited(names, True, delimiter, self.quotes, threads=intake.threads)
            judge = rows.judge(types, {name: identifier(name) for name in names})
            intake.take_text(path, form, judge, "raw_events")
        kinds = {name: types[column] for name, column in rows.texts.items()}
        return ReadFile(path, before, intake.lines - before, kinds, rows.unused(list(types)))
