"""Where the records of a cache can go: files that other engines read, or a key-value store.

Every destination gets the bytes of the records as `records.format` documents them, under the raw id of the user. A new
one is a function here and an entry in `DESTINATIONS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lrea_cli.console.counts import counted
from lrea_cli.console.progress import Progress
from lrea_cli.errors import LreaError, UserError
from lrea_cli.records.cache import Cache
from lrea_cli.records.store import RecordStore

if TYPE_CHECKING:
    import redis

BATCH = 1024
"""Records that are written at once."""
FILE_RECORDS = 1 << 18
"""Records of one safetensors file: what they hold is padded to the most rows of the file."""
DESCRIPTION = "records.json"


@dataclass(frozen=True)
class Source:
    """The records of a cache, to be written elsewhere.

    Args:
        users: raw id of each dense number.
    """

    cache: Cache
    users: dict[int, str]

    @property
    def store(self) -> RecordStore:
        return self.cache.store

    def description(self) -> dict[str, Any]:
        """What a reader needs besides the bytes, as plain values."""
        manifest, layout = self.cache.manifest, self.store.layout
        columns = [{"name": c.name, "dtype": c.dtype, "shape": list(c.shape), "rows": c.rows} for c in layout.columns]
        return {
            "cache": manifest.cache,
            "run": manifest.run,
            "compressor": manifest.compressor,
            "as_of": manifest.as_of,
            "dtype": manifest.dtype,
            "users": len(self.store.keys),
            "sizes": list(layout.sizes),
            "columns": columns,
        }

    def batches(self) -> Iterator[np.ndarray]:
        """Keys of records, so many at once."""
        for start in range(0, len(self.store.keys), BATCH):
            yield self.store.keys[start : start + BATCH]


Destination = Callable[[Source, str, Path | None, Progress], str]
"""(records, the word or address that the user gave, a new folder or None, told of records) -> where they are now."""


def to_parquet(source: Source, where: str, folder: Path | None, progress: Progress) -> str:
    """`records.parquet`: user (text), key, history_length, rows, and the record's bytes."""
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


def to_safetensors(source: Source, where: str, folder: Path | None, progress: Progress) -> str:
    """`records-00000.safetensors`, ..: each column of many users, padded; `key`, `rows` and `length` of each user."""
    from safetensors.numpy import save_file

    assert folder is not None
    store, names = source.store, []
    for number, start in enumerate(range(0, len(store.keys), FILE_RECORDS)):
        keys = store.keys[start : start + FILE_RECORDS]
        stacked = store.layout.stacked([store.read(int(key)) for key in keys])
        arrays = {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in stacked.items()}
        names.append(f"records-{number:05d}.safetensors")
        save_file({"key": keys, **arrays}, folder / names[-1], {"columns": json.dumps(source.description())})
        progress(len(keys))
    return counted(len(names), "file")


def to_redis(source: Source, where: str, folder: Path | None, progress: Progress) -> str:
    """Keys `lrea:<run>:<cache>:<user>`; when all are there, `lrea:<run>:current` names the cache.

    A reader that asks for `current` first sees the old cache until the new one is complete. Each record is read back.
    """
    client = _redis(where)
    manifest = source.cache.manifest
    prefix = f"lrea:{manifest.run}:{manifest.cache}"
    from redis.exceptions import RedisError

    try:
        for keys in source.batches():
            named = {f"{prefix}:{source.users[int(key)]}": source.store.verified(int(key))[0] for key in keys}
            client.mset(named)
            if client.mget(list(named)) != list(named.values()):
                raise LreaError(
                    f"{where} does not give back the records that were written.", "Look at its memory limit."
                )
            progress(len(keys))
        client.set(prefix, json.dumps(source.description()))
        client.set(f"lrea:{manifest.run}:current", manifest.cache)
    except RedisError as error:
        raise LreaError(f"{where}: {error}", "Mend it, then give the same command again.") from error
    finally:
        client.close()
    return f"{prefix}:<user>"


DESTINATIONS: dict[str, Destination] = {
    "parquet": to_parquet,
    "safetensors": to_safetensors,
    "redis://": to_redis,
    "rediss://": to_redis,
}
"""By the word, or by how the address begins; words need a folder."""


def destination_of(where: str) -> tuple[Destination, bool]:
    """What writes there, and whether into a folder; a `UserError` for a place that is none."""
    for word, destination in DESTINATIONS.items():
        address = word.endswith("//")
        if where == word or (address and where.startswith(word)):
            return destination, not address
    raise UserError(f"Records cannot go to '{where}'.", f"Use one of: {', '.join(DESTINATIONS)}HOST:PORT/DB")


def _redis(where: str) -> redis.Redis:
    try:
        import redis
    except ImportError as error:
        raise UserError("The package redis is not installed.", "Install it with: pip install 'lrea[redis]'") from error
    try:
        client = redis.Redis.from_url(where, socket_connect_timeout=5, socket_timeout=30)
        client.ping()
    except (redis.RedisError, ValueError) as error:
        raise UserError(f"There is no Redis at {where}: {error}", "Start it, or name another address.") from error
    return client
