"""Expected calibration error: the mean distance of predicted and observed click rate over bins (Guo et al. 2017)."""

from __future__ import annotations

import math

import numpy as np

from lrea_cli.stats.metrics.metric import Metric, Rows, sigmoid

BINS = 10


def ece(rows: Rows) -> float | None:
    """ECE = sum_m |B_m| / n |mean of labels - mean of rates in B_m|, B_m = (m - 1, m] / 10; 0 falls in the first.

    The rate of a row is sigmoid(logit). None where there is no row.
    """
    if not len(rows.labels):
        return None
    rates = sigmoid(rows.logits)
    bins = np.searchsorted(np.arange(1, BINS) / BINS, rates, side="left")
    gap = np.bincount(bins, rows.labels - rates, minlength=BINS)
    return float(np.abs(gap).sum() / len(rates))


def error_of_loops(rows: Rows) -> float | None:
    """Take one bin after the other (Guo et al. 2017, Eq. 3)."""
    pairs = [(1 / (1 + math.exp(-x)), y) for x, y in zip(rows.logits.tolist(), rows.labels.tolist(), strict=True)]
    error = 0.0
    for m in range(1, BINS + 1):
        mine = [(p, y) for p, y in pairs if (m - 1) / BINS < p <= m / BINS or (m == 1 and p == 0)]
        if mine:
            predicted, observed = (sum(column) / len(mine) for column in zip(*mine, strict=True))
            error += len(mine) / len(pairs) * abs(observed - predicted)
    return error if pairs else None


ECE = Metric(
    name="ece",
    title="calibration error, 10 bins",
    better="lower",
    value=ece,
    twin=error_of_loops,
)
