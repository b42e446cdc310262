"""The store of histories: memory-mapped columns, an offset per user; stored once, samples point into it.

Every read goes through `Column`, which compares a block with its hash before the first number of it is seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from lrea_cli.dataset.column import Column
from lrea_cli.dataset.layout import HISTORIES, DatasetInfo
from lrea_cli.workspace.blocks import DatasetFiles

if TYPE_CHECKING:  # preparing reads histories, too, and needs no torch
    import torch

    from lrea_cli.sequence import HistoryIds


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

        def column(name: str) -> Column:
            return Column.map(files.blocks(f"{HISTORIES}/{name}.npy"))

        return cls(column("offsets"), column("time"), {name: column(name) for name in item_fields})

    @property
    def users(self) -> int:
        return len(self.offsets) - 1

    def release(self) -> None:
        """Let go of the pages that were read: they stay in the page cache, and are no memory of this process."""
        for column in (self.offsets, self.time, *self.columns.values()):
            column.release()

    def lengths_before(self, time: int) -> np.ndarray:
        """(users,) int64: how many behaviors each user has strictly before an instant (epoch seconds)."""
        before = np.zeros(len(self.time) + 1, np.int64)
        np.cumsum(np.asarray(self.time) < time, out=before[1:])
        return before[self.offsets[1:]] - before[self.offsets[:-1]]

    def known_at(self, users: np.ndarray, times: np.ndarray) -> np.ndarray:
        """(B,) int64: how many behaviors each user of a batch has strictly before an instant of its own.

        Args:
            users: (B,) dense user numbers. times: (B,) epoch seconds.
        """
        first = self.offsets[users]
        low, high = first, self.offsets[users + 1]
        while (low < high).any():
            middle = (low + high) // 2
            earlier = (low < high) & (self.time[np.minimum(middle, len(self.time) - 1)] < times)
            low, high = np.where(earlier, middle + 1, low), np.where(earlier, high, middle)
        return low - first

    def newest(self, users: np.ndarray, lengths: np.ndarray, skip: int, count: int) -> HistoryIds:
        """Of each user's first `lengths` behaviors, skip the newest `skip` and take up to `count`, newest first.

        Padded to the longest of the call; at least one column wide, so that no shape is ever empty.

        Args:
            users: (B,) dense user numbers. lengths: (B,) behaviors known at the request.
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


def concatenated(starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of ranges starts[i] .. starts[i] + lengths[i] - 1 one after another: the i of each place, and the place.

    Args:
        starts, lengths: (ranges,) whole numbers.

    Returns:
        two arrays of lengths.sum() numbers.
    """
    owner = np.repeat(np.arange(len(lengths)), lengths)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return owner, np.asarray(starts)[owner] + within


def open_histories(dataset: DatasetInfo) -> Histories:
    """The histories of a prepared dataset, with all its item fields."""
    return Histories.open(dataset.files, dataset.names_of("item"))


def _column(values: Column | np.ndarray) -> Column:
    return values if isinstance(values, Column) else Column(np.asarray(values))
