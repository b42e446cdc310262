"""Two processes that make artifacts of one name at once: both are kept, or one is refused at its start."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lrea_cli.artifacts import KINDS
from lrea_cli.runs.manifest import RUNS
from lrea_cli.workspace.home import Workspace, require_intact

TINY = ["--short", "8", "--long", "40", "--epochs", "1", "--batch-size", "256", "--method", "mean"]
COMMANDS = {
    "train": ["train", *TINY, "--run", "one"],
    "train, default names": ["train", *TINY],
    "prepare": ["prepare", "synthetic", "--users", "60", "--dataset", "one"],
    "prepare --replace": ["prepare", "synthetic", "--users", "61", "--replace"],
    "compress": ["compress", "--run", "tiny-lrea", "--cache", "one"],
    "compress, default names": ["compress", "--run", "tiny-lrea"],
}
MAKER = """
import sys
from pathlib import Path
from lrea_cli.errors import UserError
from lrea_cli.workspace.home import Workspace, write_manifest
from lrea_cli.runs.manifest import RUNS
from tests.manifests import manifest_of

workspace, name = Workspace(Path(sys.argv[1])), sys.argv[2] or None
print("ready", flush=True)
sys.stdin.readline()
try:
    with workspace.create(RUNS, name, stem="made") as (name, folder):
        (folder / "by").write_text(sys.argv[3])
        print("holds", flush=True)
        sys.stdin.readline()
        write_manifest(folder, RUNS, manifest_of(RUNS))
    print(name)
except UserError as error:
    print("refused")
"""
"""Waits for a line before it claims a name, and for another before it finishes."""


def in_own_namespace(command: list[str]) -> list[str]:
    """The command as process 1 of a namespace of its own, as in a container."""
    return ["unshare", "--pid", "--fork", "--mount-proc", *command]


def may_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(in_own_namespace(["true"]), capture_output=True).returncode == 0


def start(home: Path, name: str, by: str, wrap: Callable[[list[str]], list[str]]) -> subprocess.Popen[str]:
    command = wrap([sys.executable, "-c", MAKER, str(home), name, by])
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go_on(process: subprocess.Popen[str]) -> str:
    """Let it go on; returns its next line."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


@pytest.mark.parametrize("wrap", [list, in_own_namespace], ids=["processes", "pid namespaces"])
def test_two_makers_without_a_name_get_two(tmp_path: Path, wrap: Callable[[list[str]], list[str]]) -> None:
    if wrap is in_own_namespace and not may_unshare():
        pytest.skip("namespaces of process ids need `unshare` and the right to use it: run as root")
    first, second = (start(tmp_path, "", by, wrap) for by in ("first", "second"))
    assert (go_on(first), go_on(second)) == ("holds", "holds")
    assert (go_on(second), go_on(first)) == ("made-2", "made-1")
    for process in (first, second):
        process.communicate()
    runs = Workspace(tmp_path).all(RUNS)
    assert [(run.path / "by").read_text() for run in runs] == ["first", "second"]
    assert Workspace(tmp_path).open(RUNS).name == "made-1"  # it was finished last


@pytest.mark.parametrize("wrap", [list, in_own_namespace], ids=["processes", "pid namespaces"])
def test_a_second_maker_of_a_name_is_refused_while_the_first_works(
    tmp_path: Path, wrap: Callable[[list[str]], list[str]]
) -> None:
    if wrap is in_own_namespace and not may_unshare():
        pytest.skip("namespaces of process ids need `unshare` and the right to use it: run as root")
    first, second, other = (start(tmp_path, name, by, wrap) for by, name in (("1", "one"), ("2", "one"), ("3", "two")))
    assert go_on(first) == "holds"
    assert go_on(second) == "refused"
    assert go_on(other) == "holds"
    assert go_on(other) == "two"
    assert len(list((tmp_path / "runs").glob(".partial-one-*"))) == 1
    assert go_on(first) == "one"
    for process in (first, second, other):
        process.communicate()
    assert [(run.path / "by").read_text() for run in Workspace(tmp_path).all(RUNS)] == ["1", "3"]


def both_at_once(home: Path, command: list[str], wrap: Callable[[list[str]], list[str]]) -> list[tuple[int, str]]:
    """Exit code and standard error of two processes that begin together."""
    line = wrap([sys.executable, "-m", "lrea_cli", *command, "--threads", "1"])
    environment = {**os.environ, "LREA_HOME": str(home), "OMP_NUM_THREADS": "1"}
    makers = [
        subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [maker.communicate()[1] for maker in makers]
    return [(maker.returncode, text) for maker, text in zip(makers, said, strict=True)]


def check_both_at_once(home: Path, command: list[str], wrap: Callable[[list[str]], list[str]]) -> int:
    """Every process that ended well has its artifact; returns how many did."""
    before = {(kind, a.name): a.order for kind in KINDS for a in Workspace(home).all(kind)}
    endings = both_at_once(home, command, wrap)
    after = [a for kind in KINDS for a in Workspace(home).all(kind)]
    made = [a for a in after if before.get((a.kind, a.name)) != a.order]
    for artifact in made:
        require_intact(artifact)
    well = [code for code, _ in endings if code == 0]
    refused = [said for code, said in endings if code == 2 and ("exists already" in said or "is making or" in said)]
    assert len(well) + len(refused) == 2, endings
    assert len(made) == (1 if "--replace" in command else len(well)), endings
    assert not list(home.glob("*/.partial-*"))
    assert not list(home.glob("*/.old-*"))
    return len(well)


@pytest.mark.slow
@pytest.mark.parametrize("wrap", [list, in_own_namespace], ids=["processes", "pid namespaces"])
@pytest.mark.parametrize("command", COMMANDS)
def test_two_commands_at_once_twenty_times(
    tiny: Workspace, tmp_path: Path, command: str, wrap: Callable[[list[str]], list[str]]
) -> None:
    if wrap is in_own_namespace and not may_unshare():
        pytest.skip("namespaces of process ids need `unshare` and the right to use it: run as root")
    for number in range(20):
        home = tmp_path / f"{number}"
        shutil.copytree(tiny.home, home)
        well = check_both_at_once(home, COMMANDS[command], wrap)
        assert well == 2 if "default" in command else well >= 1


@pytest.mark.slow
def test_two_trainings_at_once(tiny: Workspace, tmp_path: Path) -> None:
    shutil.copytree(tiny.home, tmp_path / "home")
    assert check_both_at_once(tmp_path / "home", COMMANDS["train, default names"], list) == 2
