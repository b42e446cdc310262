"""A Parquet file as blocks of rows, of the columns asked for alone; a row's line is its number, from 1.

DuckDB reads the columns alike whatever their physical type: text is text in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lrea_cli.console.progress import Progress, ignore
from lrea_cli.console.terminal import clean
from lrea_cli.dataset.fields import SourceFile
from lrea_cli.errors import UserError
from lrea_cli.prepare.reading.blocks import LINE, Block, numbered
from lrea_cli.prepare.reading.forms import PARQUET_MAGIC, EmptyFile
from lrea_cli.prepare.sql import kinds_of
from lrea_cli.workspace.home import sha256_of

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SUFFIXES = (".parquet", ".pq")
ROWS = 1 << 18
DECIMAL_DIGITS = 38
"""So many digits DuckDB's decimals have."""


class ParquetRows:
    """One Parquet file of raw events.

    Args:
        progress: is told the bytes of the file that were read.
        first_bytes: of the file, about, whose rows are read; None = all.

    Attributes:
        columns: name of a column -> its SQL identifier in the blocks.
        rows_to_read: of all `rows`.

    Raises:
        UserError: it is no Parquet file.
    """

    def __init__(self, path: Path, progress: Progress = ignore, first_bytes: int | None = None) -> None:
        self.path = path
        self._progress = progress
        self._file = _opened(path)
        self._whole = first_bytes is None
        self.names = tuple(self._file.schema_arrow.names)
        self.columns = numbered(self.names)
        self.rows = self.rows_to_read = self._file.metadata.num_rows
        if first_bytes is not None:
            self.rows_to_read = min(self.rows, max(1, self.rows * first_bytes // path.stat().st_size))

    @property
    def source(self) -> SourceFile:
        return SourceFile(self.path.name, self.path.stat().st_size, self.content)

    @cached_property
    def content(self) -> str:
        """The hash of the file, where all of it is read."""
        return sha256_of(self.path) if self._whole else ""

    def values(self, wanted: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Of each column its SQL identifier in the blocks, and its SQL type; UserError: it holds no single values."""
        import duckdb
        import pyarrow as pa

        schema = self._file.schema_arrow
        types = [(self.columns[name], _value_type(self.path, name, schema.field(name).type)) for name in wanted]
        with duckdb.connect() as db:
            db.register("empty", pa.schema(types).empty_table())
            kinds = kinds_of(db, "empty")
        return {name: (self.columns[name], kinds[self.columns[name]]) for name in wanted}

    def blocks(self, wanted: Sequence[str]) -> Iterator[Block]:
        """The rows of these columns; UserError: damage, bytes that are no text, or a number of too many digits."""
        import numpy as np
        import pyarrow as pa

        line, left, size = 1, self.rows_to_read, self.path.stat().st_size
        try:
            for batch in self._file.iter_batches(min(ROWS, max(1, left)), columns=list(wanted)):
                batch = batch.slice(0, left)
                columns = {self.columns[name]: self._read(name, batch.column(name), line) for name in wanted}
                rows = pa.table({**columns, LINE: np.arange(batch.num_rows) + line})
                yield Block(rows, lambda n, rows=rows, first=line: _text(rows, n - first))
                self._progress(size * batch.num_rows // max(1, self.rows))
                line, left = line + batch.num_rows, left - batch.num_rows
                if not left:
                    return
        except (pa.ArrowException, OSError) as error:
            raise _no_parquet(self.path, error) from error

    def _read(self, column: str, values: pa.Array, line: int) -> pa.Array:
        """A column in its `_value_type`; `line` is the number of the first value's row."""
        import pyarrow as pa

        kind = _value_type(self.path, column, values.type)
        if isinstance(values, pa.DictionaryArray):
            values = values.dictionary_decode()
        if isinstance(values, pa.ExtensionArray) and kind != values.type:
            values = values.storage
        try:
            return _converted(values, kind)
        except pa.ArrowInvalid as error:
            index = next(n for n in range(len(values)) if not _is_convertible(values.slice(n, 1), kind))
            bad, text = values.slice(index, 1), _is_text(values.type)
            value = (bad.cast(pa.large_binary()) if text else bad)[0].as_py()
            fault = "is no text in UTF-8" if text else f"has more than {DECIMAL_DIGITS} digits"
            raise UserError(
                f"{clean(self.path)}, row {line + index:,}: the column '{clean(column)}' holds {value!r}, which "
                f"{fault}.",
                "Write the column as text (a Parquet string).",
            ) from error


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


def _text(rows: pa.Table, index: int) -> str:
    """The values of a row, by commas; a missing value is empty."""
    values = rows.slice(index, 1).to_pylist()[0]
    return ",".join("" if value is None else str(value) for name, value in values.items() if name != LINE)


def _value_type(path: Path, column: str, kind: pa.DataType) -> pa.DataType:
    """The type in which a column's values are read; UserError: they are lists, structs or maps, no single values."""
    import pyarrow as pa
    import pyarrow.types as is_

    if is_.is_dictionary(kind):
        return _value_type(path, column, kind.value_type)
    if isinstance(kind, pa.BaseExtensionType) and not isinstance(kind, pa.UuidType):
        return _value_type(path, column, kind.storage_type)
    if _is_text(kind) or is_.is_time(kind):
        return pa.large_string() if is_.is_large_string(kind) or is_.is_large_binary(kind) else pa.string()
    if is_.is_float16(kind):
        return pa.float32()
    if is_.is_decimal(kind):
        return pa.decimal128(DECIMAL_DIGITS, min(kind.scale, DECIMAL_DIGITS)) if is_.is_decimal256(kind) else kind
    single = (is_.is_boolean, is_.is_integer, is_.is_floating, is_.is_timestamp, is_.is_date, is_.is_null)
    if isinstance(kind, pa.UuidType) or any(test(kind) for test in single):
        return kind
    raise UserError(
        f"{clean(path)}: the column '{clean(column)}' is of type {kind}: a row has no single value there.",
        "Write a column of numbers, text or times instead (of a list, such as its first value).",
    )


def _converted(values: pa.Array, kind: pa.DataType) -> pa.Array:
    text = _is_text(values.type)
    if kind != values.type:
        values = values.cast(kind)
    if text:
        values.validate(full=True)
    return values


def _is_convertible(values: pa.Array, kind: pa.DataType) -> bool:
    import pyarrow as pa

    try:
        _converted(values, kind)
    except pa.ArrowInvalid:
        return False
    return True


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow.types as is_

    texts = (is_.is_string, is_.is_large_string, is_.is_string_view)
    binary = (is_.is_binary, is_.is_large_binary, is_.is_binary_view, is_.is_fixed_size_binary)
    return any(test(kind) for test in (*texts, *binary))
