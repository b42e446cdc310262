"""Match counters: how often a candidate's value of a field stands in the user's whole history before the request.

A missing value matches nothing: a candidate without a category counts no behavior, those without one included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lrea_cli.dataset.histories import Histories, concatenated
from lrea_cli.ids import FIRST_ID, same_value

if TYPE_CHECKING:
    from lrea_cli.dataset.samples import Samples

CHUNK_BEHAVIORS = 4_000_000
"""Behaviors compared at once, so that memory stays bounded for any split."""
TABLE_SIZE = 1 << 16
"""Values up to here are counted in a table with a place for each, which is then small; a request takes a fifth."""


def count_in_history(samples: Samples, histories: Histories, field: str) -> np.ndarray:
    """(rows,) how often the candidate's value of a field stands in the user's whole history before the request."""
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


def count_matches(histories: Histories, user: int, length: int, field: str, candidates: np.ndarray) -> np.ndarray:
    """The same for one user of whom `length` behaviors are known, and candidate values (N,); (N,) int64."""
    start = int(histories.offsets[user])
    seen = np.asarray(histories.columns[field][start : start + length])
    if not len(seen):
        return np.zeros(len(candidates), np.int64)
    largest = int(seen.max())
    if largest < TABLE_SIZE:
        counts = np.append(np.bincount(seen), 0)[np.minimum(candidates, largest + 1)]
    else:
        seen = np.sort(seen)
        counts = np.searchsorted(seen, candidates, "right") - np.searchsorted(seen, candidates, "left")
    return np.where(candidates >= FIRST_ID, counts, 0)
