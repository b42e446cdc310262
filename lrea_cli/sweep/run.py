"""The steps of a sweep: datasets, search, the other seeds, evaluation, compression; each does only what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from lrea_cli.console.progress import Reporter
from lrea_cli.dataset.layout import DatasetInfo
from lrea_cli.dataset.tallies import require_both_labels
from lrea_cli.errors import UserError
from lrea_cli.sweep.compressions import CompressJob
from lrea_cli.sweep.datasets import Datasets, make_ready
from lrea_cli.sweep.jobs import EvaluateJob, TrainJob, reason_against, run_manifest
from lrea_cli.sweep.results import LeftOut
from lrea_cli.sweep.settings import DatasetPlan, Point, Sweep, point_recipe
from lrea_cli.sweep.workers import Failure, run_jobs, worker_pool
from lrea_cli.workspace.home import Workspace


@dataclass(frozen=True)
class Cell:
    """One recipe on one dataset.

    Args:
        searched: a training for each point, on the first seed. chosen: the point, once the search is done.
        trained: a training for each seed with that point.
    """

    plan: DatasetPlan
    recipe: str
    searched: tuple[TrainJob, ...]
    chosen: Point | None = None
    trained: tuple[TrainJob, ...] = ()

    def finished(self) -> tuple[TrainJob, ...]:
        """Trainings with the chosen point that are done."""
        return tuple(job for job in self.trained if job.done())


@dataclass
class Progressing:
    """A sweep under way: what runs its jobs, and what failed so far."""

    pool: ProcessPoolExecutor
    reporter: Reporter
    failures: list[Failure] = field(default_factory=list)

    def work(self, title: str, jobs: Sequence[TrainJob | EvaluateJob | CompressJob], unit: str) -> None:
        """Run the jobs that are not done."""
        left = [job for job in jobs if not job.done()]
        self.reporter.say(f"{title}: {len(jobs)} {unit}, {len(jobs) - len(left)} of them are there")
        self.failures += run_jobs(self.pool, title, left, unit, self.reporter)


@dataclass(frozen=True)
class Finished:
    """What a sweep has done; every number lies in the workspace."""

    cells: tuple[Cell, ...]
    compressed: tuple[CompressJob, ...]
    datasets: Datasets
    failures: tuple[Failure, ...]
    left_out: tuple[LeftOut, ...]


def run_sweep(sweep: Sweep, workspace: Workspace, main: Workspace, workers: int, reporter: Reporter) -> Finished:
    """Do what is missing; a sweep that was cut off goes on.

    Args:
        workspace: the sweep's own. main: where datasets that are prepared already, and raw files, are.
        workers: jobs at a time; no result depends on it.

    Raises:
        UserError: a dataset is not there, or has a split whose samples all have one label; no recipe suits its dataset;
            another sweep works in this workspace.
        LreaError: a worker process was killed.
    """
    with workspace.alone("sweep"):
        datasets = make_ready(sweep, workspace, main, reporter)
        for artifact in datasets.values():
            require_both_labels(DatasetInfo.of(artifact))
        left_out = _left_out(sweep, datasets, reporter)
        with worker_pool(workers) as pool:
            at = Progressing(pool, reporter)
            cells = [
                _cell(sweep, plan, name, workspace.home, datasets)
                for plan, name in _pairs(sweep)
                if not any((one.dataset, one.recipe) == (plan.name, name) for one in left_out)
            ]
            at.work("search", [job for cell in cells for job in cell.searched], "runs")
            cells = [_choose(sweep, cell, datasets) for cell in cells]
            at.work("seeds", _slowest_first(cells), "runs")
            finished = [job for cell in cells for job in cell.finished()]
            at.work("test", [EvaluateJob(job.home, job.name) for job in finished], "evaluations")
            compressed = [job for cell in cells for job in _compressions(sweep, cell)]
            at.work("compress", compressed, "compressions")
    done = tuple(job for job in compressed if job.done())
    return Finished(tuple(cells), done, datasets, tuple(at.failures), left_out)


def _pairs(sweep: Sweep) -> Iterator[tuple[DatasetPlan, str]]:
    for plan in sweep.datasets:
        for name in sweep.names_of(plan.recipes):
            yield plan, name


def _left_out(sweep: Sweep, datasets: Datasets, reporter: Reporter) -> tuple[LeftOut, ...]:
    """Find and say, before any work, which recipes cannot run: one line each, and no failure for each training."""
    info = {name: DatasetInfo.of(artifact) for name, artifact in datasets.items()}
    pairs = list(_pairs(sweep))
    on = ((plan.name, name, sweep.recipe_on(datasets[plan.name].manifest.source, name)) for plan, name in pairs)
    reasons = ((dataset, name, reason_against(recipe, info[dataset])) for dataset, name, recipe in on)
    found = tuple(LeftOut(dataset, name, reason) for dataset, name, reason in reasons if reason)
    if found and len(found) == len(pairs):
        raise UserError(f"No recipe can run: {found[0].recipe} on {found[0].dataset}: {found[0].reason}")
    for one in found:
        reporter.say(f"{one.recipe} is left out on {one.dataset}: {one.reason}")
    return found


def _cell(sweep: Sweep, plan: DatasetPlan, name: str, home: Path, datasets: Datasets) -> Cell:
    jobs = (_training(sweep, plan, name, point, plan.seeds[0], home, datasets) for point in sweep.search)
    return Cell(plan, name, tuple(jobs))


def _choose(sweep: Sweep, cell: Cell, datasets: Datasets) -> Cell:
    """The point of the best validation AUC, the first of equals; no point where none was trained."""
    tried = [
        (made.best_valid_auc, -position)
        for position, job in enumerate(cell.searched)
        if job.done() and (made := run_manifest(job.home, job.name))
    ]
    if not tried:
        return cell
    point = sweep.search[-max(tried)[1]]
    home = cell.searched[0].home
    jobs = (_training(sweep, cell.plan, cell.recipe, point, seed, home, datasets) for seed in cell.plan.seeds)
    return Cell(cell.plan, cell.recipe, cell.searched, point, tuple(jobs))


def _training(
    sweep: Sweep,
    plan: DatasetPlan,
    name: str,
    point: Point,
    seed: int,
    home: Path,
    datasets: Datasets,
) -> TrainJob:
    dataset = datasets[plan.name]
    recipe = point_recipe(sweep.recipe_on(dataset.manifest.source, name), plan.name, seed, point)
    run = f"{plan.name}-{name}-lr{recipe.train.lr:g}-seed{seed}"
    return TrainJob(home, run, recipe, dataset.identity)


def _slowest_first(cells: Iterable[Cell]) -> list[TrainJob]:
    """Trainings of all seeds, those first that took longest in the search: none of them is left alone at the end."""

    def seconds(cell: Cell) -> float:
        made = (run_manifest(job.home, job.name) for job in cell.searched)
        return max((run.seconds for run in made if run), default=0.0)

    return [job for cell in sorted(cells, key=seconds, reverse=True) for job in cell.trained]


def _compressions(sweep: Sweep, cell: Cell) -> Iterator[CompressJob]:
    """Of runs that have been evaluated."""
    compress = cell.plan.compress
    if compress is None or cell.recipe not in sweep.names_of(compress.recipes):
        return
    for job in cell.finished():
        seed = job.recipe.train.seed
        if seed in (compress.seeds or cell.plan.seeds) and EvaluateJob(job.home, job.name).done():
            for name in compress.compressors:
                for rank in compress.ranks[:1] if name == "mean" else compress.ranks:
                    yield CompressJob(job.home, job.name, name, rank, seed)
            for variant in compress.variants:
                yield CompressJob(job.home, job.name, "clusters", compress.variant_rank, seed, variant)
