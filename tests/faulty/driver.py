"""Runs a command again and again in copies of a home, each time with another call to the system that fails.

    LD_PRELOAD=shim.so python driver.py '{"shim": .., "home": .., "work": .., "command": [..], "positions": ..}'

Prints one JSON object a run: how it ended, what it said, and what lies in the home. In the first nothing fails. The
shim must be preloaded.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Fault:
    """Which call fails: the number `at` (0: none), with this errno; `onward`: all later writes, too; `kill`: exit."""

    at: int
    number: int
    onward: bool = False
    kill: bool = False


@dataclass
class Ending:
    """How a run ended.

    Args:
        code: of its exit. said: on standard error. calls: that might have failed.
        artifacts: `runs/one` -> identity, of those that are whole; `damaged` those that are not.
        files: everything else, but logs, locks and what is in artifacts by their manifests.
    """

    fault: dict[str, Any]
    code: int
    said: str
    calls: int
    artifacts: dict[str, str] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)


def run(shim: ctypes.CDLL, base: Path, work: Path, command: list[str], fault: Fault) -> Ending:
    """Run a command in a forked process: everything is loaded once, and no run knows of another."""
    home, said = work / "home", work / "said"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(base, home, symlinks=True)
    os.environ["LREA_HOME"] = str(home)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _child(shim, home, said, command, fault, writing)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    calls = os.read(reading, 32)
    os.close(reading)
    ending = Ending(asdict(fault), os.waitstatus_to_exitcode(status), said.read_text(), int(calls or 0))
    _look(home, ending)
    return ending


def _child(shim: ctypes.CDLL, home: Path, said: Path, command: list[str], fault: Fault, writing: int) -> None:
    code = 99
    try:
        errors = os.open(said, os.O_WRONLY | os.O_CREAT)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(errors, 2)
        shim.fault_arm(str(home).encode(), fault.at, fault.number, int(fault.onward), int(fault.kill))
        from lrea_cli.cli import main

        _work_in_this_process()
        main([argument.format(home=home) for argument in command])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    finally:
        sys.stderr.flush()
        os.write(writing, str(shim.fault_calls()).encode())
        os._exit(code)


def _work_in_this_process() -> None:
    """A sweep's jobs, too: the shim counts and fails calls of this process alone."""
    from lrea_cli.sweep import run

    run.worker_pool = inline_pool


class InlinePool:
    """A pool without processes."""

    def submit(self, job: Callable[[], str]) -> Future[str]:
        """Do the job at once."""
        future: Future[str] = Future()
        try:
            future.set_result(job())
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def inline_pool(workers: int) -> Iterator[InlinePool]:
    """In place of `sweep.workers.worker_pool`."""
    yield InlinePool()


def _look(home: Path, ending: Ending) -> None:
    from lrea_cli.artifacts import KINDS
    from lrea_cli.errors import UserError
    from lrea_cli.workspace.home import Workspace, require_intact

    roots = (home, *sorted(home.glob("sweeps/*")))
    for root, kind in ((root, kind) for root in roots for kind in KINDS):
        for folder in sorted((root / kind.folder).glob("*")):
            try:
                artifact = Workspace(root).open(kind, folder.name)
                require_intact(artifact)
                ending.artifacts[str(folder.relative_to(home))] = artifact.identity
            except UserError as error:
                ending.damaged.append(f"{folder}: {error}")
    ending.damaged += _damaged_json(home)
    ending.files = sorted(_others(home))


def _damaged_json(home: Path) -> Iterator[str]:
    """Of evaluations and results: each is as it was written, or not there."""
    from lrea_cli.errors import UserError
    from lrea_cli.workspace.sealed import read_json

    for path in home.rglob("*.json"):
        try:
            if not path.name.startswith("."):
                read_json(path, "")
        except UserError as error:
            yield str(error)


def _others(home: Path) -> Iterator[str]:
    listed = set()
    for manifest in home.rglob("*.json"):
        if manifest.name in ("data.json", "run.json", "cache.json"):
            content = json.loads(manifest.read_text())
            listed |= {str(manifest.parent / name) for name in (*content["files"], manifest.name, ".finished")}
    for path in home.rglob("*"):
        parts = path.relative_to(home).parts
        if path.is_file() and str(path) not in listed and not {"logs", ".locks"} & set(parts):
            yield str(path.relative_to(home))
        if path.is_dir() and path.name.startswith((".partial-", ".old-")):
            yield str(path.relative_to(home))


def faults(calls: int, positions: int) -> Iterator[Fault]:
    """So many calls, evenly over all, the first and the last among them: each fails once, and with all that follow.

    Args:
        positions: 0 = every call.
    """
    count = min(positions or calls, calls)
    chosen = sorted({1 + round(i * (calls - 1) / max(1, count - 1)) for i in range(count)})
    for place, at in enumerate(chosen):
        once, onward = Fault(at, errno.EIO), Fault(at, errno.ENOSPC, onward=True)
        yield from (once, onward) if not positions else (once if place % 2 else onward,)


def main() -> None:
    """Run what the first argument asks for."""
    import duckdb  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import torch  # noqa: F401

    asked = json.loads(sys.argv[1])
    shim = ctypes.CDLL(asked["shim"])
    where = shim, Path(asked["home"]), Path(asked["work"]), asked["command"]
    whole = run(*where, Fault(0, 0))
    print(json.dumps(asdict(whole)), flush=True)
    for fault in faults(whole.calls, asked["positions"]):
        print(json.dumps(asdict(run(*where, fault))), flush=True)


if __name__ == "__main__":
    main()
