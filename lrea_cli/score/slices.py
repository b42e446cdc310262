"""Slices of a split: by length of the long part, candidates seen before or not, items known or unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.matches import count_in_history
from lrea_cli.dataset.samples import Samples
from lrea_cli.ids import UNKNOWN_ID
from lrea_cli.recipe.settings import DataSettings
from lrea_cli.stats.calibration import calibration
from lrea_cli.stats.delong import delong
from lrea_cli.stats.estimates import Interval
from lrea_cli.stats.metrics import auc, gauc, log_loss

LENGTHS = {"long 0": (0, 0), "long 1-64": (1, 64), "long 65-128": (65, 128), "long 129+": (129, np.inf)}
"""Behaviors in the long part, both ends included."""

Family = Mapping[str, np.ndarray]
"""Name of a slice -> (rows,) bool."""


@dataclass(frozen=True)
class SliceMetrics:
    """Numbers of the rows of one slice, of the trained form but for `auc_cached`; None where undefined.

    Args:
        auc_ci: 95% by DeLong's standard error, clustered by user. gauc: in the groups of the evaluation.
    """

    rows: int
    auc: float | None
    auc_ci: Interval | None
    auc_cached: float | None
    gauc: float | None
    log_loss: float | None
    normalized_entropy: float | None
    calibration_ratio: float | None


def slice_masks(
    samples: Samples, histories: Histories, item_size: int, settings: DataSettings, rank: int | None = None
) -> dict[str, Family]:
    """Families of slices; but for "rank" each is a partition of the rows.

    Args:
        samples, histories: of one dataset. item_size: ids that the model has learnt. settings: S and L.
        rank: pseudo items of the method; None = it has none, and there is no family "rank".
    """
    long = np.clip(samples.history_length - settings.short, 0, settings.long)[samples.row_request]
    seen = count_in_history(samples, histories, "item") > 0
    item = samples.ids["item"]
    unknown = (item >= item_size) | (item == UNKNOWN_ID)
    families: dict[str, Family] = {
        "long": {name: (long >= low) & (long <= high) for name, (low, high) in LENGTHS.items()},
        "candidate": {"candidate seen before": seen, "candidate not seen": ~seen},
        "item": {"item known": ~unknown, "item unknown": unknown},
    }
    return families if rank is None else {**families, "rank": {"long above rank": long > rank}}


def measure_slice(
    trained: np.ndarray, served: np.ndarray, labels: np.ndarray, groups: np.ndarray, users: np.ndarray
) -> SliceMetrics:
    """The numbers of one slice.

    Args:
        trained, served: (rows,) logits. labels, groups, users: (rows,). There may be no rows.
    """
    fit = calibration(trained, labels)
    return SliceMetrics(
        rows=len(labels),
        auc=auc(trained, labels),
        auc_ci=_interval(trained, labels, users),
        auc_cached=auc(served, labels),
        gauc=gauc(trained, labels, groups).value,
        log_loss=log_loss(trained, labels) if len(labels) else None,
        normalized_entropy=fit.normalized_entropy,
        calibration_ratio=fit.calibration_ratio,
    )


def _interval(scores: np.ndarray, labels: np.ndarray, users: np.ndarray) -> Interval | None:
    aucs, covariance = delong([scores], labels, users)
    middle, reach = float(aucs[0]), 1.959964 * float(np.sqrt(covariance[0, 0]))
    return (max(0.0, middle - reach), min(1.0, middle + reach)) if np.isfinite(reach) else None
