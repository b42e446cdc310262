"""How well predicted click rates match observed ones: normalized entropy, ratio of clicks, expected calibration error.

Sources: He et al. 2014 (normalized entropy, "calibration"), Guo et al. 2017 (ECE).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lrea_cli.stats.metrics import log_loss

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Three numbers of one set of predictions; None where undefined.

    Args:
        normalized_entropy: mean log loss over the entropy of the base rate; 1 = no better than always predicting it.
        calibration_ratio: sum of predicted rates over observed clicks; 1 is right.
        ece: mean distance of predicted and observed rate over 10 bins of equal width, weighted by rows; 0 is right.
    """

    normalized_entropy: float | None
    calibration_ratio: float | None
    ece: float | None


def calibration(logits: np.ndarray, labels: np.ndarray) -> Calibration:
    """All three.

    Args:
        logits: (rows,). labels: (rows,) 0 or 1.
    """
    if not len(labels):
        return Calibration(None, None, None)
    rates, clicks = sigmoid(logits), float(labels.sum(dtype=np.float64))
    return Calibration(
        normalized_entropy=normalized_entropy(logits, labels),
        calibration_ratio=float(rates.sum()) / clicks if clicks else None,
        ece=expected_calibration_error(rates, labels),
    )


def normalized_entropy(logits: np.ndarray, labels: np.ndarray) -> float | None:
    """NE = mean log loss / -(p log p + (1 - p) log(1 - p)), p the share of clicks; None where one class is missing."""
    base = float(labels.mean(dtype=np.float64)) if len(labels) else 0.0
    if not 0 < base < 1:
        return None
    return log_loss(logits, labels) / -(base * np.log(base) + (1 - base) * np.log1p(-base)).item()


def expected_calibration_error(rates: np.ndarray, labels: np.ndarray) -> float:
    """ECE = sum_m |B_m| / n |mean of labels - mean of rates in B_m|, B_m = (m - 1, m] / 10; 0 falls in the first.

    Args:
        rates: (rows,) predicted, in [0, 1]. labels: (rows,) 0 or 1.
    """
    place = np.searchsorted(np.arange(1, BINS) / BINS, rates, side="left")
    gap = np.bincount(place, labels - rates.astype(np.float64), minlength=BINS)
    return float(np.abs(gap).sum() / len(rates))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) in float64, without overflow."""
    return np.exp(-np.logaddexp(0.0, -logits.astype(np.float64)))
