"""The highest rate of an open loop whose latency keeps to a limit: a search by trials, each of which is shown."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from lrea_cli.bench.load.results import OpenLoop

PRECISION = 0.05
"""The rate that keeps the limit and the one that does not are this close, relative to the former."""
FIRST, UP, DOWN = 0.8, 1.5, 2.0
"""The first trial's rate, of the closed loop's; factors to the next one while only one side of the answer is known."""
MOST_STEPS = 8
"""Of these factors, in one direction."""


@dataclass(frozen=True)
class Capacity:
    """What the search found.

    Args:
        slo_ms: the limit of the latency.
        percent: the percentile that was compared with it in the trial at `rate` (or at `failed`): p99, or what its
            requests back; None where they back none.
        rate: requests a second, the highest that kept it; None where no trial did.
        failed: the lowest rate that did not keep it; None where all did.
        trials: in the order in which they ran.
    """

    slo_ms: float
    percent: float | None
    rate: float | None
    failed: float | None
    trials: tuple[OpenLoop, ...]


def find_capacity(trial: Callable[[float], OpenLoop], closed_per_second: float, slo_ms: float) -> Capacity:
    """Bisect the rate on a log scale until the rates that keep the limit and those that do not are `PRECISION` apart.

    A trial keeps the limit if its percentile is at most `slo_ms` and its backlog does not grow.

    Args:
        trial: runs an open loop at a rate.
        closed_per_second: requests a second of a closed loop with as many threads, near which the search begins.
    """
    trials: list[OpenLoop] = []
    kept, failed = 0.0, math.inf
    rate = FIRST * closed_per_second
    while failed > (1 + PRECISION) * kept:
        trials.append(trial(rate))
        if trials[-1].keeps(slo_ms):
            kept = rate
        else:
            failed = rate
        if kept and failed < math.inf:
            rate = math.sqrt(kept * failed)
        elif len(trials) > MOST_STEPS:
            break
        else:
            rate = rate * UP if kept else rate / DOWN
    decisive = min(trials, key=lambda t: abs(t.rate - (kept or failed)))
    return Capacity(slo_ms, decisive.percent, kept or None, None if math.isinf(failed) else failed, tuple(trials))
