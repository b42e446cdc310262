"""AUC by ranks (Mann & Whitney 1947), its covariance (DeLong 1988; Sun & Xu 2014), and what a split can resolve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lrea_cli.stats.estimates import POWER_95_80, Z_95, Interval

ALIKE = 0.85
"""Correlation of the AUCs of two models of the same inputs: measured as .74 to .87 between methods on planted logs."""


def group_aucs(scores: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and AUC of each group, in the order of the sorted groups; equal scores share the mean of their ranks.

        AUC = (sum of the midranks of the clicked rows - P (P + 1) / 2) / (P N),  P clicked rows, N others

    Args:
        scores, labels, groups: (rows,).

    Returns:
        (groups,) sizes, and (groups,) AUC, NaN where a group has one class.

    Raises:
        ValueError: a score is not finite.
    """
    if not len(scores):
        return np.zeros(0, np.int64), np.zeros(0)
    if not np.isfinite(scores).all():
        raise ValueError("scores are not finite")
    order = np.lexsort((scores, groups))
    scores, groups, positive = scores[order], groups[order], labels[order] > 0.5
    starts = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1))
    sizes = np.diff(np.append(starts, len(groups)))
    rank = midranks(scores, groups) - np.repeat(starts, sizes)
    positives = np.add.reduceat(positive.astype(np.float64), starts)
    rank_sum = np.add.reduceat(np.where(positive, rank, 0.0), starts)
    pairs = positives * (sizes - positives)
    each = np.full(len(starts), np.nan)
    np.divide(rank_sum - positives * (positives + 1) / 2, pairs, out=each, where=pairs > 0)
    return sizes, each


