"""What the rows of a split say: every metric of both forms, the gap between these, slices, and trivial baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.matches import count_in_history
from lrea_cli.dataset.samples import Samples
from lrea_cli.ids import FIRST_ID, UNKNOWN_ID
from lrea_cli.recipe.settings import DataSettings
from lrea_cli.stats.bootstrap import auc_difference, estimate_of
from lrea_cli.stats.estimates import Interval, deviation
from lrea_cli.stats.metrics import METRICS, Rows
from lrea_cli.stats.metrics.auc import auc

LENGTHS = {"long 0": (0, 0), "long 1-64": (1, 64), "long 65-128": (65, 128), "long 129+": (129, np.inf)}
"""Behaviors in the long part, both ends included."""

Family = Mapping[str, np.ndarray]
"""Name of a slice -> (rows,) bool."""


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


def slice_masks(
    samples: Samples, histories: Histories, item_size: int, settings: DataSettings, rank: int | None = None
) -> dict[str, Family]:
    """Families of slices; but for "rank" each is a partition of the rows.

    Args:
        item_size: ids that the model has learnt.
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


@dataclass(frozen=True)
class Baselines:
    """AUC of three counters; a missing value matches nothing (see `ids.same_value`), so its counters are zero.

    Args:
        category_count: behaviors in the candidate's category before the request; None without categories.
        item_count: behaviors on the candidate itself before the request.
        popularity: behaviors of all users on the candidate before the valid split.
    """

    category_count: float | None
    item_count: float | None
    popularity: float | None

    def best(self) -> tuple[str, float]:
        """Name and AUC of the strongest."""
        known = {name: value for name, value in vars(self).items() if value is not None}
        return max(known.items(), key=lambda pair: pair[1], default=("none", 0.5))


def trivial_baselines(samples: Samples, histories: Histories, valid_from: int) -> Baselines:
    """Score a split with each counter; popularity counts nothing from `valid_from` on, epoch seconds."""

    def counter(name: str) -> float | None:
        return auc(count_in_history(samples, histories, name), samples.label)

    early = np.asarray(histories.columns["item"])[np.asarray(histories.time) < valid_from]
    item = samples.ids["item"]
    popularity = np.bincount(early, minlength=max(FIRST_ID, int(item.max(initial=0)) + 1))
    popularity[:FIRST_ID] = 0
    return Baselines(
        category_count=counter("category") if "category" in samples.ids else None,
        item_count=counter("item"),
        popularity=auc(popularity[item], samples.label),
    )
