"""All records of a cache in one device's memory, gathered by user: what a GPU serves from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from lrea_cli.errors import UserError
from lrea_cli.records.store import RecordStore
from lrea_cli.sequence import Summary

LOAD_BATCH = 4096


class ResidentRecords:
    """The same `fetch` as that of the store on disk, whose records are read and verified once: a tensor a field."""

    def __init__(self, store: RecordStore, device: torch.device) -> None:
        self.keys, self.summary_type, self.device = store.keys, store.summary_type, device
        self.layout, self.remedy = store.layout, store.remedy
        users, layout = len(store.keys), store.layout
        most = store.read(int(store.keys[store.index["size"].argmax()])).rows if users else 0
        self._tensors = {
            f.name: torch.zeros(
                users,
                max(1, most) if f.rows == "rows" else f.rows,
                *f.shape,
                dtype=layout.torch_dtype if f.dtype == "cache" else getattr(torch, f.dtype),
                device=device,
            )
            for f in layout.fields
        }
        self._tensors["rows"] = torch.zeros(users, dtype=torch.int64, device=device)
        for start in range(0, users, LOAD_BATCH):
            part = store.fetch(store.keys[start : start + LOAD_BATCH])
            for name, target in self._tensors.items():
                tensor = getattr(part, name)
                target = target[start : start + len(tensor)]
                (target if name == "rows" else target[:, : tensor.shape[1]]).copy_(tensor)

    def fetch(self, keys: Sequence[int] | np.ndarray) -> Summary:
        """The summaries of a batch of keys, on the device; a `UserError` where one has no record."""
        position = np.searchsorted(self.keys, keys)
        if (position == len(self.keys)).any() or (self.keys[position] != keys).any():
            raise UserError("The cache has no record of one of these users.", "Make one of all users: lrea compress")
        index = torch.from_numpy(position).to(self.device)
        return self.summary_type(**{name: tensor[index] for name, tensor in self._tensors.items()})


Records = RecordStore | ResidentRecords
"""Where summaries come from: the disk, or the memory of a device."""


def records_on(store: RecordStore, device: torch.device) -> Records:
    """Where a device serves from: the store itself on a CPU, the memory of a GPU."""
    return store if device.type == "cpu" else ResidentRecords(store, device)
