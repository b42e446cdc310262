"""The search of a decision: each method tries its settings, and after each stage the worst methods are dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from lrea_cli.decide.running.plan import SEARCH_HALF, SEARCH_QUARTER
from lrea_cli.decide.running.planned import Planned, final_plan
from lrea_cli.decide.running.stages import Contest, Out
from lrea_cli.sweep.search import Numbered, all_points, ranked, run_rung
from lrea_cli.sweep.settings import Sweep
from lrea_cli.sweep.space import Point


@dataclass(frozen=True)
class Halved:
    """Methods that go on to all rows, each with its point, those that were dropped, and the final plan."""

    points: dict[str, Point]
    plan: Planned
    out: tuple[Out, ...]


def halve(contest: Contest, sweep: Sweep, plan: Planned, always: frozenset[str]) -> Halved:
    """Do what is missing of the search.

    Args:
        sweep: whose search has a rung for each stage.
        always: methods that are not dropped for their AUC.
    """
    left: dict[str, Numbered] = {name: all_points(sweep, name) for name in sweep.recipes}
    out: list[Out] = []
    for number, stage in enumerate((SEARCH_QUARTER, SEARCH_HALF)):
        trials = run_rung(sweep, left, number, contest.ground, partial(contest.work, stage))
        if stage == SEARCH_QUARTER:
            plan = final_plan(contest, plan, trials)
            contest.plan = plan.plan
        keep = plan.plan.half if stage == SEARCH_QUARTER else plan.plan.whole
        best = {name: found[0] for name, own in trials.items() if (found := ranked(own))}
        for name in trials.keys() - best.keys():
            out.append(Out(name, stage, None, None, contest.why([job for trial in trials[name] for job in trial.jobs])))
        aucs = {name: auc for name, trial in best.items() if (auc := trial.valid_auc) is not None}
        kept = going_on(aucs, keep, always)
        out += _dropped(aucs, kept, always, stage)
        left = {name: [(best[name].number, best[name].point)] for name in best if name in kept}
    return Halved({name: points[0][1] for name, points in left.items()}, plan, tuple(out))


def going_on(aucs: Mapping[str, float], keep: int, always: frozenset[str]) -> set[str]:
    """Those that always go on, and the best `keep` of the others; of equals the one whose name sorts first."""
    others = sorted((name for name in aucs if name not in always), key=lambda name: (-aucs[name], name))
    return {name for name in aucs if name in always} | set(others[:keep])


def _dropped(aucs: Mapping[str, float], kept: set[str], always: frozenset[str], stage: str) -> list[Out]:
    bar = min((aucs[name] for name in kept if name not in always), default=None)
    reason = "Its validation AUC is below that of those that went on."
    worst_last = sorted((name for name in aucs if name not in kept), key=lambda name: -aucs[name])
    return [Out(name, stage, aucs[name], bar, reason) for name in worst_last]
