"""Worker processes: one thread each, a failing job alone fails, none outlives its pool."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import dataclass

import pytest

from lrea_cli.console.progress import Silent
from lrea_cli.errors import LreaError, UserError
from lrea_cli.sweep.workers import run_jobs, worker_pool


class Lines(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@dataclass(frozen=True)
class Threads:
    name: str

    def __call__(self) -> str:
        import torch

        return f"{self.name} {torch.get_num_threads()} {os.environ['OMP_NUM_THREADS']}"


@dataclass(frozen=True)
class Fails:
    name: str

    def __call__(self) -> str:
        raise UserError("no.") if self.name == "refused" else KeyError("x")


@dataclass(frozen=True)
class Dies:
    name: str = "dies"

    def __call__(self) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return "never"


def test_jobs_run_on_one_thread_and_failures_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    reporter = Lines()
    with worker_pool(1) as pool:
        failures = run_jobs(
            pool, "test", [Fails("refused"), Threads("a"), Fails("broken"), Threads("b")], "jobs", reporter
        )
    assert {"a 1 1", "b 1 1"} <= set(reporter.lines)
    assert {f.job: f.message for f in failures} == {"refused": "no.", "broken": "KeyError: 'x'"}
    assert "refused: FAILED: no." in reporter.lines
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_killed_worker_says_how_to_go_on_and_leaves_no_process() -> None:
    with pytest.raises(LreaError, match="worker process was killed") as caught, worker_pool(1) as pool:
        run_jobs(pool, "test", [Dies(), Threads("a")], "jobs", Silent())
    assert "--jobs" in caught.value.remedy
    for child in multiprocessing.active_children():
        child.join(10)
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_no_job_starts_once_it_may_not() -> None:
    reporter = Lines()
    with worker_pool(1) as pool:
        names = [f"job {n}" for n in range(40)]
        failures = run_jobs(pool, "t", [Threads(n) for n in names], "jobs", reporter, lambda: not reporter.lines)
    assert failures == []
    # Some more than one: what the worker does until this process has heard of the first end.
    assert 1 <= len(reporter.lines) < 20
    assert run_jobs(pool, "t", [Threads("never")], "jobs", reporter, lambda: False) == []
