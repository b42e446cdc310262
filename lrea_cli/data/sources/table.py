"""Any event log in delimited text, JSON lines (also packed) or Parquet: options say which column is what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal, get_args

import typer

from lrea_cli.data.schema import Extract, Field, Role, Sampling
from lrea_cli.data.sources.columns import (
    FieldColumn,
    check_columns,
    field_columns,
    label_sql,
    number_sql,
    text_sql,
    time_sql,
)
from lrea_cli.data.sources.forms import EmptyFile, NotTheLog
from lrea_cli.data.sources.header import TextLayout
from lrea_cli.data.sources.intake import Intake, Judge
from lrea_cli.data.sources.sampled import NegativesOption, PositivesOption, check_sampling
from lrea_cli.data.sources.tabular import open_table
from lrea_cli.errors import UserError

TimeUnit = Literal["s", "ms", "us"]
EARLIEST = -2_208_988_800  # 1900
LATEST = 7_258_118_400  # 2200
PASSED_OVER_SHOWN = 3
REMEDY = "Check the column options (--user-column, --item-column, --time-column, --label-column) and --time-unit."


@dataclass(frozen=True)
class Table:
    """Your own log: one row an event, columns named by options."""

    name: ClassVar[str] = "table"
    file_names: ClassVar[tuple[str, ...]] = ("*.csv", "*.tsv", "*.parquet", "*.pq", "*.jsonl", "*.ndjson", "*.json")
    companion_names: ClassVar[tuple[str, ...]] = ()
    unused_options: ClassVar[tuple[str, ...]] = ()
    where_to_get: ClassVar[str] = (
        "any CSV, TSV, JSON lines (also .gz, .zip, .bz2, .xz) or Parquet with columns for user, item and time"
    )

    user_column: Annotated[str, typer.Option(help="Column of the user's id.")] = "user"
    item_column: Annotated[str, typer.Option(help="Column of the item's id.")] = "item"
    category_column: Annotated[str | None, typer.Option(help="Column of the item's category, if there is one.")] = None
    time_column: Annotated[str, typer.Option(help="Column of the time: a number, a timestamp or ISO 8601 text.")] = (
        "time"
    )
    time_unit: Annotated[TimeUnit, typer.Option(help="Unit of a numeric time since 1970: s, ms or us.")] = "s"
    label_column: Annotated[
        str | None,
        typer.Option(
            help="Column with 0 or 1: each row is then an exposure, and rows with 1 are the history. "
            "Without it every row is a behavior, and negatives are drawn."
        ),
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
    negatives: NegativesOption = "same-day"
    positives: PositivesOption = "all"
    delimiter: Annotated[
        str | None, typer.Option(help="Between values of text: ';', '::', tab, ..; default: as in the first line.")
    ] = None
    columns: Annotated[
        str | None, typer.Option(help="Names of all columns of text without a header: user,item,time.")
    ] = None
    quotes: Annotated[bool, typer.Option(help="In text files: a value may stand in double quotes.")] = True
    backslash: Annotated[bool, typer.Option(help="In text files: a backslash escapes the next character.")] = False
    utc_offset: Annotated[int, typer.Option(help="Days begin at midnight of UTC + this many hours.")] = 0

    def __post_init__(self) -> None:
        check_sampling(self.negatives, self.positives)
        self._layout()
        if self.time_unit not in get_args(TimeUnit):
            raise UserError(f"--time-unit is '{self.time_unit}'.", "Use s, ms or us.")
        if not -14 <= self.utc_offset <= 14:
            raise UserError(f"--utc-offset is {self.utc_offset}.", "Use hours from -14 to 14.")
        names = [c.field.name for c in self._columns() if c.field.role == "item"]
        if self.negatives == "same-day-category" and self.label_column is None and "category" not in names:
            raise UserError(
                "--negatives same-day-category needs the items' categories.",
                "Name their column with --category-column, or choose other --negatives.",
            )

    def extract(self, intake: Intake, files: list[Path]) -> Extract:
        """Read the files, keep the rows that have a user, an item, a time and (if asked for) a label.

        Raises:
            UserError: a file cannot be read, a column is missing, or no row can be used.
        """
        intake.db.execute("SET TimeZone = 'UTC'")  # text without a zone is UTC
        columns = self._columns()
        kinds = {c.field.name: "DOUBLE" if c.field.numeric else "VARCHAR" for c in columns}
        shown = {"is_behavior": "BOOLEAN", "label": "TINYINT"} if self.label_column else {}
        intake.create("raw_events", {"user": "VARCHAR", "time": "BIGINT", **shown, **kinds})
        warnings = self._read(intake, files, columns)
        intake.require_some(files, REMEDY)
        return Extract(
            fields=tuple(c.field for c in columns),
            sampling=Sampling(self.negatives, self.positives) if self.label_column is None else None,
            utc_offset_hours=self.utc_offset,
            warnings=warnings,
        )

    def _layout(self) -> TextLayout:
        return TextLayout.of_options(self.columns, self.delimiter, self.quotes, self.backslash)

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

    def _read(self, intake: Intake, files: Sequence[Path], columns: Sequence[FieldColumn]) -> tuple[str, ...]:
        """Take the rows of all files; of several, those that are no part of the log are passed over.

        Returns:
            What to tell the user: which files were passed over.

        Raises:
            UserError: a file cannot be read or lacks a column, or all files were passed over.
        """
        others: list[NotTheLog] = []
        for path in files:
            try:
                self._read_file(intake, path, columns)
            except NotTheLog as error:
                others.append(error)
        if others and len(others) == len(files):
            raise next((error for error in others if not isinstance(error, EmptyFile)), others[0])
        shown = " ".join(error.message for error in others[:PASSED_OVER_SHOWN])
        told = f"{len(others)} of {len(files)} files were passed over, as they are no part of the log: {shown}"
        return (told,) if others else ()

    def _read_file(self, intake: Intake, path: Path, columns: Sequence[FieldColumn]) -> None:
        file = open_table(path, intake, self._layout())
        wanted = self._wanted(columns)
        remedies = {column: f"Name the column with {option}." for column, option in wanted.items()}
        try:
            identify = (self.user_column, self.item_column, self.time_column)
            check_columns(path, file.names, {column: remedies[column] for column in identify})
        except UserError as error:
            raise NotTheLog(error.message, error.remedy) from error
        check_columns(path, file.names, remedies)
        chosen = file.choose(list(wanted))
        intake.take(chosen.file, chosen.blocks, self._judge(chosen.kinds, chosen.columns, columns), "raw_events")

    def _wanted(self, columns: Sequence[FieldColumn]) -> dict[str, str]:
        """The columns to read, and the options that name them."""
        wanted = {self.user_column: "--user-column", self.time_column: "--time-column"}
        if self.label_column is not None:
            wanted[self.label_column] = "--label-column"
        return wanted | {c.column: c.option for c in columns}

    def _judge(self, types: dict[str, str], identifiers: dict[str, str], columns: Sequence[FieldColumn]) -> Judge:
        """How the rows of one file are read.

        Args:
            types: the columns and their SQL types.
            identifiers: the columns and the SQL of their values in the rows.
        """
        label = "NULL" if self.label_column is None else label_sql(identifiers[self.label_column])
        casts = {
            f"_f{n}": (number_sql if c.field.numeric else text_sql)(identifiers[c.column])
            for n, c in enumerate(columns)
        }
        no_label = "WHEN _label IS NULL THEN 'label_not_0_or_1' " if self.label_column else ""
        return Judge(
            cast={
                "_user": text_sql(identifiers[self.user_column]),
                "_time": time_sql(identifiers[self.time_column], types[self.time_column], self.time_unit),
                "_label": f"CAST({label} AS TINYINT)",
                **casts,
            },
            reason=(
                "CASE WHEN _user IS NULL THEN 'missing_user' WHEN _f0 IS NULL THEN 'missing_item' "
                "WHEN _time IS NULL THEN 'unparseable_time' "
                f"WHEN _time NOT BETWEEN {EARLIEST} AND {LATEST} THEN 'time_out_of_range' {no_label}END"
            ),
            values={
                "user": "_user",
                "time": "_time",
                **({"is_behavior": "_label = 1", "label": "_label"} if self.label_column else {}),
                **{c.field.name: f"_f{n}" for n, c in enumerate(columns)},
            },
            remedy=REMEDY,
        )
