"""Normalized entropy: log loss over that of always predicting the click rate of the data (He et al. 2014)."""

from __future__ import annotations

import math

import numpy as np

from lrea_cli.stats.metrics.log_loss import log_loss, log_loss_of_loops
from lrea_cli.stats.metrics.metric import Metric, Rows


def normalized_entropy(rows: Rows) -> float | None:
    """NE = mean log loss / -(p log p + (1 - p) log(1 - p)), p the share of clicks; None where one class is missing."""
    base = float(rows.labels.mean(dtype=np.float64)) if len(rows.labels) else 0.0
    if not 0 < base < 1:
        return None
    return log_loss(rows.logits, rows.labels) / -(base * np.log(base) + (1 - base) * np.log1p(-base)).item()


def entropy_of_loops(rows: Rows) -> float | None:
    """The log loss of the model, and that of a model that says the click rate each time."""
    clicks, count = sum(rows.labels.tolist()), len(rows.labels)
    if clicks in (0, count):
        return None
    always = np.full(count, math.log(clicks / (count - clicks)))
    ours, constant = log_loss_of_loops(rows), log_loss_of_loops(Rows(always, rows.labels, rows.users))
    return None if ours is None or constant is None else ours / constant


NORMALIZED_ENTROPY = Metric(
    name="normalized_entropy",
    title="normalized entropy",
    better="lower",
    value=normalized_entropy,
    twin=entropy_of_loops,
    column="NE",
    digits=3,
)
