"""Any event log in CSV, TSV (also .gz or .zip) or Parquet: which column is what is said by options."""

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
from lrea_cli.data.sources.delimited import Delimited, read_header
from lrea_cli.data.sources.intake import Intake, Judge
from lrea_cli.data.sources.parquet import ParquetRows, is_parquet
from lrea_cli.data.sources.sampled import NegativesOption, PositivesOption, check_sampling
from lrea_cli.errors import UserError

TimeUnit = Literal["s", "ms", "us"]
EARLIEST = -2_208_988_800  # 1900
LATEST = 7_258_118_400  # 2200
REMEDY = "Check the column options (--user-column, --item-column, --time-column, --label-column) and --time-unit."


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
    quotes: Annotated[bool, typer.Option(help="In text files: a value may stand in double quotes.")] = True
    utc_offset: Annotated[int, typer.Option(help="Days begin at midnight of UTC + this many hours.")] = 0

    def __post_init__(self) -> None:
        check_sampling(self.negatives, self.positives)
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
        for path in files:
            self._read(intake, path, columns)
        intake.require_some(files, REMEDY)
        return Extract(
            fields=tuple(c.field for c in columns),
            sampling=Sampling(self.negatives, self.positives) if self.label_column is None else None,
            utc_offset_hours=self.utc_offset,
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

    def _read(self, intake: Intake, path: Path, columns: Sequence[FieldColumn]) -> None:
        if is_parquet(path):
            rows = ParquetRows(path, intake.progress)
            intake.take(rows, rows.blocks(), self._judge(path, rows.types, rows.columns, columns), "raw_events")
            return
        names, delimiter = read_header(path)
        form = Delimited(names, True, delimiter, self.quotes, threads=intake.threads)
        judge = self._judge(path, dict.fromkeys(names, "VARCHAR"), form.columns, columns)
        intake.take_text(path, form, judge, "raw_events")

    def _judge(
        self, path: Path, types: dict[str, str], identifiers: dict[str, str], columns: Sequence[FieldColumn]
    ) -> Judge:
        """How the rows of one file are read.

        Args:
            types: the file's columns and their SQL types.
            identifiers: the file's columns and their SQL identifiers in the rows.

        Raises:
            UserError: the file lacks a column.
        """
        wanted = {self.user_column: "--user-column", self.time_column: "--time-column"}
        if self.label_column is not None:
            wanted[self.label_column] = "--label-column"
        wanted |= {c.column: c.option for c in columns}
        check_columns(path, types, {column: f"Name the column with {option}." for column, option in wanted.items()})
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
