"""A sweep of two tiny recipes on a tiny dataset: run once in this process, and copied for tests that change it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lrea_cli.console.progress import Silent
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.prepare import prepare
from lrea_cli.prepare.sources.synthetic import Synthetic
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.sweep import run
from lrea_cli.sweep.results import About
from lrea_cli.sweep.settings import Sweep, read_sweep
from lrea_cli.sweep.space import key_of
from lrea_cli.workspace.home import Artifact, Workspace

RECIPES: dict[str, dict[str, Any]] = {
    "mean": {"model": {"method": "mean"}},
    "lrea-4": {"model": {"method": "lrea", "rank": 4}},
}
SETTINGS = {
    "base": "mean",
    "search": {"points": [{"lr": 0.05}, {"lr": 0.1}]},
}
SEEDS = (1, 2)
ABOUT = About("lrea sweep", "now", {"cpu": "any", "cores": 1, "jobs": 1}, {})


def make_sweep(
    recipes: dict[str, dict[str, Any]] | None = None, seeds: tuple[int, ...] = SEEDS, **settings: Any
) -> Sweep:
    """The sweep of this folder, with other recipes, seeds or settings."""
    small = {"data": {"short": 8, "long": 40}, "train": {"epochs": 1, "batch_size": 128}}
    made = {}
    for name, content in (recipes or RECIPES).items():
        model = {"hidden": [8], "embedding_dim": 4, **content["model"]}
        made[name] = Recipe.from_dict({**small, **content, "model": model}, name)
    return replace(read_sweep("tiny-sweep", made, {**SETTINGS, **settings}, "sweep.toml"), seeds=seeds)


def run_of(recipe: str, seed: int, **point: Any) -> str:
    """The name of a run."""
    return "-".join(filter(None, ["tiny", recipe, key_of(point), f"seed{seed}"]))


def make_dataset(home: Path, users: int = 80) -> Artifact:
    """The dataset `tiny` of a home."""
    workspace = Workspace(home)
    prepare(Synthetic(users=users, seed=7), [], "tiny", workspace, PrepareOptions(seed=7, threads=1))
    return workspace.open(DATASETS, "tiny")


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


def run_in(patch: pytest.MonkeyPatch, pool: Inline) -> Inline:
    """Sweeps and searches run in this process, in the pool."""
    patch.setattr(run, "worker_pool", lambda workers: nullcontext(pool))
    return pool


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Inline:
    """Jobs run in this process."""
    return run_in(monkeypatch, Inline())


@dataclass
class InlineSweep:
    """Runs sweeps in this process.

    Args:
        dataset: that they are of.
    """

    patch: pytest.MonkeyPatch
    dataset: Artifact

    def __call__(self, sweep: Sweep, home: Path, pool: Inline | None = None, reporter: Any = None) -> run.Finished:
        """Run one; its jobs go to the pool."""
        run_in(self.patch, pool or Inline())
        before = torch.get_num_threads()
        torch.set_num_threads(1)  # as a worker does; an earlier test of this process may have left more
        try:
            return run.run_sweep(sweep, self.dataset, Workspace(home), 1, reporter or Silent())
        finally:
            torch.set_num_threads(before)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The dataset of all sweeps; for reading only."""
    return make_dataset(tmp_path_factory.mktemp("main"))


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory, dataset: Artifact) -> Path:
    """Home of the finished sweep; for reading only."""
    home = tmp_path_factory.mktemp("swept") / "home"
    with pytest.MonkeyPatch.context() as patch:
        finished = InlineSweep(patch, dataset)(make_sweep(), home)
    assert not finished.failures
    return home


@pytest.fixture
def inline_sweep(monkeypatch: pytest.MonkeyPatch, dataset: Artifact) -> InlineSweep:
    """Runs sweeps in this process."""
    return InlineSweep(monkeypatch, dataset)


@pytest.fixture
def home(swept: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(swept, tmp_path / "home", symlinks=True)
    return tmp_path / "home"


@pytest.fixture
def again(home: Path, inline_sweep: InlineSweep) -> Callable[..., list[str]]:
    """`again(sweep)`: run it on the copy; returns the names of its jobs, each job once as training or evaluation."""

    def sweep_again(sweep: Sweep | None = None, dataset: Artifact | None = None) -> list[str]:
        pool = Inline()
        run_it = inline_sweep if dataset is None else replace(inline_sweep, dataset=dataset)
        assert not run_it(sweep or make_sweep(), home, pool).failures
        return pool.names

    return sweep_again
