"""Every write, open, fsync and rename of a command may fail: old or new, whole, one sentence, and nothing left over.

The shim fails calls of the C library, so those of DuckDB, Arrow, torch and safetensors, too. The default run samples a
few calls of one command; the slow ones take all calls of each, but for `sweep`, which is long: of its calls every
second or third.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lrea_cli.artifacts import KINDS
from lrea_cli.cli import main
from lrea_cli.workspace.home import Workspace
from tests.selection import one_by_default

HERE = Path(__file__).parent
TINY = ["--short", "8", "--long", "40", "--epochs", "2", "--batch-size", "256", "--threads", "1"]
COMMANDS = {
    "prepare": ["prepare", "synthetic", "--users", "61", "--threads", "1", "--replace"],
    "train": ["train", "--method", "mean", "--run", "new", *TINY],
    "compress": ["compress", "--run", "tiny-lrea", "--cache", "new", "--threads", "1"],
    "eval": ["eval", "--run", "tiny-lrea", "--threads", "1"],
    "serve-bench": ["serve-bench", "--run", "tiny-lrea", "--candidates", "5", "--seconds", "0.1", "--threads", "1"],
}
SAMPLED = {"compress": 2, "prepare": 4, "train": 3, "eval": 2, "serve-bench": 2, "sweep": 2}
OF_SWEEP = 60
"""Calls that fail of a sweep, evenly over all: in turn one alone, and one with all that follow."""

READING = {
    "cost": ["cost"],
    "verify": ["verify"],
    "compare": ["compare", "tiny-din", "tiny-lrea"],
}
RECIPE = """
[data]
short = 8
long = 40
[model]
method = "{}"
hidden = [8]
[train]
epochs = 1
batch_size = 256
"""
SWEEP = '[compress]\ncompressors = ["recent"]\nranks = [16]\n'


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("failing calls of the C library needs Linux and a C compiler: apt install gcc")
    made = tmp_path_factory.mktemp("shim") / "shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made, HERE / "shim.c", "-ldl"], check=True)
    return made


@pytest.fixture(scope="session")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for a sweep: two recipes, one of them compressed as well."""
    folder = tmp_path_factory.mktemp("recipes") / "two"
    folder.mkdir()
    for method in ("mean", "din"):
        (folder / f"{method}.toml").write_text(RECIPE.format(method))
    (folder / "sweep.toml").write_text(SWEEP)
    return folder


def command_of(name: str, recipes: Path) -> list[str]:
    """The command line; `{home}` stands for the home that it works in."""
    if name != "sweep":
        return COMMANDS[name]
    return ["sweep", str(recipes), "--dataset", "synthetic", "--seeds", "1", "--page", "{home}/page.md"]


def endings(shim: Path, home: Path, work: Path, command: list[str], positions: int) -> list[dict[str, Any]]:
    """How the command ended each time; the first time nothing failed."""
    asked = {"shim": str(shim), "home": str(home), "work": str(work), "command": command, "positions": positions}
    done = subprocess.run(
        [sys.executable, str(HERE / "driver.py"), json.dumps(asked)],
        env={**os.environ, "LD_PRELOAD": str(shim), "PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(ending: dict[str, Any], old: dict[str, str], whole: dict[str, Any]) -> None:
    """What must hold after a fault."""
    said, artifacts = ending["said"], ending["artifacts"]
    assert ending["code"] in (0, 1), ending
    assert ending["damaged"] == [], ending
    assert "Traceback" not in said, ending
    assert "traceback is in" not in said, ending
    for name, identity in artifacts.items():
        run_of_fewer_epochs = name == "runs/new" and "is kept as of epoch" in said
        assert identity in (old.get(name), whole["artifacts"].get(name)) or run_of_fewer_epochs, (name, ending)
    assert old.keys() <= artifacts.keys(), ending
    assert set(ending["files"]) <= {*whole["files"], *bench_files(ending)}, ending
    if ending["code"]:
        lines = said.splitlines()
        assert [line for line in lines if line.startswith("error: ")] == [lines[0]], ending
        if ending["fault"]["onward"]:
            assert "Free space, or set LREA_HOME" in said, ending
        if "is not kept" in said and "; the old one" not in said:
            assert artifacts.keys() == old.keys(), ending


def bench_files(ending: dict[str, Any]) -> list[str]:
    """Results of serve-bench: their names hold the time."""
    return [name for name in ending["files"] if name.startswith("bench/2") and name.endswith(".json")]


def check_command(shim: Path, tiny: Workspace, work: Path, command: list[str], positions: int) -> None:
    old = {f"{kind.folder}/{a.name}": a.identity for kind in KINDS for a in tiny.all(kind)}
    whole, *failed = endings(shim, tiny.home, work, command, positions)
    assert (whole["code"], whole["damaged"]) == (0, []), whole
    assert len(failed) == (positions or 2 * whole["calls"])
    assert any(ending["code"] for ending in failed)
    for ending in failed:
        check(ending, old, whole)


@pytest.mark.parametrize("command", one_by_default(*SAMPLED))
def test_some_calls_of_a_command_fail(shim: Path, tiny: Workspace, recipes: Path, tmp_path: Path, command: str) -> None:
    check_command(shim, tiny, tmp_path, command_of(command, recipes), SAMPLED[command])


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_call_of_a_command_fails(shim: Path, tiny: Workspace, tmp_path: Path, command: str) -> None:
    check_command(shim, tiny, tmp_path, COMMANDS[command], 0)


@pytest.mark.slow
def test_many_calls_of_a_sweep_fail(shim: Path, tiny: Workspace, recipes: Path, tmp_path: Path) -> None:
    check_command(shim, tiny, tmp_path, command_of("sweep", recipes), OF_SWEEP)


@pytest.mark.slow
@pytest.mark.parametrize("command", READING)
def test_commands_that_only_read_write_nothing(
    shim: Path, workspace_copy: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("LREA_HOME", str(workspace_copy.home))
    for line in ("eval --run tiny-din", "eval --run tiny-lrea"):
        with pytest.raises(SystemExit):
            main(line.split())
    (ending,) = endings(shim, workspace_copy.home, tmp_path / "work", READING[command], 0)
    assert (ending["code"], ending["calls"], ending["damaged"]) == (0, 0, []), ending["said"]
