"""Predicted over observed clicks ("calibration" of He et al. 2014): 1 where as many clicks come as were predicted."""

from __future__ import annotations

import math

from lrea_cli.stats.metrics.metric import Metric, Rows, sigmoid


def calibration_ratio(rows: Rows) -> float | None:
    """sum_i sigmoid(logit_i) / sum_i y_i; None where nothing was clicked."""
    clicks = float(rows.labels.sum(dtype=float))
    return float(sigmoid(rows.logits).sum()) / clicks if clicks else None


def ratio_of_loops(rows: Rows) -> float | None:
    """Add up one row after the other."""
    predicted = sum(1 / (1 + math.exp(-logit)) for logit in rows.logits.tolist())
    clicks = sum(rows.labels.tolist())
    return predicted / clicks if clicks else None


CALIBRATION_RATIO = Metric(
    name="calibration_ratio",
    title="predicted / observed clicks",
    better="near 1",
    value=calibration_ratio,
    twin=ratio_of_loops,
)
