"""AUC: how often a clicked row scores above one that was not clicked (Hanley & McNeil 1982); ties count half."""

from __future__ import annotations

import numpy as np

from lrea_cli.stats.metrics.metric import Metric, Rows, Statistic, ratio
from lrea_cli.stats.ranks import auc_interval, group_aucs


def auc(scores: np.ndarray, labels: np.ndarray) -> float | None:
    """AUC = sum_ij ([s_i > s_j] + [s_i = s_j] / 2) / (P N), i of P clicked rows, j of N others.

    Args:
        scores: (rows,), any monotone scale.
        labels: (rows,) 0 or 1.

    Returns:
        In [0, 1]; None where one class is missing.

    Raises:
        ValueError: a score is not finite.
    """
    _, each = group_aucs(scores, labels, np.zeros(len(labels), np.int64))
    return float(each[0]) if np.isfinite(each).any() else None


def auc_of_pairs(rows: Rows) -> float | None:
    """Count every pair."""
    clicked, others = ([s for s, y in zip(rows.logits, rows.labels, strict=True) if y == label] for label in (1, 0))
    pairs = [(s > other) + (s == other) / 2 for s in clicked for other in others]
    return float(sum(pairs)) / len(pairs) if pairs else None


def weighted_auc(rows: Rows, owner: np.ndarray) -> Statistic:
    """AUC = sum_i w_i (sum_j w_j [s_j < s_i] + sum_j w_j [s_j <= s_i]) / (2 W_P W_N), i clicked, j not.

    One sort for all draws; for each draw the inner sums are read off one cumulative sum. Sums are of whole numbers,
    so equal scores give equal bits.
    """
    scores, positive = rows.logits, rows.labels > 0.5
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
        return ratio(np.einsum("br,br->b", weight, twice, dtype=np.float64), 2 * pairs)

    return statistic


AUC = Metric(
    name="auc",
    title="AUC",
    better="higher",
    value=lambda rows: auc(rows.logits, rows.labels),
    twin=auc_of_pairs,
    column="AUC",
    statistic=weighted_auc,
    slice_interval=lambda rows: auc_interval(rows.logits, rows.labels, rows.users),
)
