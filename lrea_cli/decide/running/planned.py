"""Probes the speed of every method, and makes the plan of a decision, once: a command that goes on keeps its plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from lrea_cli.dataset.samples import read_samples
from lrea_cli.decide.running.asked import FULL, SHORT
from lrea_cli.decide.running.costs import SCORED, Cost, Costs
from lrea_cli.decide.running.jobs import MOST_USERS, ProbeJob, Speed, label
from lrea_cli.decide.running.kept import REMEDY, kept
from lrea_cli.decide.running.plan import MARGIN, PROBES, SHARES, Plan, plan_for, refined, words
from lrea_cli.decide.running.stages import Contest
from lrea_cli.errors import LreaError
from lrea_cli.sweep.search import Trial, training
from lrea_cli.sweep.search_settings import Rung
from lrea_cli.workspace.sealed import write_json

PLAN = "plan.json"
PROBE_ROWS = 4000
LARGEST_PROBE = 1 / 4
"""Of the training rows: a probe has about `PROBE_ROWS`, and no more than this."""
TIMING_SHARE, MOST_TIMING = 0.1, 8.0
"""Of the hours that the timing of requests is planned for; and its seconds for a contender, as in serve-bench."""
LAST_TIMING = 60.0
"""Seconds for a contender where the hours have room: on a slow machine p99 needs them."""


@dataclass(frozen=True)
class Planned:
    """A plan, what it rests on, and its sentences.

    Args:
        hours: that it was made for.
        failed: what ended the probe of a method, which takes no part.
        final: it was made again after the search on a quarter of the users.
    """

    plan: Plan
    costs: Costs
    hours: float
    failed: dict[str, str]
    final: bool
    words: tuple[str, ...]


def planned(contest: Contest) -> Planned:
    """The plan that was kept for these hours, else a new one.

    Raises:
        UserError: the hours are too few to train two contenders.
        LreaError: fewer than two probes came to their end.
    """
    path = contest.workspace.home / PLAN
    found = kept(Planned, path)
    if found is None or found.hours != contest.asked.hours:
        found = _new(contest)
    _keep(contest, found)
    return found


def final_plan(contest: Contest, before: Planned, trials: Mapping[str, tuple[Trial, ...]]) -> Planned:
    """The plan made again by what whole trainings took: they may stop early, and a small one says little of a large.

    It is kept before a method is dropped by it, so that a command that goes on drops the same.
    """
    if before.final:
        return before
    by = {name: _over_planned(before.costs, name, trials.get(name, ())) for name in before.costs.methods}
    costs, spent, hours = before.costs.scaled(by), contest.clock.spent(), contest.asked.hours
    plan = refined(costs, before.plan, MARGIN * 3600 * hours - spent)
    said = tuple(words(plan, costs))
    found = replace(before, plan=plan, costs=costs, final=True, words=said)
    _keep(contest, found)
    return found


def _over_planned(costs: Costs, name: str, trials: Sequence[Trial]) -> float:
    """Time of the trainings of a method on a quarter of the users over the time that was planned; 1 without any."""
    runs = [run for trial in trials for job in trial.jobs if (run := job.result())]
    return sum(run.seconds for run in runs) / (len(runs) * costs.training(name, SHARES[0])) if runs else 1.0


def _keep(contest: Contest, found: Planned) -> None:
    write_json(contest.workspace.home / PLAN, asdict(found))
    for line in found.words:
        contest.reporter.say(f"plan: {line}")


def timing_seconds(hours: float, contenders: int, spent: float | None = None) -> float:
    """Of each contender; it ends sooner where p99 is backed.

    Args:
        spent: seconds so far, when all else is done: the rest of the hours may be used.
    """
    planned_share = min(MOST_TIMING, TIMING_SHARE * 3600 * hours / max(1, contenders))
    if spent is None:
        return planned_share
    return max(planned_share, min(LAST_TIMING, MARGIN * (3600 * hours - spent) / max(1, contenders)))


def _new(contest: Contest) -> Planned:
    asked = contest.asked
    speeds, failed = _probe(contest)
    costs = costs_of(contest, speeds)
    spent, seeds = contest.clock.spent(), len(asked.sweep.seeds)
    plan = plan_for(costs, seeds, MARGIN * 3600 * asked.hours - spent)
    return Planned(plan, costs, asked.hours, failed, False, tuple(words(plan, costs)))


def _probe(contest: Contest) -> tuple[dict[str, Speed], dict[str, str]]:
    """The speed of each method, and why others have none."""
    asked, rows = contest.asked, contest.dataset.manifest.samples["train"]
    rung, ground = Rung(min(LARGEST_PROBE, PROBE_ROWS / rows), epochs=2), contest.ground
    jobs = {}
    for name, recipe in asked.sweep.recipes.items():
        smaller = asked.compressions if recipe.model.method == FULL else ()
        small = training(asked.sweep, name, {}, ground, contest.dataset, rung)
        jobs[name] = ProbeJob(name, small, smaller, SCORED)
    contest.work(PROBES, list(jobs.values()), "probes")
    speeds = {name: speed for name, job in jobs.items() if (speed := job.result())}
    if len(speeds) < 2:
        raise LreaError(f"A probe failed: {contest.failures[0].message}", REMEDY) from contest.failures[0].error
    return speeds, {name: contest.why([job]) for name, job in jobs.items() if name not in speeds}


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
        compressed=tuple(of_full[label(each)] for each in asked.compressions) if of_full else (),
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
