"""Which contender is the cheaper one, which fits the budget, and which ones no other beats in both time and AUC."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lrea_cli.decide.results import Contender
from lrea_cli.stats.estimates import Estimate


def cost(contender: Contender) -> tuple[float, float, str]:
    """What contenders are sorted by, the cheapest first: p99, bytes of a record, name; last where it is not known."""
    p99, size = contender.p99_ms.value, contender.record_bytes
    return (math.inf if p99 is None else p99, math.inf if size is None else size, contender.name)


def cheapest(contenders: Sequence[Contender]) -> Contender:
    """The smallest record among those whose p99 is not told apart from the lowest one; see `as_fast`."""
    fastest = min(contenders, key=cost)
    alike = [each for each in contenders if each is fastest or as_fast(each, fastest)]
    return min(alike, key=lambda each: (cost(each)[1], cost(each)))


def as_fast(a: Contender, b: Contender) -> bool:
    """Whether their p99 are equal, or each one's lies in the interval of the other's.

    Stricter than intervals that overlap, which those of a p99, wide at the upper end, often do.
    """
    first, second = a.p99_ms, b.p99_ms
    if first.value is None or second.value is None:
        return False
    return first.value == second.value or (_holds(first, second.value) and _holds(second, first.value))


def fits(contender: Contender, budget_ms: float) -> bool | None:
    """Whether the p99 of a request is within the budget; None where it is not known."""
    p99 = contender.p99_ms.value
    return None if p99 is None else p99 <= budget_ms


def frontier(contenders: Sequence[Contender]) -> list[str]:
    """Names of those that no other one beats in both p99 and AUC, as measured; the fastest first."""
    known = [
        (p99, -auc, each.name)
        for each in contenders
        if (p99 := each.p99_ms.value) is not None and (auc := each.auc.value) is not None
    ]
    names, best = [], -math.inf
    for _, minus_auc, name in sorted(known):
        if -minus_auc > best:
            names, best = [*names, name], -minus_auc
    return names


def _holds(estimate: Estimate, value: float) -> bool:
    return estimate.ci is not None and estimate.ci[0] <= value <= estimate.ci[1]
