"""Probes the speed of every method, and makes the plan of a decision, once: a command that goes on keeps its plan."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from lrea_cli.dataset.samples import read_samples
from lrea_cli.decide.asked import FULL, SHORT
from lrea_cli.decide.clock import REMEDY
from lrea_cli.decide.jobs import MOST_USERS, ProbeJob, Speed, label
from lrea_cli.decide.plan import MARGIN, SCORED, Cost, Costs, Plan, plan_for, words
from lrea_cli.decide.stages import Contest
from lrea_cli.errors import LreaError, UserError
from lrea_cli.sweep.search import training
from lrea_cli.sweep.search_settings import Rung
from lrea_cli.workspace.kinds import parse
from lrea_cli.workspace.sealed import read_json, write_json

PROBE_ROWS = 4000
LARGEST_PROBE = 1 / 4
"""Of the training rows: a probe has about `PROBE_ROWS`, and no more than this."""
TIMING_SHARE, MOST_TIMING = 0.1, 8.0
"""Of the hours that the timing of requests may take; and its seconds for a contender, as in serve-bench."""


@dataclass(frozen=True)
class Planned:
    """A plan, and its sentences as they were said."""

    plan: Plan
    words: tuple[str, ...]


def planned(contest: Contest) -> Planned:
    """The plan that was kept, else a new one.

    Raises:
        UserError: the hours are too few to train two contenders.
        LreaError: a probe failed.
    """
    path = contest.workspace.home / "plan.json"
    try:
        found = parse(Planned, read_json(path, REMEDY), path, REMEDY)
    except UserError:
        found = _new(contest)
        write_json(path, asdict(found))
    for line in found.words:
        contest.reporter.say(f"plan: {line}")
    return found


def timing_seconds(hours: float, contenders: int) -> float:
    """Of each contender."""
    return min(MOST_TIMING, TIMING_SHARE * 3600 * hours / max(1, contenders))


def _new(contest: Contest) -> Planned:
    asked = contest.asked
    costs = costs_of(contest, _probe(contest))
    spent, seeds = contest.clock.spent(), len(asked.sweep.seeds)
    plan = plan_for(costs, seeds, MARGIN * 3600 * asked.hours - spent)
    return Planned(plan, tuple(words(plan, costs, seeds, spent, asked.hours)))


def _probe(contest: Contest) -> dict[str, Speed]:
    """The speed of each method."""
    asked, rows = contest.asked, contest.dataset.manifest.samples["train"]
    rung, ground = Rung(min(LARGEST_PROBE, PROBE_ROWS / rows), epochs=2), contest.ground
    jobs = {}
    for name, recipe in asked.sweep.recipes.items():
        smaller = asked.compressions if recipe.model.method == FULL else ()
        small = training(asked.sweep, name, {}, ground, contest.dataset, rung)
        jobs[name] = ProbeJob(small, smaller, SCORED)
    contest.work("probes of the speed", list(jobs.values()), "probes")
    speeds = {name: speed for name, job in jobs.items() if (speed := job.result())}
    if len(speeds) < len(jobs):
        raise LreaError(f"A probe failed: {contest.failures[0].message}", REMEDY) from contest.failures[0].error
    return speeds


def costs_of(contest: Contest, speeds: dict[str, Speed]) -> Costs:
    """What the speeds make of the parts of a decision."""
    asked, manifest = contest.asked, contest.dataset.manifest
    recipes, contenders = asked.sweep.recipes, len(asked.sweep.recipes) + len(asked.compressions)
    methods = {
        name: Cost(
            speed.start_seconds,
            speed.row_seconds,
            speed.request_seconds[""],
            recipes[name].train.epochs,
            name in always_on(tuple(recipes)),
        )
        for name, speed in speeds.items()
    }
    of_full = speeds[FULL].request_seconds if FULL in speeds else {}
    return Costs(
        methods=methods,
        compressed=tuple(of_full[label(each)] for each in asked.compressions),
        train_rows=manifest.samples["train"],
        valid_rows=manifest.samples["valid"],
        test_rows=manifest.samples["test"],
        test_requests=read_samples(contest.info, "test").requests,
        users=min(MOST_USERS, manifest.users),
        bootstrap_seconds=max(speed.bootstrap_seconds for speed in speeds.values()),
        timing_seconds=contenders * timing_seconds(asked.hours, contenders),
        workers=contest.workers,
    )


def always_on(names: tuple[str, ...]) -> frozenset[str]:
    """Of these methods those that are never dropped for their AUC."""
    return frozenset({FULL, SHORT} & set(names))
