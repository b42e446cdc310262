"""The steps of a sweep: search, the other seeds, evaluation, compression; each does only what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from lrea_cli.compressors import COMPRESSORS
from lrea_cli.console.progress import Reporter
from lrea_cli.dataset.layout import DatasetInfo
from lrea_cli.dataset.samples import require_both_labels
from lrea_cli.errors import UserError
from lrea_cli.sweep.datasets import Dataset, link, recipes_left_out
from lrea_cli.sweep.jobs import CompressJob, SweepJob, TrainJob
from lrea_cli.sweep.results import LeftOut
from lrea_cli.sweep.search import Ground, Trial, chosen, run_rungs, training
from lrea_cli.sweep.settings import Sweep
from lrea_cli.sweep.space import Point
from lrea_cli.sweep.workers import Failure, run_jobs, worker_pool
from lrea_cli.workspace.home import Workspace


@dataclass(frozen=True)
class Cell:
    """One recipe of the sweep.

    Args:
        tried: the trials of the search, on the first seed.
        chosen: the point, once the search is done.
        trained: a training for each seed with that point.
    """

    recipe: str
    tried: tuple[Trial, ...]
    chosen: Point | None = None
    trained: tuple[TrainJob, ...] = ()

    def evaluated(self) -> tuple[TrainJob, ...]:
        """Trainings with the chosen point that are done, and their evaluation, too."""
        return tuple(job for job in self.trained if job.done() and job.evaluation.done())

    def search_seconds(self) -> float:
        """The longest training of the search."""
        return max((run.seconds for trial in self.tried for job in trial.jobs if (run := job.result())), default=0.0)


@dataclass(frozen=True)
class Finished:
    """What a sweep has done; every number lies in the workspace."""

    cells: tuple[Cell, ...]
    compressed: tuple[CompressJob, ...]
    dataset: Dataset
    failures: tuple[Failure, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True)
class Searched:
    """What a search has done: the trials of each recipe, rung by rung."""

    trials: dict[str, tuple[Trial, ...]]
    datasets: tuple[Dataset, ...]
    failures: tuple[Failure, ...]


def run_sweep(sweep: Sweep, dataset: Dataset, workspace: Workspace, workers: int, reporter: Reporter) -> Finished:
    """Do what is missing; a sweep that was cut off goes on.

    Args:
        dataset: of the main home; it is linked into `workspace`, the sweep's own.
        workers: jobs at a time; no result depends on it.

    Raises:
        UserError: a split has one label alone, no recipe suits the dataset, the search is on other logs, or another
            sweep works in this workspace.
        LreaError: a worker process was killed.
    """
    if sweep.search.worlds:
        raise UserError(
            f"The settings of '{sweep.name}' are searched on the worlds {', '.join(sweep.search.worlds)}.",
            f"Search them, and sweep what is chosen: lrea search {sweep.name} --chosen FOLDER",
        )
    failures: list[Failure] = []
    with workspace.alone("sweep"):
        dataset = link(dataset, workspace)
        info = DatasetInfo.of(dataset)
        require_both_labels(info)
        left_out = recipes_left_out(sweep, info, reporter)
        suited = [name for name in sweep.recipes if name not in {one.recipe for one in left_out}]
        with worker_pool(workers) as pool:
            work = doing_what_is_missing(pool, failures, reporter)
            ground = Ground(workspace.home, (dataset,), sweep.seeds[0])
            trials = run_rungs(sweep, suited, ground, work)
            cells = [_choose(sweep, Cell(name, own), ground) for name, own in trials.items()]
            # The slowest first, so that none of them is left alone at the end.
            slowest_first = sorted(cells, key=Cell.search_seconds, reverse=True)
            work("seeds", [job for cell in slowest_first for job in cell.trained], "runs")
            work("test", [job.evaluation for cell in cells for job in cell.trained if job.done()], "evaluations")
            compressed = [job for cell in cells for job in _compressions(sweep, cell)]
            work("compress", compressed, "compressions")
    done = tuple(job for job in compressed if job.done())
    return Finished(tuple(cells), done, dataset, tuple(failures), left_out)


def run_search(
    sweep: Sweep, datasets: Sequence[Dataset], workspace: Workspace, workers: int, reporter: Reporter
) -> Searched:
    """Do what is missing of a search on several datasets; the arguments are those of `run_sweep`.

    Raises:
        UserError: a split has one label alone, a recipe does not suit a dataset, or another sweep works in this
            workspace.
        LreaError: a worker process was killed.
    """
    failures: list[Failure] = []
    with workspace.alone("sweep"):
        linked = tuple(link(dataset, workspace) for dataset in datasets)
        for dataset in linked:
            info = DatasetInfo.of(dataset)
            require_both_labels(info)
            for left in recipes_left_out(sweep, info, reporter):
                raise UserError(f"{left.recipe} on {left.dataset}: {left.reason}", "Take the recipe out of the folder.")
        ground = Ground(workspace.home, linked, sweep.seeds[0])
        with worker_pool(workers) as pool:
            trials = run_rungs(sweep, tuple(sweep.recipes), ground, doing_what_is_missing(pool, failures, reporter))
    return Searched(trials, linked, tuple(failures))


def doing_what_is_missing(
    pool: ProcessPoolExecutor,
    failures: list[Failure],
    reporter: Reporter,
    may_start: Callable[[], bool] = lambda: True,
) -> Callable[[str, Sequence[SweepJob[Any]], str], None]:
    """A function that runs those of its jobs that are not done, and adds those that fail to `failures`."""

    def work(title: str, jobs: Sequence[SweepJob[Any]], unit: str) -> None:
        left = [job for job in jobs if not job.done()]
        reporter.say(f"{title}: {len(jobs)} {unit}, {len(jobs) - len(left)} of them are there")
        failures.extend(run_jobs(pool, title, left, unit, reporter, may_start))

    return work


def _choose(sweep: Sweep, cell: Cell, ground: Ground) -> Cell:
    """The best point of the last rung, and its trainings; no point where none was trained."""
    best = chosen(sweep.search, cell.tried)
    if best is None:
        return cell
    (dataset,) = ground.datasets
    seeds = sweep.seeds_of(cell.recipe)
    jobs = (training(sweep, cell.recipe, best.point, replace(ground, seed=seed), dataset) for seed in seeds)
    return replace(cell, chosen=best.point, trained=tuple(jobs))


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
