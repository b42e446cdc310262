"""Any event log in CSV, TSV (also .gz or .zip) or Parquet: which column is what is said by options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, get_args

import typer

from lrea_cli.data.schema import Extract, Field, SourceFile
from lrea_cli.data.sources.columns import (
    FieldColumn,
    check_columns,
    field_columns,
    label_sql,
    text_sql,
    time_sql,
)
from lrea_cli.data.sources.delimited import LINE, DelimitedFile, read_header
from lrea_cli.data.sources.sifting import (
    WRONG_COLUMNS,
    create_staged,
    keep_malformed,
    sift,
)
from lrea_cli.data.sql import count, identifier, literal
from lrea_cli.errors import UserError
from lrea_cli.workspace import sha256_of

if TYPE_CHECKING:
    import duckdb

TimeUnit = Literal["s", "ms", "us"]
PARQUET_MAGIC = b"PAR1"
EARLIEST = -2_208_988_800  # 1900
LATEST = 7_258_118_400  # 2200
REMEDY = "Check the column options (--user-column, --item-column, --time-column, --label-column) and --time-unit."


@dataclass(frozen=True)
class Table:
    """Your own log: one row an event, columns named by options."""

    name: ClassVar[str] = "table"
    needs_files: ClassVar[bool] = True
    file_names: ClassVar[tuple[str, ...]] = (
        *(f"*.{form}{packed}" for form in ("csv", "tsv") for packed in ("", ".gz", ".zip")),
        "*.parquet",
    )
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
    quotes: Annotated[bool, typer.Option(help="In text files: a value may stand in double quotes.")] = True
    utc_offset: Annotated[int, typer.Option(help="Days begin at midnight of UTC + this many hours.")] = 0

    def __post_init__(self) -> None:
        if self.time_unit not in get_args(TimeUnit):
            raise UserError(f"--time-unit is '{self.time_unit}'.", "Use s, ms or us.")
        if not -14 <= self.utc_offset <= 14:
            raise UserError(f"--utc-offset is {self.utc_offset}.", "Use hours from -14 to 14.")
        self._columns()

    def extract(self, db: duckdb.DuckDBPyConnection, files: list[Path]) -> Extract:
        """Read the files, keep the rows that have a user, an item, a time and (if asked for) a label.

        Raises:
            UserError: a file cannot be read, a column is missing, or no row can be used.
        """
        db.execute("SET TimeZone = 'UTC'")  # text without a zone is UTC
        columns = self._columns()
        create_staged(
            db,
            {
                "user": "VARCHAR",
                "time": "BIGINT",
                "label": "TINYINT",
                **{c.field.name: "VARCHAR" for c in columns},
            },
        )
        events_read = malformed = 0
        read: list[SourceFile] = []
        for path in files:
            source, rows, bad = self._read(db, path, columns, events_read)
            read.append(source)
            events_read += rows
            malformed += bad
        is_behavior = "label = 1" if self.label_column else "true"
        kept = ["source_row", "user", "time", f"{is_behavior} AS is_behavior", "label"]
        rejected = sift(db, [*kept, *(identifier(c.field.name) for c in columns)], files, REMEDY)
        return Extract(
            fields=tuple(c.field for c in columns),
            events_read=events_read,
            rejected=rejected | ({WRONG_COLUMNS: malformed} if malformed else {}),
            labels="real" if self.label_column else "sampled",
            files=tuple(read),
            utc_offset_hours=self.utc_offset,
        )

    def _columns(self) -> list[FieldColumn]:
        """The fields and the columns that they come from: item, category if there is one, then the others."""
        found = [FieldColumn(Field("item", "item"), self.item_column, "--item-column")]
        if self.category_column is not None:
            found.append(FieldColumn(Field("category", "item"), self.category_column, "--category-column"))
        return field_columns(found, item=self.item_field, user=self.user_field, context=self.context_field)

    def _read(
        self, db: duckdb.DuckDBPyConnection, path: Path, columns: Sequence[FieldColumn], rows_before: int
    ) -> tuple[SourceFile, int, int]:
        """Stage one file; return what it is, its rows and how many of them were malformed."""
        if _is_parquet(path):
            types = _parquet_types(db, path)
            numbered = f"read_parquet({literal(str(path))}, file_row_number = true)"
            source = f"(SELECT *, file_row_number + 1 AS {LINE} FROM {numbered})"
            db.execute(self._stage(path, source, types, columns, rows_before))
            rows = count(db, f"SELECT count(*) FROM read_parquet({literal(str(path))})")
            return SourceFile(path.name, path.stat().st_size, sha256_of(path)), rows, 0
        names, delimiter = read_header(path)
        file = DelimitedFile(path, names, has_header=True, delimiter=delimiter, quoted=self.quotes)
        file.run(db, self._stage(path, "incoming", dict.fromkeys(names, "VARCHAR"), columns, rows_before))
        keep_malformed(db, file)
        return file.source, file.rows, file.malformed_count

    def _stage(
        self,
        path: Path,
        source: str,
        types: dict[str, str],
        columns: Sequence[FieldColumn],
        rows_before: int,
    ) -> str:
        """SQL that casts and judges each row of one file.

        Raises:
            UserError: the file lacks a column.
        """
        wanted = {self.user_column: "--user-column", self.time_column: "--time-column"}
        if self.label_column is not None:
            wanted[self.label_column] = "--label-column"
        check_columns(path, types, wanted | {c.column: c.option for c in columns})
        label = "NULL" if self.label_column is None else label_sql(self.label_column)
        cast = [
            f"{text_sql(self.user_column)} AS _user",
            f"{time_sql(self.time_column, types[self.time_column], self.time_unit)} AS _time",
            f"CAST({label} AS TINYINT) AS _label",
            *(f"{text_sql(c.column)} AS _f{n}" for n, c in enumerate(columns)),
            f"concat_ws(',', {', '.join(identifier(name) for name in types)}) AS _text",
        ]
        no_label = "WHEN _label IS NULL THEN 'label_not_0_or_1' " if self.label_column else ""
        reason = (
            "CASE WHEN _user IS NULL THEN 'missing_user' WHEN _f0 IS NULL THEN 'missing_item' "
            "WHEN _time IS NULL THEN 'unparseable_time' "
            f"WHEN _time NOT BETWEEN {EARLIEST} AND {LATEST} THEN 'time_out_of_range' {no_label}END"
        )
        values = ", ".join(["_user", "_time", "_label", *(f"_f{n}" for n in range(len(columns)))])
        return (
            f"INSERT INTO staged SELECT {rows_before} + {LINE}, {literal(path.name)}, {LINE}, _reason, "
            f"CASE WHEN _reason IS NOT NULL THEN _text END, {values} "
            f"FROM (SELECT *, {reason} AS _reason FROM (SELECT {LINE}, {', '.join(cast)} FROM {source}))"
        )


def _is_parquet(path: Path) -> bool:
    if path.suffix.lower() == ".parquet":
        return True
    with path.open("rb") as file:
        return file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC


def _parquet_types(db: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str]:
    import duckdb

    try:
        found = db.execute(f"DESCRIBE SELECT * FROM read_parquet({literal(str(path))})").fetchall()
    except duckdb.Error as error:
        raise UserError(f"{path} cannot be read as Parquet: {error}", "Export or download it again.") from error
    return {name: kind for name, kind, *_ in found}
