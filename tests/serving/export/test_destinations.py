"""Every destination holds every record of a cache, each column as the cache has it, under the raw id of the user."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lrea_cli.console.progress import Silent
from lrea_cli.errors import UserError
from lrea_cli.records.cache import Cache, CacheSettings, compress, open_cache, raw_users
from lrea_cli.records.format import Record
from lrea_cli.runs.checkpoint import Run
from lrea_cli.serving.export.destinations import DESTINATIONS, SCHEMES, destination_of
from lrea_cli.serving.export.destinations.source import Source
from lrea_cli.workspace.home import Workspace
from tests.serving.export.redis_server import redis_server

USERS = np.arange(0, 40, 3)


@pytest.fixture
def source(lrea_run: Run, tmp_path: Path) -> Source:
    home = Workspace(tmp_path / "home")
    compress(home, lrea_run, CacheSettings("int8", None, USERS), Silent(), "shipped")
    return Source(open_cache(home, lrea_run, "shipped"), raw_users(lrea_run.dataset))


Found = dict[str, dict[str, np.ndarray]]
"""Raw user -> column -> its rows in use."""


def from_bytes(cache: Cache, user: str, key: int, blob: bytes) -> dict[str, np.ndarray]:
    return columns_of(cache.store.layout.unpack(blob, key, user))


def columns_of(record: Record) -> dict[str, np.ndarray]:
    return {**record.arrays, "length": np.array(record.length), "rows": np.array(record.rows)}


def read_parquet(source: Source, where: str, folder: Path) -> Found:
    rows = pq.read_table(folder / "records.parquet").to_pylist()
    return {row["user"]: from_bytes(source.cache, row["user"], row["key"], row["record"]) for row in rows}


def read_safetensors(source: Source, where: str, folder: Path) -> Found:
    from safetensors.numpy import load_file

    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        arrays = load_file(file)
        for place, key in enumerate(arrays.pop("key").tolist()):
            expected = source.store.read(key).arrays
            rows = {n: a[place][: len(expected[n])] if n in expected else a[place] for n, a in arrays.items()}
            found[source.users[key]] = rows
    return found


def read_redis(source: Source, where: str, folder: Path) -> Found:
    import redis

    client, manifest = redis.Redis.from_url(where), source.cache.manifest
    cache = client.get(f"lrea:{manifest.run}:current").decode()  # type: ignore[union-attr]
    assert json.loads(client.get(f"lrea:{manifest.run}:{cache}")) == source.description()  # type: ignore[arg-type]
    prefix, numbers = f"lrea:{manifest.run}:{cache}:", {raw: key for key, raw in source.users.items()}
    named = {name.decode().removeprefix(prefix): client.get(name) for name in client.scan_iter(f"{prefix}*")}
    client.close()
    return {user: from_bytes(source.cache, user, numbers[user], blob) for user, blob in named.items()}  # type: ignore[arg-type]


READERS: dict[str, Callable[[Source, str, Path], Found]] = {
    "parquet": read_parquet,
    "safetensors": read_safetensors,
    "redis": read_redis,
}


@pytest.fixture
def address(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """`address(name)`: what --records is given; a server runs where it is one's address."""
    with ExitStack() as running:
        yield lambda name: running.enter_context(redis_server(tmp_path)) if name == "redis" else name


@pytest.mark.parametrize("name", DESTINATIONS)
def test_every_column_of_every_record_is_there(
    source: Source, tmp_path: Path, address: Callable[[str], str], name: str
) -> None:
    where, done = address(name), []
    write, needs_folder = destination_of(where)
    assert write is DESTINATIONS[name]
    assert needs_folder == (name not in SCHEMES.values())
    write(source, where, tmp_path if needs_folder else None, done.append)
    assert sum(done) == len(source.store.keys) == len(USERS)
    found = READERS[name](source, where, tmp_path)
    assert set(found) == {source.users[key] for key in source.store.keys.tolist()}
    for key in source.store.keys.tolist():
        expected, actual = columns_of(source.store.read(key)), found[source.users[key]]
        assert set(actual) == set(expected)
        for column, array in expected.items():
            np.testing.assert_array_equal(actual[column], array)
            assert actual[column].dtype == array.dtype or array.ndim == 0


@pytest.mark.parametrize("where", ["csv", "redis", "parquet://x", "redis:/x", "", "http://x"])
def test_what_is_no_destination_is_refused(where: str) -> None:
    with pytest.raises(UserError, match="Records cannot go to") as refused:
        destination_of(where)
    assert "parquet, safetensors, redis://HOST:PORT/DB" in refused.value.remedy
