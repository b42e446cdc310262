"""AUC by ranks (Mann & Whitney 1947), of all rows or of each group; equal scores share the mean of their ranks."""

from __future__ import annotations

import numpy as np


def group_aucs(scores: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and AUC of each group, in the order of the sorted groups.

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
