"""The running of a decision, up to its numbers: probes, plan, search, training, scoring; each does what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lrea_cli.console.progress import Reporter
from lrea_cli.dataset.layout import DatasetInfo
from lrea_cli.dataset.samples import require_both_labels
from lrea_cli.decide.running.asked import Asked
from lrea_cli.decide.running.clock import Clock
from lrea_cli.decide.running.entrants import Entrant, entrants
from lrea_cli.decide.running.halving import Halved, halve
from lrea_cli.decide.running.plan import ALL_USERS, PROBES, SHARES, TEST
from lrea_cli.decide.running.planned import always_on, planned
from lrea_cli.decide.running.stages import Contest, Out
from lrea_cli.errors import LreaError, UserError
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.sweep.datasets import Dataset, link, recipes_left_out
from lrea_cli.sweep.jobs import SweepJob, TrainJob
from lrea_cli.sweep.search import training
from lrea_cli.sweep.workers import worker_pool
from lrea_cli.workspace.home import Workspace

Runs = dict[str, tuple[TrainJob, ...]]
"""By the name of the recipe, one a seed."""


@dataclass(frozen=True)
class Contested:
    """What was done; every number lies in the workspace.

    Args:
        asked: without the methods that do not suit the dataset.
        recipes: theirs among them.
        seeds: that every entrant has.
        plan: in sentences.
        spent: seconds so far.
    """

    asked: Asked
    recipes: dict[str, Recipe]
    dataset: Dataset
    info: DatasetInfo
    workspace: Workspace
    entrants: tuple[Entrant, ...]
    out: tuple[Out, ...]
    seeds: tuple[int, ...]
    plan: tuple[str, ...]
    spent: float


def contest(asked: Asked, dataset: Dataset, workspace: Workspace, workers: int, reporter: Reporter) -> Contested:
    """Do what is missing; a decision that was cut off goes on.

    Args:
        dataset: of the main home; it is linked into `workspace`, the decision's own.
        workers: jobs at a time; no number but times depends on it.

    Raises:
        UserError: a split has one label alone, fewer than two methods suit the dataset, the hours are too few, or
            another decision works in this workspace.
        LreaError: a worker process was killed, or no contender came to the end.
    """
    with workspace.alone("decide"):
        clock, dataset = Clock(workspace.home / "clock.json"), link(dataset, workspace)
        info = DatasetInfo.of(dataset)
        require_both_labels(info)
        left_out = recipes_left_out(asked.sweep, info, reporter)
        recipes = dict(asked.sweep.recipes)
        asked = asked.without({one.recipe for one in left_out})
        if len(asked.sweep.recipes) < 2:
            only = next(iter(asked.sweep.recipes))
            raise UserError(f"Of the methods only {only} suits '{dataset.name}'.", "Name more --methods.")
        out = [Out(one.recipe, "before the search", None, None, one.reason) for one in left_out]
        with worker_pool(workers) as pool:
            try:
                return _run(Contest(asked, dataset, info, workspace, clock, pool, workers, reporter), recipes, out)
            finally:
                clock.keep()


def _run(contest: Contest, recipes: dict[str, Recipe], out: list[Out]) -> Contested:
    found = planned(contest)
    contest.plan, contest.asked = found.plan, contest.asked.without(set(found.failed))
    out += [Out(name, PROBES, None, None, reason) for name, reason in found.failed.items()]
    sweep = contest.asked.searched(found.plan.points, SHARES)
    halved = halve(contest, sweep, found, always_on(tuple(sweep.recipes)))
    out += halved.out
    runs = _trained(contest, halved, halved.plan.plan.seeds, out)
    contest.work(TEST, [run.evaluation for own in runs.values() for run in own], "evaluations")
    scored = {name: own for name, own in runs.items() if all(run.evaluation.done() for run in own)}
    _drop(contest, TEST, {n: [run.evaluation for run in own] for n, own in runs.items() if n not in scored}, out)
    if not scored:
        message = contest.failures[0].message if contest.failures else "the hours were over"
        raise LreaError(f"No method came to the end: {message}", "Try it again, with more --hours.")
    entered = entrants(contest, scored, halved.points, out)
    seeds = tuple(run.seed for run in next(iter(scored.values())))
    return Contested(
        asked=contest.asked,
        recipes=recipes,
        dataset=contest.dataset,
        info=contest.info,
        workspace=contest.workspace,
        entrants=entered,
        out=tuple(out),
        seeds=seeds,
        plan=halved.plan.words,
        spent=contest.clock.spent(),
    )


def _trained(contest: Contest, halved: Halved, seeds: int, out: list[Out]) -> Runs:
    """Trainings on all rows of those that have the first seed, with the seeds that all of these have."""
    sweep, ground = contest.asked.sweep, contest.ground
    runs = {
        name: [
            training(sweep, name, point, replace(ground, seed=seed), contest.dataset) for seed in sweep.seeds[:seeds]
        ]
        for name, point in halved.points.items()
    }
    contest.work(ALL_USERS, [run for turn in zip(*runs.values(), strict=True) for run in turn], "runs")
    begun = {name: own for name, own in runs.items() if own[0].done()}
    _drop(contest, ALL_USERS, {name: own[:1] for name, own in runs.items() if name not in begun}, out)
    whole = [n for n in range(seeds) if all(own[n].done() for own in begun.values())]
    return {name: tuple(own[n] for n in whole) for name, own in begun.items()}


def _drop(contest: Contest, stage: str, jobs: dict[str, Sequence[SweepJob[Any]]], out: list[Out]) -> None:
    out += [Out(name, stage, None, None, contest.why(own)) for name, own in jobs.items()]
