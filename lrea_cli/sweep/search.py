"""The search of a sweep: rung by rung, the best points of each recipe go on (successive halving)."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lrea_cli.dataset.manifest import DatasetManifest
from lrea_cli.recipe.worlds import world_of
from lrea_cli.sweep.jobs import TrainJob
from lrea_cli.sweep.search_settings import WHOLE, Rung, Search
from lrea_cli.sweep.settings import Sweep
from lrea_cli.sweep.space import Point, key_of
from lrea_cli.workspace.home import Artifact

Dataset = Artifact[DatasetManifest]
Work = Callable[[str, Sequence[TrainJob], str], None]
"""Runs the jobs that are not done, under a title; their unit is for the progress bar."""
Numbered = list[tuple[int, Point]]
"""Points of a recipe, each with its number among all of them."""


@dataclass(frozen=True)
class Ground:
    """Where points are tried: the home of the runs, the datasets (linked there), the seed of training."""

    home: Path
    datasets: tuple[Dataset, ...]
    seed: int

    def of(self, rung: Rung) -> tuple[Dataset, ...]:
        """The datasets of a rung."""
        return tuple(d for d in self.datasets if not rung.worlds or _world(d) in rung.worlds)


@dataclass(frozen=True)
class Trial:
    """One point of one recipe at one rung.

    Args:
        number: of the point among those of the recipe, from 0.
        jobs: a training for each dataset.
    """

    recipe: str
    number: int
    point: Point
    rung: int
    jobs: tuple[TrainJob, ...]

    @property
    def valid_auc(self) -> float | None:
        """The mean over the datasets; None where a training of them failed."""
        runs = [job.result() for job in self.jobs]
        known = [run.best_valid_auc for run in runs if run is not None]
        return statistics.fmean(known) if len(known) == len(runs) else None


def run_rungs(sweep: Sweep, names: Sequence[str], ground: Ground, work: Work) -> dict[str, tuple[Trial, ...]]:
    """Do what is missing of the search of these recipes; return all trials of each, rung by rung."""
    rungs = sweep.search.rungs
    left = {name: all_points(sweep, name) for name in names}
    trials: dict[str, tuple[Trial, ...]] = dict.fromkeys(names, ())
    for i, rung in enumerate(rungs):
        title = "search" if len(rungs) == 1 else f"search, rung {i + 1} of {len(rungs)}"
        for name, own in run_rung(sweep, left, i, ground, partial(work, title)).items():
            trials[name] += own
            left[name] = [(trial.number, trial.point) for trial in ranked(own)[: rung.keep]]
    return trials


def all_points(sweep: Sweep, name: str) -> Numbered:
    """Where a recipe's search begins."""
    return list(enumerate(sweep.search.points[name]))


def run_rung(
    sweep: Sweep,
    left: Mapping[str, Numbered],
    number: int,
    ground: Ground,
    work: Callable[[Sequence[TrainJob], str], None],
) -> dict[str, tuple[Trial, ...]]:
    """Do what is missing of one rung.

    Args:
        left: the points of each recipe that are still in the search.
        number: of the rung, from 0.
    """
    rung = sweep.search.rungs[number]
    trials = {
        name: tuple(Trial(name, n, point, number, _trainings(sweep, name, point, ground, rung)) for n, point in points)
        for name, points in left.items()
    }
    work([job for own in trials.values() for trial in own for job in trial.jobs], "runs")
    return trials


def chosen(search: Search, trials: Sequence[Trial]) -> Trial | None:
    """The best trial of the last rung; None where there is none."""
    last = ranked(trial for trial in trials if trial.rung == len(search.rungs) - 1)
    return last[0] if last else None


def ranked(trials: Iterable[Trial]) -> list[Trial]:
    """Those with a validation AUC, the best first, of equals the one with the lower number."""
    known = [(auc, trial) for trial in trials if (auc := trial.valid_auc) is not None]
    return [trial for _, trial in sorted(known, key=lambda one: (-one[0], one[1].number))]


def training(sweep: Sweep, name: str, point: Point, ground: Ground, dataset: Dataset, rung: Rung = WHOLE) -> TrainJob:
    """The training of a recipe at a point; its run is named by dataset, recipe, a key of the point, and seed."""
    recipe = sweep.recipe_of(name, dataset.name, ground.seed, point, rung)
    whole = sweep.recipe_of(name, dataset.name, ground.seed, point)
    key = key_of({**point, **rung.changes(whole)})
    run = "-".join(filter(None, [dataset.name, name, key, f"seed{ground.seed}"]))
    return TrainJob(ground.home, run, recipe, dataset.identity)


def _world(dataset: Dataset) -> str | None:
    world = world_of(dataset.manifest.source, dataset.manifest.source_options)
    return world and world.name


def _trainings(sweep: Sweep, name: str, point: Point, ground: Ground, rung: Rung) -> tuple[TrainJob, ...]:
    return tuple(training(sweep, name, point, ground, dataset, rung) for dataset in ground.of(rung))
