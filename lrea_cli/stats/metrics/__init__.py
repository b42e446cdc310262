"""The metrics that `lrea eval`, its slices, `lrea compare` and `lrea sweep` show: a file each, and an entry here.

A test walks the list: fast = twin on odd rows, and a row in the table of `lrea eval`.
"""

from __future__ import annotations

from lrea_cli.stats.metrics.auc import AUC
from lrea_cli.stats.metrics.calibration_ratio import CALIBRATION_RATIO
from lrea_cli.stats.metrics.ece import ECE
from lrea_cli.stats.metrics.gauc import GAUC
from lrea_cli.stats.metrics.log_loss import LOG_LOSS
from lrea_cli.stats.metrics.metric import Metric, Rows
from lrea_cli.stats.metrics.normalized_entropy import NORMALIZED_ENTROPY

METRICS: tuple[Metric, ...] = (AUC, GAUC, LOG_LOSS, NORMALIZED_ENTROPY, CALIBRATION_RATIO, ECE)

__all__ = ["AUC", "GAUC", "METRICS", "Metric", "Rows"]
