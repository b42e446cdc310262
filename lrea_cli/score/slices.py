"""Slices of a split that `lrea eval` measures apart: by length of the long part, by what is known of the candidate."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lrea_cli.dataset.counters import count_in_history
from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.samples import Samples
from lrea_cli.ids import UNKNOWN_ID
from lrea_cli.recipe.settings import DataSettings

LENGTHS = {"long 0": (0, 0), "long 1-64": (1, 64), "long 65-128": (65, 128), "long 129+": (129, np.inf)}
"""Behaviors in the long part, both ends included."""

Family = Mapping[str, np.ndarray]
"""Name of a slice -> (rows,) bool."""


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
