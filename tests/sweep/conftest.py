"""A sweep of two tiny recipes on a tiny dataset: run once in this process, and copied for tests that change it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lrea_cli.console.progress import Reporter, Silent
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.sweep import run
from lrea_cli.sweep.reading import read_sweep
from lrea_cli.sweep.settings import Sweep
from lrea_cli.workspace.home import Workspace

RECIPES: dict[str, dict[str, Any]] = {
    "mean": {"model": {"method": "mean"}},
    "lrea-4": {"model": {"method": "lrea", "rank": 4}},
}
SETTINGS = {
    "base": "mean",
    "search": {"lr": [0.05, 0.1]},
    "dataset": [{"name": "tiny", "source": "synthetic", "options": {"users": 80, "seed": 7}, "seeds": [1, 2]}],
}


def make_sweep(recipes: dict[str, dict[str, Any]] | None = None, **settings: Any) -> Sweep:
    """The sweep of this folder, with other recipes or settings."""
    small = {"data": {"short": 8, "long": 40}, "train": {"epochs": 1, "batch_size": 128}}
    made = {}
    for name, content in (recipes or RECIPES).items():
        model = {"hidden": [8], "embedding_dim": 4, **content["model"]}
        made[name] = Recipe.from_dict({**small, **content, "model": model}, name)
    return read_sweep("tiny-sweep", made, {**SETTINGS, **settings}, "sweep.toml")


@dataclass
class Inline:
    """A pool without processes that remembers the names of its jobs.

    Args:
        before: called with each name before its job; what it raises is the job's failure.
    """

    before: Callable[[str], None] = lambda name: None
    names: list[str] = field(default_factory=list)

    def submit(self, job: Any) -> Future[str]:
        future: Future[str] = Future()
        self.names.append(job.name)
        try:
            self.before(job.name)
            future.set_result(job())
        except Exception as error:
            future.set_exception(error)
        return future


def inline_sweep(
    sweep: Sweep, home: Path, pool: Inline, patch: pytest.MonkeyPatch, reporter: Reporter | None = None
) -> run.Finished:
    """Run a sweep in this process."""

    @contextmanager
    def worker_pool(workers: int) -> Iterator[Inline]:
        yield pool

    patch.setattr(run, "worker_pool", worker_pool)
    return run.run_sweep(sweep, Workspace(home), Workspace(home.parent / "main"), 1, reporter or Silent())


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home of the finished sweep; for reading only."""
    home = tmp_path_factory.mktemp("swept") / "home"
    with pytest.MonkeyPatch.context() as patch:
        finished = inline_sweep(make_sweep(), home, Inline(), patch)
    assert not finished.failures
    return home


@pytest.fixture
def home(swept: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(swept, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def again(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """`again(sweep)`: run it on the copy; returns the names of its jobs, each job once as training or evaluation."""

    def sweep_again(sweep: Sweep | None = None) -> list[str]:
        pool = Inline()
        assert not inline_sweep(sweep or make_sweep(), home, pool, monkeypatch).failures
        return pool.names

    return sweep_again
