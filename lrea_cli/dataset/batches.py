"""Batches of a split: requests sorted by history length inside shuffled windows, padded to the longest in the batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lrea_cli.dataset.counters import count_in_history
from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.samples import Samples
from lrea_cli.recipe.settings import DataSettings

if TYPE_CHECKING:  # preparing reads samples, too, and needs no torch
    import torch

    from lrea_cli.sequence import Batch

WINDOW_BATCHES = 32
"""Requests are sorted by length among this many batches: nearly no padding, while batches stay random."""


@dataclass(frozen=True)
class BatchReader:
    """Makes batches of one split, of about `batch_size` rows (samples)."""

    samples: Samples
    histories: Histories
    settings: DataSettings
    batch_size: int

    @cached_property
    def matches(self) -> dict[str, np.ndarray]:
        """For each counted field (rows,): matches in the whole history before the request."""
        counted = [name for name in self.settings.match_counters if name in self.samples.ids]
        return {name: count_in_history(self.samples, self.histories, name) for name in counted}

    def batches(self, seed: Sequence[int] | None = None) -> Iterator[Batch]:
        """Every request once, in an order that the seed decides; None = that depends on nothing but the split."""
        for window in self._plan(None if seed is None else np.random.default_rng(seed)):
            yield from map(self.batch, window)

    def batch(self, requests: np.ndarray) -> Batch:
        """The batch of the given requests."""
        import torch

        from lrea_cli.sequence import Batch, CandidateIds

        samples, settings = self.samples, self.settings
        user, length = samples.user[requests], samples.history_length[requests]
        sizes = np.diff(samples.offsets)[requests]
        steps = np.arange(sizes.max())
        mask = steps < sizes[:, None]
        row = np.where(mask, samples.offsets[requests][:, None] + steps, -1)
        candidates = CandidateIds(
            ids={name: _rows(column, row, mask) for name, column in samples.ids.items()},
            profile={name: _rows(column, row, mask) for name, column in samples.profile.items()},
            mask=torch.from_numpy(mask),
            time=torch.from_numpy(samples.time[requests]),
            matches={name: _rows(column, row, mask) for name, column in self.matches.items()},
        )
        return Batch(
            short=self.histories.newest(user, length, 0, settings.short),
            long=self.histories.newest(user, length, settings.short, settings.long),
            candidates=candidates,
            history_length=torch.from_numpy(length),
            label=_rows(samples.label, row, mask),
            row=torch.from_numpy(row),
            request=torch.from_numpy(requests),
        )

    def _plan(self, rng: np.random.Generator | None) -> Iterator[list[np.ndarray]]:
        """Windows of batches of request numbers."""
        samples = self.samples
        order = np.arange(samples.requests) if rng is None else rng.permutation(samples.requests)
        rows = np.cumsum(np.diff(samples.offsets)[order])
        window_of = _even_parts(rows, self.batch_size * WINDOW_BATCHES)
        read = np.minimum(samples.history_length, self.settings.short + self.settings.long)
        for window in np.split(order, np.flatnonzero(np.diff(window_of)) + 1):
            window = window[np.argsort(read[window], kind="stable")]
            part_of = _even_parts(np.cumsum(np.diff(samples.offsets)[window]), self.batch_size)
            batches = np.split(window, np.flatnonzero(np.diff(part_of)) + 1)
            if rng is not None:
                batches = _without_single_rows(batches, np.diff(samples.offsets))
                rng.shuffle(batches)
            yield batches


def _even_parts(rows: np.ndarray, size: int) -> np.ndarray:
    """For cumulative row counts, the number of the part that each belongs to; parts are even, so none is tiny."""
    parts = max(1, round(int(rows[-1]) / size))
    return (rows - 1) * parts // int(rows[-1])


def _without_single_rows(batches: list[np.ndarray], sizes: np.ndarray) -> list[np.ndarray]:
    """Join a batch of one row to the one before it, or after the first: BatchNorm cannot learn from a single row."""
    joined: list[np.ndarray] = []
    for batch in batches:
        if joined and min(sizes[batch].sum(), sizes[joined[-1]].sum()) < 2:
            joined[-1] = np.concatenate([joined[-1], batch])
        else:
            joined.append(batch)
    return joined


def _rows(column: np.ndarray, row: np.ndarray, mask: np.ndarray) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.where(mask, column[row], np.zeros(1, column.dtype)))
