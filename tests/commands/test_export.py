"""`lrea export`: a run as a folder, or records that other engines and stores hold, byte for byte."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
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
from tests.conftest import untrained_run
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
    assert sorted(p.name for p in out.iterdir()) == ["SHA256SUMS", "records.json", "records.parquet"]
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_files_that_others_added_are_not_deleted(cache: Cache, tmp_path: Path, lrea: Call) -> None:
    out = tmp_path / "out"
    asked = ("export", "--records", "parquet", "--to", out, "tiny-lrea")
    lrea(*asked)
    (out / "deep").mkdir()
    for name in ("notes.md", "deep/own.cpp"):
        (out / name).write_text("mine")
    said = lrea(*asked, "--replace", fails=True)
    assert "has 2 files that lrea did not write: deep/own.cpp, notes.md." in " ".join(said.split())
    assert (out / "notes.md").read_text() == "mine"


def test_sums_show_a_changed_file(cache: Cache, tmp_path: Path, lrea: Call) -> None:
    out = tmp_path / "out"
    lrea("export", "--records", "parquet", "--to", out, "tiny-lrea")
    check = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    assert subprocess.run(check, cwd=out, check=True, capture_output=True).stdout == b""
    (out / "records.json").write_text((out / "records.json").read_text().replace("float32", "float16"))
    assert b"records.json: FAILED" in subprocess.run(check, cwd=out, check=False, capture_output=True).stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--records", "csv"], "Records cannot go to 'csv'"),
        (["--records", "parquet"], "needs a folder"),
        (["--records", "redis://127.0.0.1:1/0"], "There is no Redis at redis://127.0.0.1:1/0"),
        (["--records", "redis://a:se@cret@127.0.0.1:1/0"], "There is no Redis at redis://***@127.0.0.1:1/0"),
        (["--records", "redis://127.0.0.1:1/0", "--to", "x"], "--to has no effect beside --records redis://127"),
        (["--records", "redis://h/0", "--replace"], "--replace has no effect beside --records redis://h/0."),
        (["--records", "parquet", "--to", "x", "--golden", "3"], "--golden has no effect beside --records parquet."),
    ],
)
def test_what_cannot_be_done_is_said(cache: Cache, lrea: Call, options: list[str], words: str) -> None:
    said = lrea("export", "tiny-lrea", *options, fails=True)
    assert words in said
    assert "se@cret" not in said


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


def test_a_run_is_exported_and_replayed_by_the_command_that_is_named(
    cache: Cache, tmp_path: Path, lrea: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "served here"
    said = lrea("export", "tiny-lrea", "--to", out, "--golden", 20)
    assert (said["run"], said["cache"], said["native"]) == ("tiny-lrea", "shipped", True)
    assert said["bytes"] == sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    with pytest.raises(SystemExit):
        main(["export", "tiny-lrea", "--to", str(out), "--golden", "20", "--replace"])
    (named,) = re.findall(r"python .*$", capsys.readouterr().out, re.MULTILINE)
    assert named == f"python '{out}/replay/replay.py' '{out}'"
    command = [sys.executable, *shlex.split(named)[1:]]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("20 requests, onnxruntime")


def test_a_searched_run_has_no_cpp_request(workspace_copy: Workspace, tmp_path: Path, lrea: Call) -> None:
    run = untrained_run(workspace_copy, workspace_copy, (), {"method": "sim", "k": 4, "embedding_dim": 4})
    compress(workspace_copy, run, CacheSettings(), Silent(), "searched")
    assert lrea("export", run.name, "--to", tmp_path / "out", "--golden", 5)["native"] is False
    assert not (tmp_path / "out" / "native").exists()


def test_a_bundle_is_replaced_only_when_asked(cache: Cache, tmp_path: Path, lrea: Call) -> None:
    out, real = tmp_path / "out", tmp_path / "elsewhere" / "out"
    asked = ("export", "--to", out, "tiny-lrea", "--golden", 5)
    real.parent.mkdir()
    out.symlink_to(real)
    lrea(*asked)
    (real / "README.md").write_text("old")
    assert "There is a" in lrea(*asked, fails=True)
    assert (real / "README.md").read_text() == "old"
    lrea(*asked, "--replace")
    assert out.is_symlink()
    assert (real / "README.md").read_text().startswith("# tiny-lrea")
    assert [path for folder in (tmp_path, real.parent) for path in folder.glob(".*")] == []


def test_an_export_that_fails_leaves_what_was_there(
    cache: Cache, tmp_path: Path, lrea: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    asked = ("export", "--to", out, "tiny-lrea", "--golden", 5)
    monkeypatch.setitem(sys.modules, "onnx", None)
    said = lrea(*asked, fails=True)
    assert said == "error: The package 'onnx' is not installed.\n  Install it: pip install 'lrea[export]'\n"
    assert list(tmp_path.glob("*out*")) == []
    monkeypatch.undo()


STOPPED = """
import os, sys
from lrea_cli.serving.export import bundle
from lrea_cli.cli import main
def stop(*_):
    print("half", flush=True)
    sys.stdin.readline()
bundle.readme_of = stop
main(sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.parametrize(("number", "partial"), [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, 1)])
@pytest.mark.parametrize("there", [False, True])
def test_an_export_that_is_stopped_leaves_what_was_there(
    cache: Cache, workspace_copy: Workspace, tmp_path: Path, lrea: Call, number: int, partial: int, there: bool
) -> None:
    """SIGKILL leaves a hidden folder, since nobody can clear up; what is at the place is whole or not there."""
    out = tmp_path / "out"
    asked = ["export", "tiny-lrea", "--to", str(out), "--golden", "5", *(["--replace"] if there else [])]
    if there:
        lrea("export", "tiny-lrea", "--to", out, "--golden", 5)
        (out / "README.md").write_text("old")
    environment = {**os.environ, "LREA_HOME": str(workspace_copy.home)}
    command = [sys.executable, "-c", STOPPED, *asked]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == "half\n":
                break
        process.send_signal(number)
        process.communicate()
    assert process.returncode != 0
    assert len(list(tmp_path.glob(".partial-*"))) == partial
    assert (out / "README.md").read_text() == "old" if there else not out.exists()


def test_where_it_goes_must_be_said(cache: Cache, lrea: Call) -> None:
    assert "Nothing says where the export goes." in lrea("export", "tiny-lrea", fails=True)
    said = lrea("export", "tiny-din", "--to", "out", fails=True)
    assert "lrea compress --run tiny-din" in said
