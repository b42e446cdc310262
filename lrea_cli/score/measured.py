"""Every metric of `METRICS` for both forms of the scores, and its keys in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lrea_cli.stats.bootstrap import estimate_of
from lrea_cli.stats.estimates import Interval
from lrea_cli.stats.metrics import METRICS, Metric, Rows


@dataclass(frozen=True)
class Measured:
    """A metric of the same rows in both forms; None where it is undefined.

    Args:
        trained, served: of either form.
        ci: 95% interval of the trained form; None also where the metric has no interval.
    """

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

    def interval(metric: Metric) -> Interval | None:
        return metric.slice_interval(trained) if metric.slice_interval else None

    return {m.name: Measured(m.value(trained), m.value(served), interval(m)) for m in METRICS}


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