def midranks(scores: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """1-based ranks of rows sorted by (group, score); equal scores of one group share the mean of their ranks."""
    new = np.ones(len(scores), bool)
    new[1:] = (scores[1:] != scores[:-1]) | (groups[1:] != groups[:-1])
    starts = np.flatnonzero(new)
    ends = np.append(starts[1:], len(scores))
    return np.repeat((starts + ends + 1) / 2, ends - starts)


@dataclass(frozen=True)
class Placed:
    """The AUC of one run, and what each user adds to its error.

    Args:
        auc: NaN where a class is missing.
        clicked: (users,) sum over the user's clicked rows of (V10 - AUC); `others`: of the other rows, by V01.
    """

    auc: float
    clicked: np.ndarray
    others: np.ndarray

    def minus(self, other: Placed) -> Placed:
        """The difference of two scores of the same rows, as if it were an AUC."""
        return Placed(self.auc - other.auc, self.clicked - other.clicked, self.others - other.others)


class UserClusters:
    """Covariances of AUCs when other users are drawn (Obuchowski 1997; for one row a user: DeLong 1988).

        V10_i = share of the rows not clicked that score below clicked row i, V01_j = share of the clicked above row j
        X_u = sum over the clicked rows of user u of (V10_i - AUC), Y_u likewise of V01 over those not clicked
        S10 = I10 / ((I10 - 1) P) sum_u X_u X_u^T, S01 likewise, S11 = I / (I - 1) sum_u X_u Y_u^T
        cov = S10 / P + S01 / N + (S11 + S11^T) / (P N)

    P, N rows of each class, I10, I01 and I users with such rows and users at all. Ties count half. Each score is
    sorted once (`place`); then every covariance is a sum over users.

    Args:
        labels, users: (rows,) of the rows that all scores are of.
    """

    def __init__(self, labels: np.ndarray, users: np.ndarray) -> None:
        self._positive = labels > 0.5
        values, owner = np.unique(users, return_inverse=True)
        self._of_clicked, self._of_others = owner[self._positive], owner[~self._positive]
        self.users, self.clicked, self.others = len(values), len(self._of_clicked), len(self._of_others)
        self._with_clicked, self._with_others = len(np.unique(self._of_clicked)), len(np.unique(self._of_others))

    def place(self, scores: np.ndarray) -> Placed:
        """AUC and errors of one score (rows,); a ValueError where it is not finite."""
        if not np.isfinite(scores).all():
            raise ValueError("scores are not finite")
        if not self.clicked or not self.others:
            return Placed(math.nan, np.zeros(self.users), np.zeros(self.users))
        rank, positive = _ranks(scores), self._positive
        above = (rank[positive] - _ranks(scores[positive])) / self.others
        below = 1 - (rank[~positive] - _ranks(scores[~positive])) / self.clicked
        auc = float(above.mean())
        clicked = np.bincount(self._of_clicked, above - auc, self.users)
        return Placed(auc, clicked, np.bincount(self._of_others, below - auc, self.users))

    def covariance(self, a: Sequence[Placed], b: Sequence[Placed]) -> np.ndarray:
        """(a, b) covariances; NaN where a class is missing or one user has all rows of it."""
        I10, I01, I = self._with_clicked, self._with_others, self.users  # noqa: E741
        if min(I10, I01) < 2:
            return np.full((len(a), len(b)), np.nan)
        P, N = self.clicked, self.others
        X, Y = (np.array([getattr(one, name) for one in a]) for name in ("clicked", "others"))
        X2, Y2 = (np.array([getattr(one, name) for one in b]) for name in ("clicked", "others"))
        S10, S01 = I10 / ((I10 - 1) * P) * X @ X2.T, I01 / ((I01 - 1) * N) * Y @ Y2.T
        S11 = I / (I - 1) * (X @ Y2.T + Y @ X2.T)
        return S10 / P + S01 / N + S11 / (P * N)


def delong(
    scores_list: Sequence[np.ndarray], labels: np.ndarray, users: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """AUCs of K scores of the same rows, and their covariance for other users: see `UserClusters`.

    Args:
        scores_list: K of (rows,).
        labels: (rows,).
        users: (rows,), or None = every row is another user's, which is DeLong's own covariance.

    Returns:
        (K,) and (K, K); NaN where a class is missing, the covariance also where one user has all rows of a class.
    """
    clusters = UserClusters(labels, np.arange(len(labels)) if users is None else users)
    placed = [clusters.place(scores) for scores in scores_list]
    return np.array([one.auc for one in placed]), clusters.covariance(placed, placed)


def auc_interval(scores: np.ndarray, labels: np.ndarray, users: np.ndarray) -> Interval | None:
    """95% interval of an AUC by its standard error, clustered by user, within [0, 1]; None where there is none."""
    aucs, covariance = delong([scores], labels, users)
    middle, reach = float(aucs[0]), Z_95 * float(np.sqrt(covariance[0, 0]))
    return (max(0.0, middle - reach), min(1.0, middle + reach)) if np.isfinite(reach) else None


def _ranks(scores: np.ndarray) -> np.ndarray:
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = midranks(scores[order], np.zeros(len(scores), np.int64))
    return ranks


@dataclass(frozen=True)
class Resolution:
    """What differences of AUC a test split can show, before any model is trained on it.

    `lrea compare` measures this for two models; here there is none yet, so a counter stands in for both of them.

    Args:
        counter: the one whose AUC is farthest from 1/2; its standard error, clustered by user, stands for a model's.
        standard_error: of an AUC on the whole split.
        alike: the smallest true difference that is found 4 times in 5 at 95% between two models whose AUCs correlate
            by `ALIKE`.
        unrelated: the same where they do not correlate.
    """

    counter: str
    standard_error: float
    alike: float
    unrelated: float


def resolution(
    counters: Mapping[str, np.ndarray], labels: np.ndarray, users: np.ndarray, all_users: int
) -> Resolution | None:
    """Estimate what the split can resolve.

        smallest difference = (1.96 + .84) sqrt(2 (1 - rho)) SE(AUC),     rho = `ALIKE`, or 0

    Args:
        counters: by name (rows,) scores.
        labels, users: (rows,), of some users of the split.
        all_users: of the whole split; the variance falls with their number.

    Returns:
        None where no counter has an error: one label, one user, or counters that are constant or perfect.
    """
    names = list(counters)
    aucs, covariance = delong([counters[name] for name in names], labels, users)
    variances = np.maximum(np.diag(covariance), 0)  # rounding takes one of zero a little below it
    errors = np.sqrt(variances * len(np.unique(users)) / all_users)
    best = int(np.abs(np.nan_to_num(aucs, nan=0.5) - 0.5).argmax())
    error = float(errors[best])
    if not error > 0:
        return None
    alike, unrelated = (POWER_95_80 * np.sqrt(2 * (1 - rho)) * error for rho in (ALIKE, 0.0))
    return Resolution(names[best], error, float(alike), float(unrelated))
