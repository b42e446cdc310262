"""Preparing at size: fifty thousand rows against the slow twin; the same bytes for any threads, memory, or a kill."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from taobao_format import write_taobao_format

from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.prepare import events, vocabulary
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.prepare import prepare
from lrea_cli.prepare.sources.taobao import LAST_DAY, Taobao
from lrea_cli.workspace.home import Workspace, require_intact
from tests.prepare.loops.prepare import make_samples, read_taobao
from tests.prepare.test_samples import assert_same_rows

CHOICES = ["same-day", "same-day-category", "uniform", "popularity"]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty thousand rows in Taobao's format, as the benchmark makes them."""
    path = tmp_path_factory.mktemp("raw") / "UserBehavior.csv"
    assert 45_000 < write_taobao_format(path, 50_000) < 55_000
    return path


@pytest.mark.slow
@pytest.mark.parametrize("negatives", CHOICES)
@pytest.mark.parametrize("positives", ["all", "first-time"])
def test_fifty_thousand_rows_agree_with_the_loops(tmp_path: Path, log: Path, negatives: Any, positives: Any) -> None:
    rows, rejected = read_taobao(log.read_text().splitlines())
    source = Taobao(negatives=negatives, positives=positives)
    options: dict[str, Any] = {"negatives_per_positive": 2, "min_history": 10}
    manifest = prepare(source, [log], "t", Workspace(tmp_path), PrepareOptions(threads=2, **options))
    assert manifest.rejected == rejected
    assert {"duplicate", "other_behavior", "outside_window"} <= set(rejected)
    expected, dropped = make_samples(rows, 8, LAST_DAY, negatives=negatives, positives=positives, **options)
    assert manifest.dropped_pairs == dropped
    assert_same_rows(tmp_path / "data" / "t", manifest, rows, expected)


@pytest.mark.slow
def test_threads_and_memory_change_no_byte_of_a_million_rows(tmp_path: Path) -> None:
    """Several row groups in each file, several blocks of text, and spilling to disk under the smallest limit."""
    raw = tmp_path / "UserBehavior.csv"
    write_taobao_format(raw, 1_500_000)
    workspace = Workspace(tmp_path)
    for number, (threads, memory) in enumerate([(1, "4GB"), (2, "4GB"), (8, "4GB"), (2, "500MB")]):
        prepare(Taobao(), [raw], str(number), workspace, PrepareOptions(threads=threads, memory=memory))
    found = [artifact.inventory.files for artifact in workspace.all(DATASETS)]
    assert found == found[:1] * 4
    written = pq.read_table(workspace.path(DATASETS, "0") / "events", columns=["user", "time", "source_row"])
    key = np.stack([column.to_numpy() for column in written.columns])
    assert (np.lexsort(key[::-1]) == np.arange(key.shape[1])).all()


def test_vocabularies_one_by_one_and_users_in_parts_change_no_byte(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done where memory is far too small."""
    workspace = Workspace(tmp_path)
    steps: list[str] = []
    parts, encode_one_by_one = events._parts, vocabulary._encode_one_by_one
    for name in ("plain", "small"):
        prepare(Taobao(), [log], name, workspace, PrepareOptions(threads=2))
        monkeypatch.setattr(vocabulary, "BYTES_A_VALUE", 1e6)
        monkeypatch.setattr(vocabulary, "_encode_one_by_one", lambda *a: (steps.append("ids"), encode_one_by_one(*a)))
        monkeypatch.setattr(events, "_parts", lambda *a: (steps.append("users"), 7)[1])
    assert steps == ["ids", "users", "users"]  # to sort, and to draw
    assert parts(8, 1_000_000, 8) == 1
    assert parts(800, 10_000_000, 8) == 150
    plain, small = (workspace.open(DATASETS, name).inventory.files for name in ("plain", "small"))
    assert small == plain


def prepare_command(raw: Path, home: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "lrea_cli", "prepare", "taobao", "--raw", str(raw), "--threads", "2"]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=os.environ | {"LREA_HOME": str(home)}, **silent)


STEPS = ("", "scratch/prepare.duckdb", "vocab/user.parquet", "train.parquet", "histories/offsets.npy", "blocks.xxh3")
"""What preparing writes, in this order, into its partial folder; that a step has begun is seen on disk, so that no kill
depends on the speed of the machine."""


def killed_at(step: str, seconds: float, raw: Path, home: Path) -> bool:
    """Kill a preparation so long after a step of it has begun; False where it had ended before.

    Args:
        step: a file of `STEPS`; empty = the partial folder itself.
    """

    def partials() -> set[Path]:
        return set((home / "data").glob(".partial-*"))

    old = partials()  # of the kill before this one; a new preparation deletes them
    running = prepare_command(raw, home)
    while running.poll() is None and not any((new / step).exists() for new in partials() - old):
        time.sleep(0.001)
    time.sleep(seconds)
    running.send_signal(signal.SIGKILL)
    return running.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_killed_at_any_instant_and_started_again_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    raw, clean, home = tmp_path / "UserBehavior.csv", tmp_path / "clean", tmp_path / "home"
    write_taobao_format(raw, 300_000)
    assert prepare_command(raw, clean).wait() == 0
    expected = Workspace(clean).open(DATASETS, "taobao").inventory.files
    rng, hits = random.Random(3), []
    for step in STEPS:
        for seconds in (0.0, 0.3 * rng.random()):
            hits.append(killed_at(step, seconds, raw, home))
            for finished in Workspace(home).all(DATASETS):  # the kill came too late: out of the way of the next one
                require_intact(finished)
                assert finished.inventory.files == expected
                shutil.rmtree(finished.path)
    assert sum(hits) >= 4, hits  # those at the very start of the first steps, which have much before them
    assert prepare_command(raw, home).wait() == 0
    assert Workspace(home).open(DATASETS, "taobao").inventory.files == expected
    assert [p.name for p in (home / "data").iterdir()] == ["taobao"]
