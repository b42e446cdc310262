"""Records on disk: shards, an index sorted by key, one positioned read and one checksum a fetch; or all on a device.

The index holds each record's shard, place, size and checksum, and the cache's manifest the index's SHA-256: a record
that was changed together with its own checksum is not the one that the index knows, and is refused.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lrea_cli.console.counts import counted
from lrea_cli.errors import UserError
from lrea_cli.records.format import CHECKSUM, DamagedRecord, Record, RecordFormat
from lrea_cli.records.past import UserRecords
from lrea_cli.sequence import Summary

LOAD_BATCH = 4096
SHARD_BYTES = 1 << 30
INDEX = "index.npy"
INDEX_DTYPE = np.dtype([("key", "<i8"), ("shard", "<i4"), ("size", "<i4"), ("offset", "<i8"), ("checksum", "<u8")])


class RecordWriter(AbstractContextManager["RecordWriter"]):
    """Appends records in an empty folder; where its block ends well, it writes the index."""

    def __init__(self, folder: Path, layout: RecordFormat) -> None:
        self.folder, self.layout = folder, layout
        self._index: list[tuple[int, int, int, int, int]] = []
        self._shard, self._offset = -1, SHARD_BYTES
        self._file = None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._file is not None:
            self._file.close()
        if kind is None:
            np.save(self.folder / INDEX, np.sort(np.array(self._index, INDEX_DTYPE), order="key"))

    @property
    def bytes(self) -> int:
        """Of all records so far."""
        return sum(size for _, _, size, _, _ in self._index)

    def add(self, keys: Sequence[int] | np.ndarray, records: UserRecords) -> None:
        """Append the records of a batch, with sealed summaries, under their keys."""
        for key, record in zip(keys, self.layout.records_of(records), strict=True):
            self.append(int(key), self.layout.pack(int(key), record))

    def append(self, key: int, blob: bytes) -> None:
        """Append the bytes of one record."""
        if self._file is None or self._offset + len(blob) > SHARD_BYTES:
            if self._file is not None:
                self._file.close()
            self._shard, self._offset = self._shard + 1, 0
            self._file = (self.folder / _shard_name(self._shard)).open("wb")
        self._file.write(blob)
        self._index.append((key, self._shard, len(blob), self._offset, *CHECKSUM.unpack(blob[-CHECKSUM.size :])))
        self._offset += len(blob)


class RecordStore(AbstractContextManager["RecordStore"]):
    """Reads single records of a `RecordWriter`, each verified.

    Raises:
        DamagedRecord: a shard is missing, or has another size than the index says.
    """

    def __init__(self, folder: Path, layout: RecordFormat, summary_type: type[Summary], remedy: str = "") -> None:
        self.folder, self.layout, self.summary_type, self.remedy = folder, layout, summary_type, remedy
        self.index = np.load(folder / INDEX)
        self.keys = np.ascontiguousarray(self.index["key"])
        self._files: list[int] = []
        try:
            for number in range(int(self.index["shard"].max(initial=-1)) + 1):
                self._files.append(self._open_shard(number))
        except DamagedRecord:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        for descriptor in self._files:
            os.close(descriptor)
        self._files = []

    def __contains__(self, key: int) -> bool:
        return _has(self.keys, key)

    def read(self, key: int) -> Record:
        """Fetch and verify one record; see `verified`."""
        return self.verified(key)[1]

    def verified(self, key: int) -> tuple[bytes, Record]:
        """The bytes of one record, and what they say.

        Raises:
            UserError: there is no record of this key.
            DamagedRecord: its bytes are not those that were written.
        """
        position = int(np.searchsorted(self.keys, key))
        if position == len(self.keys) or self.keys[position] != key:
            raise UserError(f"{self.folder} has no record of {key}.", "Make a cache of all users: lrea compress")
        _, shard, size, offset, checksum = self.index[position].item()
        blob = os.pread(self._files[shard], size, offset)
        where = str(self.folder / _shard_name(shard))
        record = self.layout.unpack(blob, key, where, self.remedy)
        if blob[-CHECKSUM.size :] != CHECKSUM.pack(checksum):
            raise DamagedRecord(f"{where}: the record of {key} was changed after it was written.", self.remedy)
        return blob, record

    def fetch(self, keys: Sequence[int] | np.ndarray) -> UserRecords:
        """The records of a batch of keys, on the CPU."""
        return self.layout.users(self.layout.stacked([self.read(int(k)) for k in keys]), self.summary_type)

    def _open_shard(self, number: int) -> int:
        """A descriptor of a shard that has the size that the index says."""
        path = self.folder / _shard_name(number)
        own = self.index[self.index["shard"] == number]
        size = int((own["offset"] + own["size"]).max())
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise DamagedRecord(f"{path} cannot be read: {error.strerror}.", self.remedy) from error
        if (present := os.fstat(descriptor).st_size) != size:
            os.close(descriptor)
            raise DamagedRecord(f"{path} has {counted(present, 'byte')}; {size:,} were written.", self.remedy)
        return descriptor


class ResidentRecords:
    """All records of a store in the memory of a device, read and verified once: what a GPU serves from."""

    def __init__(self, store: RecordStore, device: torch.device) -> None:
        self.keys, self.summary_type, self.device = store.keys, store.summary_type, device
        self.layout, self.remedy = store.layout, store.remedy
        fill = {column.name: column.fill for column in self.layout.columns}
        self._tensors: dict[str, Tensor] = {}
        for start in range(0, max(1, len(self.keys)), LOAD_BATCH):
            part = self.layout.stacked([store.read(int(k)) for k in self.keys[start : start + LOAD_BATCH]])
            for name, tensor in part.items():
                shape = (len(self.keys), *tensor.shape[1:])
                kept = self._tensors.get(name, tensor.new_empty(0, *shape[1:], device=device))
                if kept.shape[1:2] < shape[1:2] or not len(kept):
                    kept = self._tensors[name] = _widened(kept, shape, fill.get(name, 0))
                rows = kept[start : start + len(tensor)]
                (rows if tensor.dim() == 1 else rows[:, : tensor.shape[1]]).copy_(tensor)

    def __contains__(self, key: int) -> bool:
        return _has(self.keys, key)

    @property
    def everyone(self) -> UserRecords:
        """The records of all users in the order of `keys`; in the memory that they have, but for int8 ones."""
        return self.layout.users(self._tensors, self.summary_type)

    def positions(self, keys: Sequence[int] | np.ndarray) -> Tensor:
        """Where the records of a batch of keys lie in `everyone`: (B,) int64 on the device.

        Raises:
            UserError: one has no record.
        """
        position = np.searchsorted(self.keys, keys)
        if (position == len(self.keys)).any() or (self.keys[position] != keys).any():
            raise UserError("The cache has no record of one of these users.", "Make one of all users: lrea compress")
        return torch.from_numpy(position).to(self.device)

    def fetch(self, keys: Sequence[int] | np.ndarray) -> UserRecords:
        """The records of a batch of keys, on the device; a `UserError` where one has no record."""
        index = self.positions(keys)
        return self.layout.users({name: tensor[index] for name, tensor in self._tensors.items()}, self.summary_type)


Records = RecordStore | ResidentRecords


def records_on(store: RecordStore, device: torch.device) -> Records:
    """What a device serves from: a CPU from the store on disk, a GPU from its own memory."""
    return store if device.type == "cpu" else ResidentRecords(store, device)


def _has(keys: np.ndarray, key: int) -> bool:
    """Whether sorted keys have this one."""
    position = int(np.searchsorted(keys, key))
    return position < len(keys) and keys[position] == key


def _widened(tensor: Tensor, shape: tuple[int, ...], fill: int) -> Tensor:
    """The tensor with more room, `fill` where it had none."""
    wide = tensor.new_full(shape, fill)
    wide[tuple(slice(size) for size in tensor.shape)] = tensor
    return wide


def _shard_name(number: int) -> str:
    return f"records-{number:05d}.bin"
