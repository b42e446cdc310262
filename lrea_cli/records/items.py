"""The items that users clicked while a run was trained: what a compressor's codebook is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from lrea_cli.compressors.base import Items
from lrea_cli.dataset.histories import open_histories
from lrea_cli.dataset.layout import DatasetInfo
from lrea_cli.features import Features
from lrea_cli.sequence import Ids

MOST_ITEMS = 1 << 16
"""The most clicked ones; with them k-means takes the same time for a table of any size."""


@dataclass(frozen=True)
class ClickedIds:
    """Items as ids, (I,) for each item field, the most clicked first; clicks (I,) int64."""

    ids: Ids
    clicks: np.ndarray


def clicked_ids(dataset: DatasetInfo, most: int = MOST_ITEMS) -> ClickedIds:
    """Count the behaviors before the validation split of each item; its other fields are those of its last one.

    Reads every behavior once, part after part; memory grows with the item table, 16 bytes an item.
    """
    histories, end = open_histories(dataset), dataset.manifest.splits.valid_from
    size = next(field.size for field in dataset.manifest.fields if field.name == "item")
    clicks, last = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for part in histories.parts():
        before = np.flatnonzero(histories.time[part] < end)
        item = histories.columns["item"][part][before]
        clicks += np.bincount(item, minlength=size)
        last[item] = part.start + before
    order = np.argsort(-clicks, kind="stable")[:most]
    chosen = order[clicks[order] > 0]
    ids = {name: torch.from_numpy(np.array(column[last[chosen]])) for name, column in histories.columns.items()}
    return ClickedIds(ids, clicks[chosen])


def clicked_items(features: Features, dataset: DatasetInfo) -> Items:
    """The vectors of `clicked_ids`."""
    clicked, device = clicked_ids(dataset), next(features.parameters()).device
    with torch.inference_mode():
        vectors = features.item_vectors({name: column.to(device) for name, column in clicked.ids.items()})
    return Items(vectors, torch.from_numpy(clicked.clicks))
