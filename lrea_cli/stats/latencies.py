"""Latencies: percentiles that enough requests back, medians with intervals, and ratios of the same requests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from lrea_cli.stats.bootstrap import dense, user_counts
from lrea_cli.stats.estimates import Estimate, Interval, estimate, t_quantile

CONFIDENCE = 0.99
"""That a percentile is not below the true one."""
MEDIAN_DRAWS = 10_000
RATIO_DRAWS = 2000


def requests_needed(percent: float) -> int:
    """The least n with (percent / 100)^n <= 1 - CONFIDENCE: with fewer, none may lie above the percentile (MLPerf)."""
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(percent / 100))


def percentile(latencies_ms: Sequence[float] | np.ndarray, percent: float) -> float | None:
    """Nearest-rank percentile of all latencies, none thrown away; None where too few requests were timed."""
    return _nearest_rank(latencies_ms, percent) if len(latencies_ms) >= requests_needed(percent) else None


def shortfalls(requests: int, percents: Sequence[float]) -> list[str]:
    """For each percentile that `requests` timed requests do not back, a sentence that says how many it needs."""
    return [
        f"p{p:g} n/a: needs {requests_needed(p)} requests, has {requests} (--seconds gives each row more time)"
        for p in percents
        if requests < requests_needed(p)
    ]


def median(values: Sequence[float] | np.ndarray) -> float:
    """By nearest rank: the ceil(n / 2)-th."""
    return _nearest_rank(values, 50)


def median_interval(values: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """Order statistics k and n + 1 - k: the largest k with P(Bin(n, 1/2) < k) <= (1 - confidence) / 2.

    The median lies between them for any distribution (David & Nagaraja 2003, 7.1). None where there is no such k.

    Args:
        values: independent, n of them.
    """
    return percentile_interval(values, 50, confidence)


def percentile_interval(values: Sequence[float], percent: float, confidence: float = 0.95) -> Interval | None:
    """Order statistics k and m: the largest k, the smallest m that miss the percentile on their side rarely enough.

        P(Bin(n, q) < k) <= (1 - confidence) / 2,    P(Bin(n, q) >= m) <= (1 - confidence) / 2,    q = percent / 100

    The percentile lies between them for any distribution (David & Nagaraja 2003, 7.1). None where one does not exist:
    of a p99 that takes 368 values.

    Args:
        values: independent, n of them.
    """
    n, q, miss = len(values), percent / 100, (1 - confidence) / 2
    counts = range(n + 1)
    ways = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in counts]
    share = np.exp([way + k * math.log(q) + (n - k) * math.log1p(-q) for k, way in zip(counts, ways, strict=True)])
    k = int((np.cumsum(share) <= miss).sum())  # fewer than k of n lie under it
    above = int((np.cumsum(share[::-1]) <= miss).sum())  # n + 1 - m: m or more of n lie under it
    if k < 1 or above < 1:
        return None
    ordered = sorted(values)
    return ordered[k - 1], ordered[n - above]


def median_difference(a: Sequence[float], b: Sequence[float], seed: int = 0) -> Estimate:
    """median(b) / median(a) - 1 of two independent sets of latencies, with a bootstrap interval.

    The median of n drawn with replacement is the order statistic floor(n U) + 1, where U, the middle one of n uniform
    numbers, is Beta distributed: so a draw costs one number, not n.
    """
    if not len(a) or not len(b):
        return Estimate(None, None, None)
    value = median(b) / median(a) - 1
    if min(len(a), len(b)) < 2:
        return Estimate(value, None, None)
    rng = np.random.default_rng(seed)
    drawn = [_drawn_medians(np.sort(np.asarray(values, np.float64)), rng) for values in (a, b)]
    return estimate(value, drawn[1] / drawn[0] - 1)


@dataclass(frozen=True)
class Ratio:
    """Time of one route over that of another; None where it is withheld or was not measured.

    Args:
        value: total time of all requests over total time of the same requests.
        of_medians: median latency over median latency, of the same requests.
        ci, of_medians_ci: 95% intervals.
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
    for counts in user_counts(count, len(owner), seed, RATIO_DRAWS):
        totals.append((counts @ sums[0]) / (counts @ sums[1]))
        drawn = [_medians(side[order], counts[:, owner[order]]) for side, order in zip(sides, orders, strict=True)]
        medians.append(drawn[0] / drawn[1])
    below = NormalDist().cdf(-t_quantile(count - 1) * math.sqrt(count / (count - 1)))
    (low, high), (low_median, high_median) = (
        np.quantile(np.concatenate(drawn), [below, 1 - below]).tolist() for drawn in (totals, medians)
    )
    value, of_medians = float(sides[0].sum() / sides[1].sum()), median(sides[0]) / median(sides[1])
    return Ratio(value, (low, high), of_medians, (low_median, high_median))


def _nearest_rank(values: Sequence[float] | np.ndarray, percent: float) -> float:
    return float(np.quantile(values, percent / 100, method="inverted_cdf"))


def _drawn_medians(ordered: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    n = len(ordered)
    middle = (n - 1) // 2 + 1
    rank = np.floor(n * rng.beta(middle, n + 1 - middle, MEDIAN_DRAWS)).astype(np.int64)
    return ordered[np.minimum(rank, n - 1)]


def _medians(ordered: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(B,) nearest-rank medians of the sorted values (n,), each taken as often as a row of counts (B, n) says."""
    upto = np.cumsum(counts, 1)
    return ordered[(2 * upto >= upto[:, -1:]).argmax(1)]
