"""Intervals by bootstrap over users (Efron 1979; Field & Welsh 2007 for clusters), in numpy.

A user's rows are not independent, so users are drawn, not rows: draw d takes user u c_du times, and each of its rows
weighs c_du. The same draws serve both sides of a difference: it is paired.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from lrea_cli.stats.estimates import Estimate, estimate, t_quantile
from lrea_cli.stats.metrics.auc import auc, weighted_auc
from lrea_cli.stats.metrics.metric import Metric, Rows, Statistic

DRAWS = 1000
BLOCK_CELLS = 1 << 18
"""Weights of rows held at once: 1 MB, whatever the split."""
MOST_FREEDOM = 1000
"""Of Student's t: with more, its interval is the normal one."""


def estimate_of(metric: Metric, rows: Rows, seed: int = 0, draws: int = DRAWS) -> Estimate:
    """A metric with its interval; without one where the metric has no statistic."""
    value = metric.value(rows)
    if metric.statistic is None:
        return Estimate(value, None, None)
    owner, count = dense(rows.users)
    (drawn,) = _resample([metric.statistic(rows, owner)], len(owner), count, seed, draws)
    return estimate(value, drawn)


def mean_auc_estimate(
    runs: Sequence[np.ndarray], labels: np.ndarray, users: np.ndarray, seed: int = 0, draws: int = DRAWS
) -> Estimate:
    """Mean AUC of runs that differ in their seed of training, with an interval for other users and other seeds.

        se^2 = se_users^2 + s^2 / m,  freedom = se^4 / ((s^2 / m)^2 / (m - 1))  (Satterthwaite 1946; of users: infinite)

    s^2 is the variance of the m AUCs, se_users that of their mean when users are drawn, the same ones for all runs. Of
    one run it is `estimate_of`: nothing is known of other seeds.

    Args:
        runs: scores (rows,) of each run.
        labels, users: (rows,).
    """
    owner, count = dense(users)
    each = [auc(scores, labels) for scores in runs]
    known = [value for value in each if value is not None]
    mean = float(np.mean(known)) if len(known) == len(each) else None
    drawn = _resample(
        [weighted_auc(Rows(scores, labels, users), owner) for scores in runs], len(owner), count, seed, draws
    )
    of_users = estimate(mean, np.mean(drawn, 0))
    if mean is None or of_users.standard_error is None or len(runs) < 2:
        return of_users
    of_seeds = float(np.std(known, ddof=1)) / math.sqrt(len(known))
    error = math.hypot(of_users.standard_error, of_seeds)
    freedom = MOST_FREEDOM if of_seeds == 0 else (len(runs) - 1) * (error / of_seeds) ** 4
    reach = t_quantile(int(min(MOST_FREEDOM, freedom))) * error
    return Estimate(mean, (mean - reach, mean + reach), error)


def auc_difference(
    a: np.ndarray, b: np.ndarray, labels: np.ndarray, users: np.ndarray, seed: int = 0, draws: int = DRAWS
) -> Estimate:
    """AUC of `b` minus AUC of `a` on the same rows, paired.

    Args:
        a, b: (rows,) scores; each on its own scale.
        labels, users: (rows,).
    """
    owner, count = dense(users)
    sides = [weighted_auc(Rows(scores, labels, users), owner) for scores in (a, b)]
    drawn_a, drawn_b = _resample(sides, len(owner), count, seed, draws)
    auc_a, auc_b = auc(a, labels), auc(b, labels)
    return estimate(None if auc_a is None or auc_b is None else auc_b - auc_a, drawn_b - drawn_a)


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
