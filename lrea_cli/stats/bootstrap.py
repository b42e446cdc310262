"""Intervals by bootstrap over users (Efron 1979; Field & Welsh 2007 for clusters), in numpy.

A user's rows are not independent, so users are drawn, not rows: draw d takes user u c_du times, and each of its rows
weighs c_du. The same draws serve both sides of a difference: it is paired.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lrea_cli.stats.estimates import Estimate, estimate
from lrea_cli.stats.metrics.auc import auc, weighted_auc
from lrea_cli.stats.metrics.metric import Metric, Rows, Statistic

DRAWS = 1000
BLOCK_CELLS = 1 << 18
"""Weights of rows held at once: 1 MB, whatever the split."""


def estimate_of(metric: Metric, rows: Rows, seed: int = 0, draws: int = DRAWS) -> Estimate:
    """A metric with its interval; without one where the metric has no statistic."""
    value = metric.value(rows)
    if metric.statistic is None:
        return Estimate(value, None, None)
    owner, count = dense(rows.users)
    (drawn,) = _resample([metric.statistic(rows, owner)], len(owner), count, seed, draws)
    return estimate(value, drawn)


def auc_difference(
    a: np.ndarray, b: np.ndarray, labels: np.ndarray, users: np.ndarray, seed: int = 0, draws: int = DRAWS
) -> Estimate:
    """AUC of `b` minus AUC of `a` on the same rows, paired.

    Args:
        a, b: (rows,) scores; each on its own scale.
        labels, users: (rows,).
    """
    return auc_differences(a, [b], labels, users, seed, draws)[0]


def auc_differences(
    base: np.ndarray,
    others: Sequence[np.ndarray],
    labels: np.ndarray,
    users: np.ndarray,
    seed: int = 0,
    draws: int = DRAWS,
) -> list[Estimate]:
    """AUC of each of `others` minus that of `base`, all on the same draws: each score is resampled once."""
    owner, count = dense(users)
    sides = [weighted_auc(Rows(scores, labels, users), owner) for scores in (base, *others)]
    drawn_base, *drawn_others = _resample(sides, len(owner), count, seed, draws)
    auc_base, *auc_others = (auc(scores, labels) for scores in (base, *others))
    return [
        estimate(None if value is None or auc_base is None else value - auc_base, drawn - drawn_base)
        for value, drawn in zip(auc_others, drawn_others, strict=True)
    ]


def user_counts(users: int, rows: int, seed: int, draws: int) -> Iterator[np.ndarray]:
    """Multinomial counts in blocks (B, users): each draw takes `users` users with replacement.

    Args:
        rows: of the data; B is as large as `BLOCK_CELLS` allows. The draws do not depend on it.
    """
    rng = np.random.default_rng(seed)
    block = max(1, BLOCK_CELLS // max(rows, users))
    for start in range(0, draws, block):
        size = min(block, draws - start)
        drawn = rng.integers(users, size=(size, users))
        drawn += users * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * users).reshape(size, users)


def dense(users: np.ndarray) -> tuple[np.ndarray, int]:
    """Users as 0 .. count - 1, and their count."""
    values, owner = np.unique(users, return_inverse=True)
    return owner, len(values)


def _resample(statistics: Sequence[Statistic], rows: int, users: int, seed: int, draws: int) -> list[np.ndarray]:
    """Each statistic on the same draws, (draws,) each; NaN throughout where there are not two users."""
    if users < 2:
        return [np.full(draws, np.nan) for _ in statistics]
    blocks = [[statistic(counts) for statistic in statistics] for counts in user_counts(users, rows, seed, draws)]
    return [np.concatenate(column) for column in zip(*blocks, strict=True)]
