"""What fits the hours: how many settings each method may try, how many methods go on, with how many seeds.

Successive halving (Jamieson and Talwalkar, 2016) over methods: all learn from the rows of a quarter of the users, the
best ones from half of them, the best of those from all. Full attention and the newest behaviors alone always go on:
what they lose or win is the answer to "is full attention cheap enough?" and "does a long history help?".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

from lrea_cli.console.counts import counted
from lrea_cli.decide.running.costs import Costs
from lrea_cli.errors import UserError

SHARES = (0.25, 0.5, 1.0)
"""Of the training users, at each stage of the search; the survivors' learning curve has the same."""
MOST_POINTS = 4
"""Settings that each method may try, the recipe as it is among them."""
FEW = 3
"""Methods beside those that always go on: with fewer to the end, one noisy AUC of a quarter of the users decides."""
MARGIN = 0.85
"""Of the hours that a plan may fill: the speed of a small training is no promise."""
AGES = (1, 3)
"""Days."""
GATE_SECONDS = 15.0
"""Of the gate of a contender: its loops read as many histories on every log, of 64 users and some made ones."""


StageName = Literal[
    "probes of the speed",
    "search, 1/4 of the users",
    "search, 1/2 of the users",
    "all users",
    "test split",
    "compressed",
    "learning curve",
    "old records",
    "records of users",
    "gates",
    "request times",
]
"""As progress and page call them; a kept plan that has other names is made anew."""
PROBES: StageName = "probes of the speed"
SEARCH_QUARTER: StageName = "search, 1/4 of the users"
SEARCH_HALF: StageName = "search, 1/2 of the users"
ALL_USERS: StageName = "all users"
TEST: StageName = "test split"
COMPRESSED: StageName = "compressed"
CURVE: StageName = "learning curve"
OLD: StageName = "old records"
RECORDS: StageName = "records of users"
GATES: StageName = "gates"
TIMES: StageName = "request times"


@dataclass(frozen=True)
class Stage:
    """A part of the plan, and the seconds that it takes with all workers."""

    name: StageName
    seconds: float


@dataclass(frozen=True)
class Plan:
    """What is done within the hours.

    Args:
        points: settings that each method tries on a quarter of the users.
        half, whole: methods that learn from half of the users, and from all; those that always go on are not counted.
        seeds: of training on all users; `asked_seeds`: as many were asked for.
        extras: learning curves and old records are scored, too.
        stages: in their order.
    """

    points: int
    half: int
    whole: int
    seeds: int
    asked_seeds: int
    extras: bool
    stages: tuple[Stage, ...]

    @property
    def seconds(self) -> float:
        """Of all stages."""
        return sum(stage.seconds for stage in self.stages)

    def of(self, name: StageName) -> float:
        """Seconds of a stage."""
        return next(stage.seconds for stage in self.stages if stage.name == name)

    def after(self, name: StageName) -> float:
        """Seconds of the stages that follow."""
        names = [stage.name for stage in self.stages]
        return sum(stage.seconds for stage in self.stages[names.index(name) + 1 :])


def plan_for(costs: Costs, seeds: int, seconds: float) -> Plan:
    """The best plan that takes at most so many seconds.

    First two seeds, so that an interval covers seeds at all, then `FEW` methods to the end, all seeds, half of the
    methods, learning curves and old records, a second setting for each method; then what else fits.

    Raises:
        UserError: two contenders cannot be trained once; it says how many hours are needed.
    """
    found = best_plan(costs, seeds, seconds, range(1, MOST_POINTS + 1))
    if found is None:
        raise _too_few(min(make_plan(costs, 1, _fewest(costs), 1, extras).seconds for extras in (False, True)))
    return found


def refined(costs: Costs, plan: Plan, seconds: float) -> Plan:
    """The best plan for what follows the search on a quarter of the users; the old one where none fits the seconds."""
    return best_plan(costs, plan.asked_seeds, seconds, [plan.points], SEARCH_QUARTER) or plan


def best_plan(
    costs: Costs, seeds: int, seconds: float, points: Iterable[int], after: StageName | None = None
) -> Plan | None:
    """See `plan_for`; None where none fits.

    Args:
        points: that may be chosen.
        after: the stage that is done already; the seconds are for those that follow.
    """
    others = sum(not one.always for one in costs.methods.values())
    wanted = product(range(1, seeds + 1), range(_fewest(costs), others + 1), points, (False, True))
    plans = [make_plan(costs, *one, asked_seeds=seeds) for one in wanted]
    fitting = [plan for plan in plans if (plan.after(after) if after else plan.seconds) <= seconds]
    enough = math.ceil(others / 2)

    def worth(plan: Plan) -> tuple[int, ...]:
        first = min(plan.seeds, 2), min(plan.whole, FEW, enough)
        then = plan.seeds, min(plan.whole, enough), plan.extras, min(plan.points, 2)
        return (*first, *then, plan.whole, plan.points)

    return max(fitting, key=worth, default=None)


