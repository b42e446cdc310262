"""A Parquet file as blocks of rows; a row's line is its number, from 1."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from lrea_cli.data.schema import SourceFile
from lrea_cli.data.sources.blocks import LINE, Block, numbered
from lrea_cli.data.sql import kinds_of
from lrea_cli.errors import UserError
from lrea_cli.progress import Progress, ignore
from lrea_cli.workspace import sha256_of

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MAGIC = b"PAR1"
ROWS = 1 << 18


class ParquetRows:
    """One Parquet file of raw events.

    Args:
        progress: is told the bytes of the file that were read.

    Raises:
        UserError: it is no Parquet file.
    """

    def __init__(self, path: Path, progress: Progress = ignore) -> None:
        self.path = path
        self._progress = progress
        self._file = _opened(path)

    @property
    def source(self) -> SourceFile:
        return SourceFile(self.path.name, self.path.stat().st_size, sha256_of(self.path))

    @property
    def types(self) -> dict[str, str]:
        """The columns and their SQL types."""
        import duckdb

        with duckdb.connect() as db:
            empty = self._file.schema_arrow.empty_table()
            db.register("empty", empty.rename_columns([f"c{n}" for n in range(empty.num_columns)]))
            kinds = kinds_of(db, "empty")
        return {name: kinds[column] for name, column in self.columns.items()}

    @property
    def columns(self) -> dict[str, str]:
        """Name of a column -> its SQL identifier in the blocks."""
        return numbered(self._file.schema_arrow.names)

    @property
    def rows(self) -> int:
        return self._file.metadata.num_rows

    def copy_start(self, to: Path, rows: int) -> int:
        """Write the first rows, at most so many, as a file of their own; return how many.

        Raises:
            UserError: the file is damaged.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            batches = list(islice(self._file.iter_batches(rows), 1))
        except (pa.ArrowException, OSError) as error:
            raise _no_parquet(self.path, error) from error
        start = pa.Table.from_batches(batches, self._file.schema_arrow)
        pq.write_table(start, to)
        return start.num_rows

    def blocks(self) -> Iterator[Block]:
        """All rows, some thousand at a time.

        Raises:
            UserError: the file is damaged.
        """
        import numpy as np
        import pyarrow as pa

        line = 1
        size = self.path.stat().st_size
        try:
            for batch in self._file.iter_batches(ROWS):
                rows = pa.Table.from_batches([batch]).rename_columns([f"c{n}" for n in range(batch.num_columns)])
                rows = rows.append_column(LINE, pa.array(np.arange(batch.num_rows) + line))
                yield Block(rows, lambda n, rows=rows, first=line: _text(rows, n - first))
                self._progress(size * batch.num_rows // max(1, self.rows))
                line += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise _no_parquet(self.path, error) from error


def is_parquet(path: Path) -> bool:
    """By its name or its first bytes."""
    if path.suffix.lower() == ".parquet":
        return True
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _opened(path: Path) -> pq.ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise _no_parquet(path, error) from error


def _no_parquet(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} cannot be read as Parquet: {error}", "Export or download it again.")


def _text(rows: pa.Table, place: int) -> str:
    """The values of a row, by commas; a missing value is empty."""
    values = rows.slice(place, 1).to_pylist()[0]
    return ",".join("" if value is None else str(value) for name, value in values.items() if name != LINE)
