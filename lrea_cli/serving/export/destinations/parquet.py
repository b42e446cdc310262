"""Records as one Parquet file, which other engines read."""

from __future__ import annotations

from pathlib import Path

from lrea_cli.console.progress import Progress
from lrea_cli.serving.export.destinations.source import Source


def to_parquet(source: Source, where: str, folder: Path | None, progress: Progress) -> str:
    """`records.parquet`: user (text), key, history_length, rows, and the record's bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    assert folder is not None
    schema = pa.schema(
        {
            "user": pa.string(),
            "key": pa.int64(),
            "history_length": pa.int32(),
            "rows": pa.int32(),
            "record": pa.binary(),
        }
    )
    path = folder / "records.parquet"
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False, write_page_checksum=True) as writer:
        for keys in source.batches():
            blobs, records = zip(*(source.store.verified(int(key)) for key in keys), strict=True)
            columns = [
                [source.users[int(key)] for key in keys],
                keys,
                [record.length for record in records],
                [record.rows for record in records],
                blobs,
            ]
            writer.write(pa.table(columns, schema=schema))
            progress(len(keys))
    return path.name
