"""The steps of a sweep: search, the other seeds, evaluation, compression; each does only what is missing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lrea_cli.compressors import COMPRESSORS
from lrea_cli.console.progress import Reporter
from lrea_cli.dataset.layout import DatasetInfo
from lrea_cli.dataset.manifest import DATASETS, DatasetManifest
from lrea_cli.dataset.samples import require_both_labels
from lrea_cli.errors import UserError
from lrea_cli.sweep.jobs import CompressJob, EvaluateJob, TrainJob, reason_against
from lrea_cli.sweep.results import LeftOut
from lrea_cli.sweep.settings import Point, Sweep
from lrea_cli.sweep.workers import Failure, run_jobs, worker_pool
from lrea_cli.workspace.home import Artifact, Workspace

Dataset = Artifact[DatasetManifest]


@dataclass(frozen=True)
class Cell:
    """One recipe of the sweep.

    Args:
        searched: a training for each point, on the first seed.
        chosen: the point, once the search is done.
        trained: a training for each seed with that point.
    """

    recipe: str
    searched: tuple[TrainJob, ...]
    chosen: Point | None = None
    trained: tuple[TrainJob, ...] = ()

    def evaluated(self) -> tuple[TrainJob, ...]:
        """Trainings with the chosen point that are done, and their evaluation, too."""
        return tuple(job for job in self.trained if job.done() and job.evaluation.done())

    def search_seconds(self) -> float:
        """The longest training of the search."""
        return max((run.seconds for job in self.searched if (run := job.result())), default=0.0)


@dataclass(frozen=True)
class Finished:
    """What a sweep has done; every number lies in the workspace."""

    cells: tuple[Cell, ...]
    compressed: tuple[CompressJob, ...]
    dataset: Dataset
    failures: tuple[Failure, ...]
    left_out: tuple[LeftOut, ...]


def dataset_of(sweep: Sweep, name: str | None, main: Workspace) -> Dataset:
    """The named dataset of a home, else the one that the recipes name (a UserError for several), else the latest."""
    if name is None:
        named = {recipe.data.dataset for recipe in sweep.recipes.values() if recipe.data.dataset is not None}
        if len(named) > 1:
            raise UserError(f"The recipes name different datasets: {', '.join(sorted(named))}.", "Choose by --dataset.")
        name = next(iter(named), None)
    return main.open(DATASETS, name)


def workspace_of(sweep: Sweep, dataset: Dataset, main: Workspace) -> Workspace:
    """The sweep's own: all that it trains lies there."""
    return Workspace(main.home / "sweeps" / f"{sweep.name}-{dataset.name}")


def run_sweep(sweep: Sweep, dataset: Dataset, workspace: Workspace, workers: int, reporter: Reporter) -> Finished:
    """Do what is missing; a sweep that was cut off goes on.

    Args:
        dataset: of the main home; it is linked into `workspace`, the sweep's own.
        workers: jobs at a time; no result depends on it.

    Raises:
        UserError: a split has one label alone, no recipe suits the dataset, or another sweep works in this workspace.
        LreaError: a worker process was killed.
    """
    failures: list[Failure] = []
    with workspace.alone("sweep"):
        dataset = _link(dataset, workspace)
        info = DatasetInfo.of(dataset)
        require_both_labels(info)
        left_out = _left_out(sweep, info, reporter)
        suited = [name for name in sweep.recipes if name not in {one.recipe for one in left_out}]
        with worker_pool(workers) as pool:

            def work(title: str, jobs: Sequence[TrainJob | EvaluateJob | CompressJob], unit: str) -> None:
                """Run the jobs that are not done."""
                left = [job for job in jobs if not job.done()]
                reporter.say(f"{title}: {len(jobs)} {unit}, {len(jobs) - len(left)} of them are there")
                failures.extend(run_jobs(pool, title, left, unit, reporter))

            first, home = sweep.seeds[0], workspace.home
            searches = {n: [_training(sweep, n, point, first, home, dataset) for point in sweep.search] for n in suited}
            cells = [Cell(name, tuple(jobs)) for name, jobs in searches.items()]
            work("search", [job for cell in cells for job in cell.searched], "runs")
            cells = [_choose(sweep, cell, dataset) for cell in cells]
            # The slowest first, so that none of them is left alone at the end.
            slowest_first = sorted(cells, key=Cell.search_seconds, reverse=True)
            work("seeds", [job for cell in slowest_first for job in cell.trained], "runs")
            work("test", [job.evaluation for cell in cells for job in cell.trained if job.done()], "evaluations")
            compressed = [job for cell in cells for job in _compressions(sweep, cell)]
            work("compress", compressed, "compressions")
    done = tuple(job for job in compressed if job.done())
    return Finished(tuple(cells), done, dataset, tuple(failures), left_out)


def _link(dataset: Dataset, workspace: Workspace) -> Dataset:
    """A link to the dataset in the sweep's workspace."""
    link = workspace.path(DATASETS, dataset.name)
    if link.is_symlink():
        link.unlink()
    elif link.exists():
        raise UserError(f"{link} is in the way of the dataset '{dataset.name}'.", "Remove that folder.")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(dataset.path.resolve(), link.parent.resolve()))
    return workspace.open(DATASETS, dataset.name)


def _left_out(sweep: Sweep, dataset: DatasetInfo, reporter: Reporter) -> tuple[LeftOut, ...]:
    """Recipes that cannot run on the dataset: each is said once, before any work."""
    reasons = {name: reason_against(recipe, dataset) for name, recipe in sweep.recipes.items()}
    left_out = tuple(LeftOut(dataset.manifest.dataset, name, reason) for name, reason in reasons.items() if reason)
    if len(left_out) == len(sweep.recipes):
        first = left_out[0]
        raise UserError(f"No recipe can run: {first.recipe} on {first.dataset}: {first.reason}")
    for one in left_out:
        reporter.say(f"{one.recipe} is left out on {one.dataset}: {one.reason}")
    return left_out


def _choose(sweep: Sweep, cell: Cell, dataset: Dataset) -> Cell:
    """The point of the best validation AUC, the first of equals; no point where none was trained."""
    tried = [(run.best_valid_auc, -i) for i, job in enumerate(cell.searched) if (run := job.result())]
    if not tried:
        return cell
    point, home = sweep.search[-max(tried)[1]], cell.searched[0].home
    jobs = (_training(sweep, cell.recipe, point, seed, home, dataset) for seed in sweep.seeds)
    return replace(cell, chosen=point, trained=tuple(jobs))


def _training(sweep: Sweep, name: str, point: Point, seed: int, home: Path, dataset: Dataset) -> TrainJob:
    recipe = sweep.recipe_of(name, dataset.name, seed, point)
    run = f"{dataset.name}-{name}-lr{recipe.train.lr:g}-seed{seed}"
    return TrainJob(home, run, recipe, dataset.identity)


def _compressions(sweep: Sweep, cell: Cell) -> Iterator[CompressJob]:
    """Of runs that have been evaluated; of ranks at which a compressor keeps equally many rows, the first."""
    compress = sweep.compress
    if compress is None or cell.recipe not in compress.recipes:
        return
    for job in cell.evaluated():
        for name in compress.compressors:
            ranks: dict[int, int] = {}
            for rank in compress.ranks:
                ranks.setdefault(COMPRESSORS[name].most_rows(rank), rank)
            yield from (CompressJob(job.home, job.name, name, rank, job.seed) for rank in ranks.values())