def _fewest(costs: Costs) -> int:
    """Methods beside those that always go on, so that two contenders come to the end."""
    others = sum(not one.always for one in costs.methods.values())
    return min(others, 1)


def make_plan(
    costs: Costs, seeds: int, whole: int, points: int, extras: bool = True, asked_seeds: int | None = None
) -> Plan:
    """The plan of so many seeds, methods on all users, and settings; the dearest methods are taken to go on."""
    half = min(sum(not one.always for one in costs.methods.values()), 2 * whole)
    everyone, at_half, to_end = list(costs.methods), _dearest(costs, half), _dearest(costs, whole)
    compressed = [costs.served(each) for each in costs.compressed]
    requests = [costs.methods[name].request_seconds for name in to_end] + list(costs.compressed)
    jobs: dict[StageName, Iterable[float]] = {
        SEARCH_QUARTER: [costs.training(name, SHARES[0]) for name in everyone] * points,
        SEARCH_HALF: [costs.training(name, SHARES[1]) for name in at_half],
        ALL_USERS: [costs.training(name, SHARES[2]) for name in to_end] * seeds,
        TEST: [costs.evaluation(name) for name in to_end] * seeds,
        COMPRESSED: compressed * seeds,
        CURVE: [costs.evaluation(name) for name in to_end] * (len(SHARES) - 1) * extras,
        RECORDS: [costs.users * each for each in requests],
        GATES: [GATE_SECONDS for _ in requests],
        OLD: [costs.served(each) for each in requests] * len(AGES) * extras,
    }
    stages = [Stage(name, makespan(list(each), costs.workers)) for name, each in jobs.items()]
    return Plan(points, half, whole, seeds, asked_seeds or seeds, extras, (*stages, Stage(TIMES, costs.timing_seconds)))


def makespan(jobs: Sequence[float], workers: int) -> float:
    """Most seconds that jobs take when each starts as soon as a worker is free (Graham 1969)."""
    return sum(jobs) / workers + max(jobs, default=0.0) * (1 - 1 / workers)


def words(plan: Plan, costs: Costs) -> list[str]:
    """The plan in sentences, the last one of what it leaves out."""
    others = sum(not one.always for one in costs.methods.values())
    always = [name for name, one in costs.methods.items() if one.always]
    lines = [
        f"{counted(len(costs.methods), 'method')} with {counted(plan.points, 'setting')} each learn from the rows "
        f"of 1/4 of the users.",
        f"The best {plan.half} learn from 1/2, the best {plan.whole} of these from all, with "
        f"{counted(plan.seeds, 'seed')}."
        + (f" {' and '.join(always)} always {'goes' if len(always) == 1 else 'go'} on." if always else ""),
    ]
    left_out = []
    if plan.seeds < plan.asked_seeds:
        left_out.append(f"{plan.asked_seeds - plan.seeds} of {plan.asked_seeds} seeds")
    if plan.points < MOST_POINTS:
        left_out.append(f"{MOST_POINTS - plan.points} of {MOST_POINTS} settings of each method")
    if plan.whole < others:
        left_out.append(f"{others - plan.whole} of {others} methods on all users")
    if not plan.extras:
        left_out.append("learning curves and old records")
    return [*lines, f"What does not fit the hours: {', '.join(left_out)}."] if left_out else lines


def minutes(seconds: float) -> str:
    """`40 s`, `12 min`, `2.3 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _dearest(costs: Costs, count: int) -> list[str]:
    """Those that always go on, and the dearest of the others."""
    always = [name for name, one in costs.methods.items() if one.always]
    others = [name for name, one in costs.methods.items() if not one.always]
    by_cost = sorted(others, key=lambda name: costs.training(name, 1.0) + costs.evaluation(name), reverse=True)
    return always + by_cost[:count]


def _too_few(seconds: float) -> UserError:
    hours = math.ceil(1000 * seconds / MARGIN / 3600) / 1000
    return UserError(
        f"Training two contenders once, and measuring them, takes about {minutes(seconds)} more.",
        f"Give more time, --hours {hours:g} or above; or fewer --methods.",
    )
