"""GAUC: the mean AUC of groups of rows, weighted by their rows (the LREA paper, 4.1; Zhu et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lrea_cli.stats.metrics.auc import auc_of_pairs
from lrea_cli.stats.metrics.metric import Metric, Rows, Statistic, ratio
from lrea_cli.stats.ranks import group_aucs


@dataclass(frozen=True)
class GroupAUC:
    """GAUC, and how many groups had both classes or only one; those with one are left out."""

    value: float | None
    groups: int
    single_class_groups: int


def gauc(scores: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> GroupAUC:
    """GAUC = sum_g n_g AUC_g / sum_g n_g, over the groups g with both classes, of n_g rows each.

    Args:
        scores, labels: (rows,).
        groups: (rows,) user or request of each row.
    """
    sizes, each = group_aucs(scores, labels, groups)
    known = np.isfinite(each)
    value = float(np.average(each[known], weights=sizes[known])) if known.any() else None
    return GroupAUC(value, int(known.sum()), int((~known).sum()))


def groups_of(rows: Rows) -> np.ndarray:
    """(rows,) the group of each row."""
    return rows.users if rows.groups is None else rows.groups


def gauc_of_loops(rows: Rows) -> float | None:
    """Take one group after the other, and count its pairs."""
    total, weight, groups = 0.0, 0, groups_of(rows)
    for group in set(groups.tolist()):
        mine = groups == group
        value = auc_of_pairs(Rows(rows.logits[mine], rows.labels[mine], rows.users[mine]))
        if value is not None:
            total, weight = total + mine.sum() * value, weight + mine.sum()
    return float(total / weight) if weight else None


def weighted_gauc(rows: Rows, owner: np.ndarray) -> Statistic:
    """GAUC = sum_u c_u sum_(g of u) n_g AUC_g / sum_u c_u sum_(g of u) n_g, over groups with both classes.

    Raises:
        ValueError: a group has rows of two users.
    """
    groups = groups_of(rows)
    _, first, position = np.unique(groups, return_index=True, return_inverse=True)
    if (owner[first][position] != owner).any():
        raise ValueError("a group has rows of more than one user")
    sizes, each = group_aucs(rows.logits, rows.labels, groups)
    known = np.isfinite(each)
    user, weight = owner[first][known], sizes[known].astype(np.float64)
    users = int(owner.max(initial=-1)) + 1
    total = np.bincount(user, weight * each[known], minlength=users)
    size = np.bincount(user, weight, minlength=users)
    return lambda counts: ratio(counts @ total, counts @ size)


GAUC = Metric(
    name="gauc",
    title="GAUC",
    better="higher",
    value=lambda rows: gauc(rows.logits, rows.labels, groups_of(rows)).value,
    twin=gauc_of_loops,
    column="GAUC",
    statistic=weighted_gauc,
)
