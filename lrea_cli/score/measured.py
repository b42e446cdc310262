"""What scored rows say: every metric of both forms, as trained and as served, and the gap between these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrea_cli.stats.bootstrap import auc_difference, estimate_of
from lrea_cli.stats.estimates import Interval, deviation
from lrea_cli.stats.metrics import METRICS, Rows


@dataclass(frozen=True)
class Measured:
    """A metric of the same rows in both forms, and the 95% interval of the trained one; None where undefined."""

    trained: float | None
    served: float | None
    ci: Interval | None = None


Measures = dict[str, Measured]
"""By the name of the metric."""


def measure_rows(trained: Rows, served: Rows) -> Measures:
    """Every metric, with the intervals that a bootstrap over users gives."""
    return {m.name: Measured(m.value(trained), m.value(served), estimate_of(m, trained).ci) for m in METRICS}


def measure_slice(trained: Rows, served: Rows) -> Measures:
    """Every metric of a slice, with those intervals that cost no draws. There may be no rows."""
    cis = {m.name: m.slice_interval(trained) if m.slice_interval else None for m in METRICS}
    return {m.name: Measured(m.value(trained), m.value(served), cis[m.name]) for m in METRICS}


def as_keys(measures: Measures) -> dict[str, Any]:
    """`auc`, `auc_cached`, and `auc_ci` where the metric can have an interval; so for each metric."""
    keys: dict[str, Any] = {}
    for metric in METRICS:
        measured = measures[metric.name]
        keys |= {metric.name: measured.trained, f"{metric.name}_cached": measured.served}
        if metric.statistic is not None:
            keys[f"{metric.name}_ci"] = measured.ci
    return keys


def from_keys(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`Measures` in plain values, from JSON; a key that an older version did not write is None."""
    ends = {"trained": "", "served": "_cached", "ci": "_ci"}
    return {m.name: {form: content.get(m.name + end) for form, end in ends.items()} for m in METRICS}


@dataclass(frozen=True)
class AbsorptionGap:
    """What changes when the trained form is replaced by the served one.

    Args:
        auc: auc_cached - auc; `ci`: its 95% interval, paired.
        rms_logit: root mean square of the logit's change.
        rms_over_sd: over the standard deviation of the trained logits; None where those are constant.
    """

    auc: float | None
    ci: Interval | None
    rms_logit: float
    rms_over_sd: float | None


def absorption_gap(trained: Rows, served: Rows) -> AbsorptionGap:
    """The gap between the scores of the same rows in both forms."""
    paired = auc_difference(trained.logits, served.logits, trained.labels, trained.users)
    rms = float(np.sqrt(np.mean((served.logits - trained.logits) ** 2)))
    return AbsorptionGap(paired.value, paired.ci, rms, deviation(trained.logits, served.logits))
