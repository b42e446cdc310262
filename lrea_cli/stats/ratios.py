"""How many times longer one way took than another on the same requests, with an interval that rounds are drawn for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from lrea_cli.stats.bootstrap import dense, user_counts
from lrea_cli.stats.estimates import Interval
from lrea_cli.stats.intervals import median, t_quantile

DRAWS = 2000


@dataclass(frozen=True)
class Ratio:
    """Time of one way over that of another; None where it is withheld or was not measured.

    Args:
        value: total time of all requests over total time of the same requests. ci: its 95% interval.
        of_medians: median latency over median latency, of the same requests. of_medians_ci: its 95% interval.
    """

    value: float | None
    ci: Interval | None
    of_medians: float | None
    of_medians_ci: Interval | None

    def __str__(self) -> str:
        if self.value is None or self.ci is None:
            return "n/a"
        return f"{self.value:.2f}x ({self.ci[0]:.2f} to {self.ci[1]:.2f})"


NO_RATIO = Ratio(None, None, None, None)


def paired_ratio(numerator: np.ndarray, denominator: np.ndarray, rounds: np.ndarray, seed: int = 0) -> Ratio:
    """Ratios of total and of median time, with expanded percentile intervals (Hesterberg 2015).

    Whole rounds are drawn with replacement, T of T, both sides alike: what was timed within a round shares the state of
    the machine. The ends are at Phi(-t(.975, T - 1) sqrt(T / (T - 1))), which makes up for few rounds.

    Args:
        numerator, denominator: (requests,) ms, request i is the same one in both.
        rounds: (requests,) that they were timed in, two or more.
    """
    owner, count = dense(rounds)
    sides = [np.asarray(side, np.float64) for side in (numerator, denominator)]
    sums = [np.bincount(owner, side, count) for side in sides]
    orders = [np.argsort(side, kind="stable") for side in sides]
    totals, medians = [], []
    for counts in user_counts(count, len(owner), seed, DRAWS):
        totals.append((counts @ sums[0]) / (counts @ sums[1]))
        drawn = [_medians(side[order], counts[:, owner[order]]) for side, order in zip(sides, orders, strict=True)]
        medians.append(drawn[0] / drawn[1])
    below = NormalDist().cdf(-t_quantile(count - 1) * math.sqrt(count / (count - 1)))
    return Ratio(
        float(sides[0].sum() / sides[1].sum()),
        _ends(np.concatenate(totals), below),
        median(sides[0]) / median(sides[1]),
        _ends(np.concatenate(medians), below),
    )


def _ends(drawn: np.ndarray, below: float) -> Interval:
    low, high = np.quantile(drawn, [below, 1 - below]).tolist()
    return low, high


def _medians(ordered: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(B,) nearest-rank median of values drawn as often as each row says.

    Args:
        ordered: (n,) sorted. counts: (B, n) of each.
    """
    upto = np.cumsum(counts, 1)
    return ordered[(2 * upto >= upto[:, -1:]).argmax(1)]
