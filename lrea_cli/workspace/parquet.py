"""How `lrea` writes and reads its own Parquet: with a checksum for each page, and only bytes that were compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lrea_cli.errors import DamagedArtifact
from lrea_cli.workspace.blocks import Blocks

if TYPE_CHECKING:
    import mmap

    import pyarrow as pa
    import pyarrow.parquet as pq


def parquet_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Whole numbers by their differences: smaller and faster than a dictionary, since rows are sorted.

    A page's checksum tells other engines, too, that the page is as it was written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    numbers = [field.name for field in schema if pa.types.is_int32(field.type) or pa.types.is_int64(field.type)]
    others = [field.name for field in schema if field.name not in numbers]
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=others,  # pyright: ignore[reportArgumentType]
        column_encoding=dict.fromkeys(numbers, "DELTA_BINARY_PACKED"),
        write_page_checksum=True,
    )


def read_parquet(blocks: Blocks) -> pa.Table:
    """All of a Parquet file of ours, after every block was compared with its hash.

    Page checksums leave the footer out (a name or a type may change in it), so the hashes of blocks decide.

    Raises:
        DamagedArtifact: a byte is not as it was written.
    """
    with _opened(blocks) as file:
        return file.read(use_threads=False)


def parquet_batches(blocks: Blocks, rows: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Some columns, so many rows at a time; compared like `read_parquet`."""
    with _opened(blocks) as file:
        yield from file.iter_batches(rows, columns=list(columns), use_threads=False)


def open_parquet(data: bytes | mmap.mmap) -> pq.ParquetFile:
    """A Parquet file's bytes, to read with `use_threads=False`.

    A thread of Arrow that lets go of Python's bytes while the interpreter ends aborts the process.

    Raises:
        pyarrow.ArrowException, OSError: they are no Parquet; while reading: a page is not as it was written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True, pre_buffer=False)


@contextmanager
def _opened(blocks: Blocks) -> Iterator[pq.ParquetFile]:
    """What Arrow cannot read of a file of ours is damage."""
    import pyarrow as pa

    blocks.touch_bytes(0, blocks.size)
    try:
        with open_parquet(blocks.memory) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise DamagedArtifact(f"{blocks.path} is no Parquet file: {error}", blocks.remedy) from error
