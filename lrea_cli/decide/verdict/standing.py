"""Where a contender stands: is its loss against the best one shown to be within the tolerance?

The best one is not known. With auc_j the true AUC of contender j and d the tolerance, contender i is within it if

    max_j auc_j - auc_i < d,  that is  auc_j - auc_i < d  for every rival j

which is claimed if the upper end of each of these intervals is below d. A claim that needs each of several tests to
pass has the error of one of them, however many there are (intersection-union test: Berger 1982, Technometrics 24;
Berger & Hsu 1996, Statistical Science 11): with two-sided 95% intervals, a contender that is not within the tolerance
passes in at most 2.5 of 100 decisions. So rivals cost no adjustment, and it does not matter which of them leads the
sample: an interval against the leader alone would overlook a rival that is measured badly and is better.
Non-inferiority by the end of a two-sided 95% interval is the convention of clinical trials (ICH E9, 3.3.2).

That a contender is beyond the tolerance is claimed where one interval lies above it. With r rivals that is wrong in up
to 2.5 r of 100 decisions, and costs no more than that the contender is passed over.

The choice is one of several contenders, and each of those has this error. The verdict says whether its choice also
passes when the intervals are as wide as makes all k of them hold together (Bonferroni: level .05 / k).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from lrea_cli.decide.results import Contender, Counter, Loss
from lrea_cli.decide.verdict.answer import Standing
from lrea_cli.stats.estimates import t_quantile
from lrea_cli.stats.methods import MethodEstimate, SeedVariance, degrees_of_freedom

LEVEL = 0.95


def standing_of(each: Contender | Counter, rivals: Sequence[str], tolerance: float, fits: bool | None) -> Standing:
    """Where one stands against the others.

    Args:
        rivals: names of the contenders that have an AUC; its own is passed over.
    """
    pairs = {name: _interval(each, name) for name in rivals if name != each.name}
    known = {name: ci for name, ci in pairs.items() if ci is not None}
    worst = max(known, key=lambda name: known[name][0], default=None)
    if worst is not None and known[worst][0] > tolerance:
        return Standing(each.name, "beyond", _at_most(pairs), worst, fits)
    missing = next((name for name, ci in pairs.items() if ci is None), None)
    if missing is not None or not known or each.auc.value is None:
        return Standing(each.name, "undecided", None, missing, fits)
    widest = max(known, key=lambda name: known[name][1])
    at_most = known[widest][1]
    return Standing(each.name, "within" if at_most < tolerance else "undecided", at_most, widest, fits)


def passes_together(each: Contender | Counter, rivals: Sequence[str], tolerance: float, k: int, seeds: int) -> bool:
    """Whether it is within the tolerance when the intervals of k contenders hold together (Bonferroni)."""
    losses = [loss for loss in each.losses if loss.against in rivals]
    return all(upper_end(loss, seeds, 1 - (1 - LEVEL) / k) < tolerance for loss in losses)


def upper_end(loss: Loss, seeds: int, level: float = LEVEL, users_by: float = 1.0, seeds_by: float = 1.0) -> float:
    """Upper end of the interval of a loss at another level, or with more test users or seeds; its value stays.

        se^2 = se_users^2 / users_by + se_seeds^2 / seeds_by,    reach = t(level, freedom) se

    with freedom as in stats/methods.py, where that of the seeds' part grows from m - 1 to m seeds_by - 1. The half
    width is the measured one times the ratio of the two reaches, so it is the measured one where nothing changes.

    Args:
        loss: whose interval is known.
        seeds: m, that it was measured with.
        level: of the interval, two-sided.
        users_by, seeds_by: factors on users and seeds.
    """
    assert loss.auc.ci is not None
    assert loss.auc.value is not None
    measured = loss.auc.ci[1] - loss.auc.value
    now = _reach(loss.auc, LEVEL, 1.0, 1.0, 1.0)
    grown = (seeds * seeds_by - 1) / (seeds - 1) if seeds > 1 else 1.0
    by = _reach(loss.auc, level, users_by, seeds_by, grown) / now if now > 0 else 1.0
    return loss.auc.value + measured * by


def turned(loss: MethodEstimate) -> MethodEstimate:
    """The same as a gain: what is below a bound for the one is above minus the bound for the other."""
    value, ci = loss.value, loss.ci
    return replace(loss, value=None if value is None else -value, ci=None if ci is None else (-ci[1], -ci[0]))


def _reach(estimate: MethodEstimate, level: float, users_by: float, seeds_by: float, freedom_by: float) -> float:
    """Without seeds in it, all of an interval is the users'; its width is measured, so any error does."""
    seeds, error = estimate.seeds or SeedVariance(0.0, 1.0), estimate.standard_error or 1.0
    of_users = max(0.0, error**2 - seeds.variance)
    by_seeds = SeedVariance(seeds.variance / seeds_by, seeds.freedom * freedom_by)
    total = of_users / users_by + by_seeds.variance
    return _quantile(float(f"{degrees_of_freedom(by_seeds, total):.3g}"), level) * math.sqrt(total)


_quantile = cache(t_quantile)


def _interval(each: Contender | Counter, rival: str) -> tuple[float, float] | None:
    loss = each.loss_against(rival)
    return None if loss is None or loss.auc.value is None else loss.auc.ci


def _at_most(pairs: dict[str, tuple[float, float] | None]) -> float | None:
    """The largest upper end; None where one is not known."""
    ends = [ci[1] for ci in pairs.values() if ci is not None]
    return max(ends) if ends and len(ends) == len(pairs) else None
