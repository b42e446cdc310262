"""Intervals of a mean of independent runs, and of medians of latencies."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lrea_cli.stats.estimates import UNDEFINED, Estimate, Interval, estimate

MEDIAN_DRAWS = 10_000


def mean_estimate(values: Sequence[float]) -> Estimate:
    """Mean of independent runs, such as seeds, with Student's interval: mean +- t(.975, n - 1) s / sqrt(n).

    Fewer than two values have no interval, none have no mean.
    """
    if not len(values):
        return UNDEFINED
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean, None, None)
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    reach = t_quantile(len(values) - 1) * error
    return Estimate(mean, (mean - reach, mean + reach), error)


def median_interval(values: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """Order statistics k and n + 1 - k: the largest k with P(Bin(n, 1/2) < k) <= (1 - confidence) / 2.

    The median lies between them for any distribution (David & Nagaraja 2003, 7.1). None where there is no such k.

    Args:
        values: independent, n of them.
    """
    n = len(values)
    log_share = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2) for k in range(n)]
    below = np.cumsum(np.exp(log_share))  # below[k - 1] = P(fewer than k of n lie under the median)
    k = int((below <= (1 - confidence) / 2).sum())
    if k < 1:
        return None
    ordered = sorted(values)
    return ordered[k - 1], ordered[n - k]


def median_difference(a: Sequence[float], b: Sequence[float], seed: int = 0) -> Estimate:
    """median(b) / median(a) - 1 of two independent sets of latencies, with a bootstrap interval.

    The median of n drawn with replacement is the order statistic floor(n U) + 1, where U, the middle one of n uniform
    numbers, is Beta distributed: so a draw costs one number, not n.
    """
    if not len(a) or not len(b):
        return UNDEFINED
    value = median(b) / median(a) - 1
    if min(len(a), len(b)) < 2:
        return Estimate(value, None, None)
    rng = np.random.default_rng(seed)
    drawn = [_drawn_medians(np.sort(np.asarray(values, np.float64)), rng) for values in (a, b)]
    return estimate(value, drawn[1] / drawn[0] - 1)


def median(values: Sequence[float] | np.ndarray) -> float:
    """By nearest rank, as `stats.percentiles` has it: the ceil(n / 2)-th."""
    return float(np.quantile(values, 0.5, method="inverted_cdf"))


def t_quantile(freedom: int) -> float:
    """t with P(|T| <= t) = .95, by bisection."""
    low, high = 0.0, 100.0
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _t_within(middle, freedom) < 0.95 else (low, middle)
    return high


def _t_within(t: float, freedom: int) -> float:
    """P(|T| <= t): Abramowitz & Stegun 26.7.3 for odd and 26.7.4 for even degrees of freedom."""
    angle, odd = math.atan(t / math.sqrt(freedom)), freedom % 2
    if freedom == 1:
        return 2 * angle / math.pi
    term = total = math.cos(angle) if odd else 1.0
    for k in range(3 if odd else 2, freedom - 1, 2):
        term *= (k - 1) / k * math.cos(angle) ** 2
        total += term
    share = math.sin(angle) * total
    return 2 / math.pi * (angle + share) if odd else share


def _drawn_medians(ordered: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    n = len(ordered)
    middle = (n - 1) // 2 + 1
    rank = np.floor(n * rng.beta(middle, n + 1 - middle, MEDIAN_DRAWS)).astype(np.int64)
    return ordered[np.minimum(rank, n - 1)]
