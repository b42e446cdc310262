"""`lrea export`: records that other engines and stores hold, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from lrea_cli.cli import main
from lrea_cli.console.progress import Silent
from lrea_cli.recipe.settings import CACHE_DTYPES, CacheDtype
from lrea_cli.records.cache import Cache, CacheSettings, compress, open_cache, raw_users
from lrea_cli.runs.checkpoint import Run
from lrea_cli.workspace.home import Workspace
from tests.serving.export.redis_server import redis_server

Call = Callable[..., Any]


@pytest.fixture
def lrea(workspace_copy: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command line in a copy of `tiny`; its JSON, or with `fails` its standard error."""
    monkeypatch.setenv("LREA_HOME", str(workspace_copy.home))

    def run(*arguments: object, fails: bool = False) -> Any:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([*map(str, arguments), "--json"])
        found = capsys.readouterr()
        assert bool(stop.value.code) == fails, found.err
        return found.err if fails else json.loads(found.out)

    return run


@pytest.fixture
def cache(workspace_copy: Workspace, lrea_run: Run) -> Cache:
    compress(workspace_copy, lrea_run, CacheSettings(), Silent(), "shipped")
    return open_cache(workspace_copy, lrea_run, "shipped")


@pytest.mark.parametrize("dtype", CACHE_DTYPES)
def test_parquet_has_the_bytes_of_each_record(
    workspace_copy: Workspace, lrea_run: Run, tmp_path: Path, lrea: Call, dtype: CacheDtype
) -> None:
    compress(workspace_copy, lrea_run, CacheSettings(dtype), Silent(), "shipped")
    store = open_cache(workspace_copy, lrea_run, "shipped").store
    said = lrea("export", "--records", "parquet", "--to", tmp_path / "out", "--cache", "shipped")
    table = pq.read_table(tmp_path / "out" / "records.parquet").to_pylist()
    users = raw_users(lrea_run.dataset)
    assert len(table) == said["records"] == len(store.keys)
    for row in table:
        blob, record = store.verified(row["key"])
        assert (row["record"], row["user"]) == (blob, users[row["key"]])
        assert (row["history_length"], row["rows"]) == (record.length, record.rows)
    layout = json.loads((tmp_path / "out" / "records.json").read_text())
    assert [c["name"] for c in layout["columns"]] == [c.name for c in store.layout.columns]


def test_safetensors_hold_each_column(cache: Cache, tmp_path: Path, lrea: Call, monkeypatch) -> None:
    from safetensors.numpy import load_file

    from lrea_cli.serving.export.destinations import safetensors

    monkeypatch.setattr(safetensors, "FILE_RECORDS", 60)
    lrea("export", "--records", "safetensors", "--to", tmp_path / "out", "tiny-lrea")
    files = sorted((tmp_path / "out").glob("*.safetensors"))
    assert len(files) == 3
    keys = []
    for file in files:
        arrays = load_file(file)
        keys += arrays["key"].tolist()
        for position, key in enumerate(arrays["key"].tolist()):
            record = cache.store.read(key)
            assert (arrays["length"][position], arrays["rows"][position]) == (record.length, record.rows)
            for name, array in record.arrays.items():
                np.testing.assert_array_equal(arrays[name][position, : len(array)], array)
    assert keys == cache.store.keys.tolist()


def test_what_is_there_is_replaced_only_when_asked(cache: Cache, tmp_path: Path, lrea: Call) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").touch()
    asked = ("export", "--records", "parquet", "--to", out, "tiny-lrea")
    assert "There is a" in lrea(*asked, fails=True)
    assert "which lrea did not make" in lrea(*asked, "--replace", fails=True)
    assert [p.name for p in out.iterdir()] == ["mine"]
    (out / "mine").unlink()
    out.rmdir()
    lrea(*asked)
    (out / "records.parquet").write_bytes(b"old")
    lrea(*asked, "--replace")
    assert (out / "records.parquet").stat().st_size > 1000
    assert sorted(p.name for p in out.iterdir()) == ["records.json", "records.parquet"]
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--records", "csv"], "Records cannot go to 'csv'"),
        (["--records", "parquet"], "needs a folder"),
        (["--records", "redis://127.0.0.1:1/0"], "There is no Redis at redis://127.0.0.1:1/0"),
    ],
)
def test_what_cannot_be_done_is_said(cache: Cache, lrea: Call, options: list[str], words: str) -> None:
    assert words in lrea("export", "tiny-lrea", *options, fails=True)


def test_a_damaged_record_leaves_no_folder(cache: Cache, tmp_path: Path, lrea: Call) -> None:
    shard = cache.artifact.path / "records-00000.bin"
    blob = bytearray(shard.read_bytes())
    blob[len(blob) // 2] ^= 1
    shard.write_bytes(blob)
    said = lrea("export", "--cache", "shipped", "--records", "parquet", "--to", tmp_path / "out", fails=True)
    assert "damaged" in said
    assert list(tmp_path.glob("*out*")) == []


@pytest.fixture
def redis_address(tmp_path: Path) -> Iterator[str]:
    with redis_server(tmp_path) as address:
        yield address


def test_redis_gives_back_every_record(cache: Cache, lrea_run: Run, lrea: Call, redis_address: str) -> None:
    import redis

    lrea("export", "--records", redis_address, "--cache", "shipped")
    client, users = redis.Redis.from_url(redis_address), raw_users(lrea_run.dataset)
    assert client.get("lrea:tiny-lrea:current") == b"shipped"
    for key in cache.store.keys.tolist():
        assert client.get(f"lrea:tiny-lrea:shipped:{users[key]}") == cache.store.verified(key)[0]
    description = json.loads(client.get("lrea:tiny-lrea:shipped"))
    assert description["users"] == len(cache.store.keys)
    assert client.dbsize() == len(cache.store.keys) + 2
    client.close()


def test_a_full_redis_is_said_and_leaves_the_old_cache_current(cache: Cache, lrea: Call, redis_address: str) -> None:
    import redis

    client = redis.Redis.from_url(redis_address)
    client.set("lrea:tiny-lrea:current", "old")
    client.config_set("maxmemory", "2mb")
    client.config_set("maxmemory-policy", "noeviction")
    said = lrea("export", "--cache", "shipped", "--records", redis_address, fails=True)
    assert "maxmemory" in said
    assert client.get("lrea:tiny-lrea:current") == b"old"
    client.close()
