"""A disk that takes no more: a sentence, no traceback, and nothing half-written stays."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lrea_cli import cli
from lrea_cli.recipe.recipe import load_recipe
from lrea_cli.runs.checkpoint import build_model, open_dataset, open_run, save_checkpoint
from lrea_cli.runs.train import RESERVED_BYTES
from lrea_cli.workspace.home import Workspace, require_intact
from tests.fixtures.taobao_raw import write_taobao


@pytest.mark.parametrize("limit", [50_000, 1_000_000], ids=["while reading", "later"])
def test_a_preparation_that_cannot_write_says_so_and_leaves_nothing(tmp_path: Path, limit: int) -> None:
    """No file may grow above a limit, which fails as a full disk does."""
    raw, home = write_taobao(tmp_path / "UserBehavior.csv").path, tmp_path / "home"
    done = subprocess.run(
        [sys.executable, "-m", "lrea_cli", "prepare", "taobao", "--raw", str(raw)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        env=os.environ | {"LREA_HOME": str(home)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((home / "data").iterdir()) == []


def test_a_full_disk_has_a_remedy(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(command: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "where")

    monkeypatch.setattr(cli, "get_command", full)
    with pytest.raises(SystemExit) as stop:
        cli.main(["train"])
    said = capsys.readouterr().err
    assert stop.value.code == 1
    assert "error: No space left on device: where\n" in said
    assert "set LREA_HOME to a folder on a larger disk" in said


SMALL_DISK = """
mount -t tmpfs -o size="$1" tmpfs "$2" && cp -r "$3" "$2/home" || exit 77
LREA_HOME="$2/home" "$4" -m lrea_cli train --recipe "$5" --run cut --threads 1
code=$?
cp -r "$2/home" "$6"
exit $code
"""
"""Trains on a disk of so many bytes: its mount, seen by nobody else, and what is on it are gone with the process."""

RECIPE = """
[data]
short = 8
long = 40
[model]
method = "din"
embedding_dim = 128
hidden = [16, 8]
[train]
batch_size = 256
lr = 0.005
epochs = 40
patience = 0
"""


@pytest.mark.slow
def test_a_training_that_fills_the_disk_is_kept_as_of_its_best_epoch(tiny: Workspace, tmp_path: Path) -> None:
    """There is room for one checkpoint, not for a second beside it."""
    if shutil.which("unshare") is None:
        pytest.skip("a small disk needs `unshare` and the right to mount: install util-linux, run as root")
    recipe, disk, copy = tmp_path / "small.toml", tmp_path / "disk", tmp_path / "copy"
    recipe.write_text(RECIPE)
    disk.mkdir()
    settings = load_recipe(str(recipe))
    save_checkpoint(build_model(settings, open_dataset(tiny, None)[1]), tmp_path / "model")
    used = sum(-(-p.stat().st_size // 4096) + 1 for p in tiny.home.rglob("*")) * 4096
    size = used + RESERVED_BYTES + int(1.5 * (tmp_path / "model").stat().st_size)
    arguments = [str(a) for a in (size, disk, tiny.home, sys.executable, recipe, copy)]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", SMALL_DISK, "sh", *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("a small disk needs the right to mount: run as root")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert "No space left on device" in errors[0]
    assert "Free space, or set LREA_HOME" in done.stderr
    run = open_run(Workspace(copy), "cut", None, torch.device("cpu"))
    manifest = run.artifact.manifest
    assert f"the run 'cut' is kept as of epoch {manifest.best_epoch}" in done.stderr
    assert "No space left on device" in manifest.stopped_early
    require_intact(run.artifact)
    assert not list(copy.rglob("*partial*"))
