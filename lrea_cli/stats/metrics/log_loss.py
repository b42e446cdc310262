"""Log loss: what training minimizes (the LREA paper, Eq. 2)."""

from __future__ import annotations

import math

import numpy as np

from lrea_cli.stats.metrics.metric import Metric, Rows


def log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean of -y log p - (1 - y) log(1 - p), p = sigmoid(logit).

    Args:
        logits: (rows,), one or more.
        labels: (rows,) 0 or 1.
    """
    logits = logits.astype(np.float64)
    return float(np.mean(np.logaddexp(0.0, logits) - labels * logits))


def log_loss_of_loops(rows: Rows) -> float | None:
    """Add up -log of the probability that each row's label had: of a click it is 1 / (1 + exp(-logit))."""
    pairs = zip(rows.logits.tolist(), rows.labels.tolist(), strict=True)
    losses = [math.log(1 + math.exp(-logit if label else logit)) for logit, label in pairs]
    return sum(losses) / len(losses) if losses else None


LOG_LOSS = Metric(
    name="log_loss",
    title="log loss",
    better="lower",
    value=lambda rows: log_loss(rows.logits, rows.labels) if len(rows.labels) else None,
    twin=log_loss_of_loops,
)
