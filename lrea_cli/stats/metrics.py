"""AUC, GAUC and log loss of scores, in numpy; ties count half, single-class groups are left out and counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class GAUC:
    """Group AUC: value, and how many groups had both classes or only one."""

    value: float | None
    groups: int
    single_class_groups: int


def auc(scores: np.ndarray, labels: np.ndarray) -> float | None:
    """Probability that a clicked row scores above one that was not clicked, ties counting half.

    AUC = (sum of the midranks of the positives - P (P + 1) / 2) / (P N)

    Args:
        scores: (rows,), any monotone scale. labels: (rows,) 0 or 1.

    Returns:
        In [0, 1]; None where one class is missing.
    """
    return gauc(scores, labels, np.zeros(len(labels), np.int64)).value


def gauc(scores: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> GAUC:
    """Mean of the AUC of each group, weighted by the samples of the group (the paper's GAUC, 4.1).

    Args:
        scores, labels: (rows,). groups: (rows,) user or request of each row.
    """
    sizes, each = group_aucs(scores, labels, groups)
    both = np.isfinite(each)
    value = float(np.average(each[both], weights=sizes[both])) if both.any() else None
    return GAUC(value, int(both.sum()), int((~both).sum()))


def group_aucs(scores: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and AUC of each group, in the order of the sorted groups.

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


def log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean of -y log p - (1 - y) log(1 - p), p = sigmoid(logit) (paper, Eq. 2)."""
    logits = logits.astype(np.float64)
    return float(np.mean(np.logaddexp(0.0, logits) - labels * logits))


def midranks(scores: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """1-based ranks of rows sorted by (group, score); equal scores of one group share the mean of their ranks."""
    new = np.ones(len(scores), bool)
    new[1:] = (scores[1:] != scores[:-1]) | (groups[1:] != groups[:-1])
    starts = np.flatnonzero(new)
    ends = np.append(starts[1:], len(scores))
    return np.repeat((starts + ends + 1) / 2, ends - starts)


def deviation(full: np.ndarray, other: np.ndarray) -> float | None:
    """Root mean square of the change of the logit over the standard deviation of the full one.

    Args:
        full, other: (rows,) logits.

    Returns:
        None where there is no row, or the full logits are constant.
    """
    spread = float(np.std(full)) if len(full) else 0.0
    return float(np.sqrt(np.mean((other - full) ** 2))) / spread if spread else None
