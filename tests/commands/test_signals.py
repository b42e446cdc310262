"""Ctrl-C and SIGTERM: one line that says what is kept, the exit code of a signal, and nothing left over."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lrea_cli.artifacts import KINDS
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.runs.manifest import RUNS
from lrea_cli.workspace.home import Workspace, require_intact

TRAIN = ["train", "--method", "din", "--run", "cut", "--short", "8", "--long", "40"]
STOPPED = {
    "train": ([*TRAIN, "--batch-size", "16", "--epochs", "50", "--lr", "0.001"], "epoch 1: loss"),
    "train, first epoch": ([*TRAIN, "--batch-size", "2"], "run cut: "),
    "prepare, reading": (["prepare", "synthetic", "--users", "2000", "--dataset", "cut"], "reading synthetic"),
    "prepare, samples": (["prepare", "synthetic", "--users", "2000", "--dataset", "cut"], "making samples"),
    "compress": (["compress", "--run", "tiny-lrea", "--cache", "cut"], ""),
    "serve-bench": (["serve-bench", "--run", "tiny-lrea", "--seconds", "50"], "run tiny-lrea, cache"),
    "sweep": (["sweep", "table3", "--jobs", "1"], "search: "),
}


def stop(home: Path, arguments: list[str], line: str, number: signal.Signals) -> tuple[int, str, list[str]]:
    """Send a signal when the command has said a line that begins so; exit code, last line of all, what lies there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lrea_cli", *arguments],
        env={**os.environ, "LREA_HOME": str(home), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    for said in process.stdout if line else ():
        if said.startswith(line):
            break
    process.send_signal(number)
    said, _ = process.communicate()
    left = [str(p.relative_to(home)) for p in home.rglob(".*") if p.name.startswith((".partial", ".old"))]
    return process.returncode, said, left


def check_stopped(tiny: Workspace, home: Path, case: str, number: signal.Signals) -> str:
    """Returns what was said after the signal."""
    shutil.copytree(tiny.home, home)
    code, said, left = stop(home, *STOPPED[case], number)
    assert code == 128 + number, said
    assert left == []
    assert "Traceback" not in said
    name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
    assert said.splitlines()[-1].startswith(f"Stopped by {name}: "), said
    for kind in KINDS:
        for artifact in Workspace(home).all(kind):
            require_intact(artifact)
    return said


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_that_is_stopped_is_kept_as_of_its_best_epoch(
    tiny: Workspace, tmp_path: Path, number: signal.Signals
) -> None:
    said = check_stopped(tiny, tmp_path / "home", "train", number)
    run = Workspace(tmp_path / "home").open(RUNS, "cut")
    assert run.manifest.stopped_early == ("Ctrl-C" if number == signal.SIGINT else "SIGTERM")
    assert f"the run 'cut' is kept as of epoch {run.manifest.best_epoch}, the best of " in said


def test_a_preparation_that_is_stopped_leaves_nothing(tiny: Workspace, tmp_path: Path) -> None:
    said = check_stopped(tiny, tmp_path / "home", "prepare, samples", signal.SIGINT)
    assert "the dataset 'cut' was not finished and is not kept" in said
    assert [a.name for a in Workspace(tmp_path / "home").all(DATASETS)] == ["synthetic"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("case", [case for case in STOPPED if case not in ("train", "compress")])
def test_every_command_says_what_is_kept(tiny: Workspace, tmp_path: Path, case: str, number: signal.Signals) -> None:
    said = check_stopped(tiny, tmp_path / "home", case, number)
    if case.startswith(("train", "prepare")):
        assert "is not kept" in said
    else:
        assert "is kept" in said
