"""The store of histories: memory-mapped columns, an offset per user; stored once, samples point into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from lrea_cli.dataset.column import Column
from lrea_cli.dataset.layout import HISTORIES, DatasetInfo
from lrea_cli.workspace.blocks import DatasetFiles

if TYPE_CHECKING:  # preparing reads histories, too, and needs no torch
    import torch

    from lrea_cli.sequence import HistoryIds

PART = 1 << 20
"""Behaviors that are read before their pages are let go of."""


class Histories:
    """All histories as columns; user u's behaviors are rows offsets[u] : offsets[u + 1], oldest first.

    Args:
        offsets: (users + 1,) int64. time: (behaviors,) int64 epoch seconds.
        columns: for each item field (behaviors,) int32 ids. Arrays in memory become columns, too.
    """

    def __init__(
        self, offsets: Column | np.ndarray, time: Column | np.ndarray, columns: Mapping[str, Column | np.ndarray]
    ) -> None:
        self.offsets, self.time = _column(offsets), _column(time)
        self.columns = {name: _column(column) for name, column in columns.items()}

    @classmethod
    def open(cls, files: DatasetFiles, item_fields: Sequence[str]) -> Self:
        """Map a dataset's `histories/` (see `layout.py`) read-only; reads nothing but the first block of each file.

        Raises:
            DamagedArtifact: one of these blocks is not as it was written; later, wherever such a block is touched.
        """
        names = ("offsets", "time", *item_fields)
        offsets, time, *columns = (Column.map(files.blocks(f"{HISTORIES}/{name}.npy")) for name in names)
        return cls(offsets, time, dict(zip(item_fields, columns, strict=True)))

    @property
    def users(self) -> int:
        return len(self.offsets) - 1

    def release(self) -> None:
        """See `Blocks.release`."""
        for column in (self.offsets, self.time, *self.columns.values()):
            column.release()

    def parts(self) -> Iterator[slice]:
        """All behaviors, part after part; the pages of each part are let go of behind it."""
        total = len(self.time)
        for start in range(0, total, PART):
            yield slice(start, min(start + PART, total))
            self.release()

    def lengths_before(self, time: int) -> np.ndarray:
        """(users,) int64: how many behaviors each user has strictly before an instant (epoch seconds)."""
        before = np.zeros(len(self.time) + 1, np.int64)
        np.cumsum(np.asarray(self.time) < time, out=before[1:])
        return before[self.offsets[1:]] - before[self.offsets[:-1]]

    def known_at(self, users: np.ndarray, times: np.ndarray) -> np.ndarray:
        """(B,) int64: how many behaviors each of these users (B,) has strictly before its instant (B,)."""
        first = self.offsets[users]
        low, high = first, self.offsets[users + 1]
        while (low < high).any():
            middle = (low + high) // 2
            earlier = (low < high) & (self.time[np.minimum(middle, len(self.time) - 1)] < times)
            low, high = np.where(earlier, middle + 1, low), np.where(earlier, high, middle)
        return low - first

    def newest(self, users: np.ndarray, lengths: np.ndarray, skip: int, count: int) -> HistoryIds:
        """Of the first `lengths` (B,) behaviors of users (B,), skip the newest `skip` and take `count`, newest first.

        Padded to the longest of the call; at least one column wide, so that no shape is ever empty.
        """
        import torch

        from lrea_cli.sequence import HistoryIds

        kept = np.clip(lengths - skip, 0, count)
        steps = np.arange(max(1, int(kept.max(initial=0))))
        mask = steps < kept[:, None]
        last = self.offsets[users] + lengths - skip - 1
        index = np.where(mask, last[:, None] - steps, 0)

        def tensor(column: Column) -> torch.Tensor:
            return torch.from_numpy(column.windows(last, kept, index, mask))

        ids = {name: tensor(column) for name, column in self.columns.items()}
        return HistoryIds(ids, torch.from_numpy(mask), tensor(self.time))


def open_histories(dataset: DatasetInfo) -> Histories:
    """The histories of a prepared dataset, with all its item fields."""
    return Histories.open(dataset.files, dataset.names_of("item"))


def _column(values: Column | np.ndarray) -> Column:
    return values if isinstance(values, Column) else Column(np.asarray(values))
