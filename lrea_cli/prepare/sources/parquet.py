"""A Parquet file as blocks of rows, of the columns asked for alone; a row's line is its number, from 1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lrea_cli.console.progress import Progress, ignore
from lrea_cli.console.terminal import clean
from lrea_cli.dataset.fields import SourceFile
from lrea_cli.errors import UserError
from lrea_cli.prepare.sources.arrow_values import as_value, value_type
from lrea_cli.prepare.sources.blocks import LINE, Block, numbered
from lrea_cli.prepare.sources.forms import PARQUET_MAGIC, EmptyFile
from lrea_cli.prepare.sources.header import check_unique
from lrea_cli.prepare.sql import kinds_of
from lrea_cli.workspace.home import sha256_of

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SUFFIXES = (".parquet", ".pq")
ROWS = 1 << 18


class ParquetRows:
    """One Parquet file of raw events.

    Args:
        path: of the file.
        progress: is told the bytes of the file that were read.
        first_bytes: of the file, about, whose rows are read; None = all.

    Raises:
        UserError: it is no Parquet file, or two columns have one name.
    """

    def __init__(self, path: Path, progress: Progress = ignore, first_bytes: int | None = None) -> None:
        self.path = path
        self._progress = progress
        self._file = _opened(path)
        self._first_bytes = first_bytes
        self._sha256 = ""
        check_unique(path, self.names)

    @property
    def source(self) -> SourceFile:
        return SourceFile(self.path.name, self.path.stat().st_size, self.content)

    @property
    def content(self) -> str:
        """The hash of the file, where all of it is read."""
        if not self._sha256 and self._first_bytes is None:
            self._sha256 = sha256_of(self.path)
        return self._sha256

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._file.schema_arrow.names)

    @property
    def columns(self) -> dict[str, str]:
        """Name of a column -> its SQL identifier in the blocks."""
        return numbered(self.names)

    @property
    def rows(self) -> int:
        """All rows of the file."""
        return self._file.metadata.num_rows

    @property
    def rows_to_read(self) -> int:
        if self._first_bytes is None:
            return self.rows
        return min(self.rows, max(1, self.rows * self._first_bytes // self.path.stat().st_size))

    def kinds(self, wanted: Sequence[str]) -> dict[str, str]:
        """The SQL types of columns.

        Raises:
            UserError: a column holds no single values.
        """
        import duckdb
        import pyarrow as pa

        columns = self.columns
        types = {columns[name]: value_type(self.path, name, self._type(name)) for name in wanted}
        with duckdb.connect() as db:
            db.register("empty", pa.schema(list(types.items())).empty_table())
            kinds = kinds_of(db, "empty")
        return {name: kinds[columns[name]] for name in wanted}

    def blocks(self, wanted: Sequence[str]) -> Iterator[Block]:
        """All rows, some thousand at a time, with the columns asked for.

        Raises:
            UserError: the file is damaged, or bytes of a column are no text.
        """
        import numpy as np
        import pyarrow as pa

        columns = self.columns
        line, left, size = 1, self.rows_to_read, self.path.stat().st_size
        try:
            for batch in self._file.iter_batches(min(ROWS, max(1, left)), columns=list(wanted)):
                batch = batch.slice(0, left)
                values = {columns[name]: self._values(batch, name, line) for name in wanted}
                rows = pa.table({**values, LINE: np.arange(batch.num_rows) + line})
                yield Block(rows, lambda n, rows=rows, first=line: _text(rows, n - first))
                self._progress(size * batch.num_rows // max(1, self.rows))
                line, left = line + batch.num_rows, left - batch.num_rows
                if not left:
                    return
        except (pa.ArrowException, OSError) as error:
            raise _no_parquet(self.path, error) from error

    def _type(self, name: str) -> pa.DataType:
        return self._file.schema_arrow.field(name).type

    def _values(self, batch: pa.RecordBatch, name: str, line: int) -> pa.Array:
        return as_value(self.path, name, batch.column(batch.schema.get_field_index(name)), line)


def is_parquet(path: Path) -> bool:
    """By its name or its first bytes."""
    if path.suffix.lower() in SUFFIXES:
        return True
    with path.open("rb") as file:
        return file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC


def _opened(path: Path) -> pq.ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.stat().st_size:
        raise EmptyFile(path)
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise _no_parquet(path, error) from error


def _no_parquet(path: Path, error: Exception) -> UserError:
    return UserError(f"{clean(path)} cannot be read as Parquet: {error}", "Export or download it again.")


def _text(rows: pa.Table, place: int) -> str:
    """The values of a row, by commas; a missing value is empty."""
    values = rows.slice(place, 1).to_pylist()[0]
    return ",".join("" if value is None else str(value) for name, value in values.items() if name != LINE)
