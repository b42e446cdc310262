"""Intervals of AUC and GAUC by bootstrap over users (Efron 1979; Field & Welsh 2007 for clusters), in numpy.

A user's rows are not independent, so users are drawn, not rows: draw d takes user u c_du times, and each of its rows
weighs c_du. The same draws serve both sides of a difference: it is paired.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from lrea_cli.stats.estimates import Difference, Estimate, difference, estimate
from lrea_cli.stats.intervals import mean_estimate, t_quantile
from lrea_cli.stats.metrics import auc, gauc, group_aucs

DRAWS = 1000
BLOCK_CELLS = 1 << 18
"""Weights of rows held at once: 1 MB, whatever the split."""
MOST_FREEDOM = 1000
"""Of Student's t: with more, its interval is the normal one."""

Statistic = Callable[[np.ndarray], np.ndarray]
"""(B, users) counts -> (B,) values, NaN where undefined."""


def auc_estimate(
    scores: np.ndarray, labels: np.ndarray, users: np.ndarray, seed: int = 0, draws: int = DRAWS
) -> Estimate:
    """AUC with its interval.

    Args:
        scores, labels, users: (rows,). seed: of the draws.
    """
    owner, count = dense(users)
    (drawn,) = _resample([_weighted_auc(scores, labels, owner)], len(owner), count, seed, draws)
    return estimate(auc(scores, labels), drawn)


def mean_auc_estimate(
    runs: Sequence[np.ndarray], labels: np.ndarray, users: np.ndarray, seed: int = 0, draws: int = DRAWS
) -> Estimate:
    """Mean AUC of runs that differ in their seed of training, with an interval for other users and other seeds.

        se^2 = se_users^2 + s^2 / m,  freedom = se^4 / ((s^2 / m)^2 / (m - 1))  (Satterthwaite 1946; of users: infinite)

    s^2 is the variance of the m AUCs, se_users that of their mean when users are drawn, the same ones for all runs. Of
    one run it is `auc_estimate`: nothing is known of other seeds.

    Args:
        runs: scores (rows,) of each run. labels, users: (rows,).
    """
    owner, count = dense(users)
    each = [auc(scores, labels) for scores in runs]
    known = [value for value in each if value is not None]
    mean = float(np.mean(known)) if len(known) == len(each) else None
    drawn = _resample([_weighted_auc(scores, labels, owner) for scores in runs], len(owner), count, seed, draws)
    of_users = estimate(mean, np.mean(drawn, 0))
    of_seeds = mean_estimate(known).standard_error
    if mean is None or of_users.standard_error is None or of_seeds is None:
        return of_users
    error = math.hypot(of_users.standard_error, of_seeds)
    freedom = MOST_FREEDOM if of_seeds == 0 else (len(runs) - 1) * (error / of_seeds) ** 4
    reach = t_quantile(int(min(MOST_FREEDOM, freedom))) * error
    return Estimate(mean, (mean - reach, mean + reach), error)


def gauc_estimate(
    scores: np.ndarray, labels: np.ndarray, groups: np.ndarray, users: np.ndarray, seed: int = 0, draws: int = DRAWS
) -> Estimate:
    """GAUC with its interval.

    Args:
        scores, labels, users: (rows,). groups: (rows,) users, or parts of users, such as requests.

    Raises:
        ValueError: a group has rows of two users.
    """
    owner, count = dense(users)
    (drawn,) = _resample([_weighted_gauc(scores, labels, groups, owner)], len(owner), count, seed, draws)
    return estimate(gauc(scores, labels, groups).value, drawn)


def auc_difference(
    a: np.ndarray, b: np.ndarray, labels: np.ndarray, users: np.ndarray, seed: int = 0, draws: int = DRAWS
) -> Difference:
    """AUC of `b` minus AUC of `a` on the same rows, paired.

    Args:
        a, b: (rows,) scores; each on its own scale. labels, users: (rows,).
    """
    owner, count = dense(users)
    both = [_weighted_auc(scores, labels, owner) for scores in (a, b)]
    drawn_a, drawn_b = _resample(both, len(owner), count, seed, draws)
    auc_a, auc_b = auc(a, labels), auc(b, labels)
    return difference(None if auc_a is None or auc_b is None else auc_b - auc_a, drawn_b - drawn_a)


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


def _weighted_auc(scores: np.ndarray, labels: np.ndarray, owner: np.ndarray) -> Statistic:
    """AUC = sum_i w_i (sum_j w_j [s_j < s_i] + sum_j w_j [s_j <= s_i]) / (2 W_P W_N), i clicked, j not.

    One sort for all draws; for each draw the inner sums are read off one cumulative sum. Sums are of whole numbers,
    so equal scores give equal bits.
    """
    positive = labels > 0.5
    order = np.argsort(scores, kind="stable")
    above, below = order[positive[order]], order[~positive[order]]
    low, high = (np.searchsorted(scores[below], scores[above], side) for side in ("left", "right"))
    whole = np.int32 if len(scores) < 2**28 else np.int64

    def statistic(counts: np.ndarray) -> np.ndarray:
        counts = counts.astype(whole)
        weight = np.take(counts, owner[above], axis=1)
        passed = np.zeros((len(counts), len(below) + 1), whole)
        np.cumsum(np.take(counts, owner[below], axis=1), axis=1, out=passed[:, 1:])
        twice = np.take(passed, low, axis=1) + np.take(passed, high, axis=1)
        pairs = weight.sum(1, dtype=np.float64) * passed[:, -1]
        return _ratio(np.einsum("br,br->b", weight, twice, dtype=np.float64), 2 * pairs)

    return statistic


def _weighted_gauc(scores: np.ndarray, labels: np.ndarray, groups: np.ndarray, owner: np.ndarray) -> Statistic:
    """GAUC = sum_u c_u sum_(g of u) n_g AUC_g / sum_u c_u sum_(g of u) n_g, over groups with both classes."""
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    if (owner[first][place] != owner).any():
        raise ValueError("a group has rows of more than one user")
    sizes, each = group_aucs(scores, labels, groups)
    both = np.isfinite(each)
    of, weight = owner[first][both], sizes[both].astype(np.float64)
    users = int(owner.max(initial=-1)) + 1
    total = np.bincount(of, weight * each[both], minlength=users)
    rows = np.bincount(of, weight, minlength=users)

    def statistic(counts: np.ndarray) -> np.ndarray:
        return _ratio(counts @ total, counts @ rows)

    return statistic


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
