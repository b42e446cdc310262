"""Counters that need no model: how often a candidate, or its value of a field, was met before the request.

Match counters are inputs of every model. `COUNTERS` are the trivial baselines, of which `lrea prepare` and `lrea eval`
show the AUC: a new one is a function here and an entry there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from lrea_cli.dataset.column import concatenated
from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.samples import Samples
from lrea_cli.ids import FIRST_ID, same_value
from lrea_cli.stats.metrics.auc import auc

CHUNK_BEHAVIORS = 4_000_000
"""Behaviors compared at once, so that memory stays bounded for any split."""
PARTS = 64
"""The requests of a split are counted in so many parts: few behaviors of each user map most pages of the store."""


def count_in_history(samples: Samples, histories: Histories, field: str) -> np.ndarray:
    """(rows,) how often the candidate's value of a field stands in the user's whole history before the request.

    A missing value matches nothing: a candidate without a category counts no behavior, those without one included.
    """
    sizes = np.diff(samples.offsets)
    counts = np.zeros(samples.rows, np.int64)
    work = np.cumsum(samples.history_length * sizes)
    chunk = work // CHUNK_BEHAVIORS
    for requests in np.split(np.arange(samples.requests), np.flatnonzero(np.diff(chunk)) + 1):
        rows = np.arange(int(samples.offsets[requests[0]]), int(samples.offsets[requests[-1] + 1]))
        request = np.repeat(requests, sizes[requests])
        length = samples.history_length[request]
        start = histories.offsets[samples.user[request]]
        owner, index = concatenated(start, length)
        seen = histories.columns[field][index]
        equal = same_value(seen, samples.ids[field][rows][owner])
        counts[rows] = np.bincount(owner[equal], minlength=len(rows))
    return counts


@dataclass(frozen=True)
class TrivialCounter:
    """A score of every candidate that needs no model.

    Args:
        title: what is counted.
        values: (samples, histories, start of the valid split in epoch seconds) -> (rows,); None without the field.
    """

    title: str
    values: Callable[[Samples, Histories, int], np.ndarray | None]


def matches_by_parts(field: str, samples: Samples, histories: Histories, valid_from: int) -> np.ndarray | None:
    """`count_in_history` of a field, in parts; a missing value matches nothing (see `ids.same_value`)."""
    if field not in samples.ids:
        return None
    counts = []
    for part in np.array_split(np.arange(samples.requests), max(1, min(PARTS, samples.requests))):
        counts.append(count_in_history(samples.of_requests(part), histories, field))
        histories.release()
    return np.concatenate(counts)


def popularity(samples: Samples, histories: Histories, valid_from: int) -> np.ndarray:
    """Behaviors of all users on the candidate before the valid split; a missing item has none."""
    item = samples.ids["item"]
    counts = np.zeros(max(FIRST_ID, int(item.max(initial=0)) + 1), np.int64)
    for part in histories.parts():
        early = histories.columns["item"][part][histories.time[part] < valid_from]
        counts += np.bincount(early[early < len(counts)], minlength=len(counts))
    counts[:FIRST_ID] = 0
    return counts[item]


COUNTERS: dict[str, TrivialCounter] = {
    "category_count": TrivialCounter("behaviors in the candidate's category", partial(matches_by_parts, "category")),
    "item_count": TrivialCounter("behaviors on the candidate", partial(matches_by_parts, "item")),
    "popularity": TrivialCounter("behaviors of all users on the candidate", popularity),
}
"""By the key in JSON, in the order of all tables."""

Aucs = Mapping[str, float | None]
"""By the key of the counter."""


def trivial_aucs(samples: Samples, histories: Histories, valid_from: int) -> dict[str, float | None]:
    """AUC of each counter on a split; None where the dataset lacks its field, or where it is undefined."""
    values = {name: counter.values(samples, histories, valid_from) for name, counter in COUNTERS.items()}
    return {name: None if scores is None else auc(scores, samples.label) for name, scores in values.items()}


def strongest(aucs: Aucs) -> tuple[str, float]:
    """Key and AUC of the strongest counter."""
    known = {name: value for name, value in aucs.items() if value is not None}
    return max(known.items(), key=lambda pair: pair[1], default=("none", 0.5))
