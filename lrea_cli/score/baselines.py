"""Trivial baselines: counters that a model must beat before its numbers mean anything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lrea_cli.dataset.histories import Histories, count_in_history
from lrea_cli.dataset.samples import Samples
from lrea_cli.ids import FIRST_ID
from lrea_cli.stats.metrics.auc import auc


@dataclass(frozen=True)
class Baselines:
    """AUC of three counters.

    Args:
        category_count: behaviors in the candidate's category before the request; None without categories.
        item_count: behaviors on the candidate itself before the request.
        popularity: behaviors of all users on the candidate before the valid split.

    A missing value matches nothing (see `ids.same_value`): its counters are zero.
    """

    category_count: float | None
    item_count: float | None
    popularity: float | None

    def best(self) -> tuple[str, float]:
        """Name and AUC of the strongest."""
        known = {name: value for name, value in vars(self).items() if value is not None}
        return max(known.items(), key=lambda pair: pair[1], default=("none", 0.5))


def trivial_baselines(samples: Samples, histories: Histories, valid_from: int) -> Baselines:
    """Score a split with each counter.

    Args:
        samples: the split. histories: of the same dataset.
        valid_from: epoch seconds; popularity counts nothing from then on.
    """

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
