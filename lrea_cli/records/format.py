"""The bytes of one record: what a request reads of a user, and a checksum.

    int64 key | int32 history length | int32 rows | int32 values of each counter | columns | uint64 xxh3 of all before

The counters' sizes and each column are padded to 8 bytes, all numbers little-endian. `RecordFormat.columns` lists the
columns: first the method's fields, an int8 one followed by its scales, then the values and counts of each counter.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import torch
import xxhash
from torch import Tensor

from lrea_cli.errors import DamagedArtifact, LreaError
from lrea_cli.int8 import dequantized, quantized
from lrea_cli.methods.cost import ALIGNMENT
from lrea_cli.recipe.settings import CacheDtype
from lrea_cli.records.past import NO_VALUE, Past, UserRecords
from lrea_cli.sequence import RecordField, Summary

CHECKSUM = struct.Struct("<Q")
ROWS = "rows"
"""The size that the summary's own rows have."""


class DamagedRecord(DamagedArtifact):
    """A record's bytes are not those that were written."""


@dataclass(frozen=True)
class Column:
    """One array of a record.

    Args:
        shape: of a row. rows: a fixed number, or the name of a size that each record has.
        fill: stands past the rows of a record in a batch.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    rows: int | str
    fill: int = 0

    def count(self, sizes: Mapping[str, int]) -> int:
        """Rows in a record of such sizes."""
        return self.rows if isinstance(self.rows, int) else sizes[self.rows]


@dataclass(frozen=True)
class Record:
    """One record as arrays that share its bytes.

    Args:
        length: behaviors known when it was made.
        sizes: `rows` of the summary, and the number of values of each counter.
        arrays: by the name of the column.
    """

    length: int
    sizes: Mapping[str, int]
    arrays: Mapping[str, np.ndarray]

    @property
    def rows(self) -> int:
        return self.sizes[ROWS]


@dataclass(frozen=True)
class RecordFormat:
    """How the records of one method lie in bytes.

    Args:
        fields: of the summary. dtype: of the cache. counters: counted item fields.
    """

    fields: tuple[RecordField, ...]
    dtype: CacheDtype
    counters: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a manifest."""
        return {"dtype": self.dtype, "counters": list(self.counters), "fields": [asdict(f) for f in self.fields]}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> RecordFormat:
        """Back from a manifest."""
        fields = tuple(RecordField(**{**f, "shape": tuple(f["shape"])}) for f in content["fields"])
        return cls(fields, content["dtype"], tuple(content["counters"]))

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """In the order of the bytes."""
        columns = []
        for f in self.fields:
            stored = f.stored(self.dtype)
            columns.append(Column(f.name, stored, f.shape, f.rows))
            if stored == "int8":
                columns.append(Column(_scale(f.name), "float16", f.shape[:-1], f.rows))
        for name in self.counters:
            size = values_of(name)
            columns += [Column(size, "int32", (), size, NO_VALUE), Column(counts_of(name), "int32", (), size)]
        return tuple(columns)

    @cached_property
    def sizes(self) -> tuple[str, ...]:
        """The sizes that differ between records."""
        return (ROWS, *map(values_of, self.counters))

    def bytes_of(self, sizes: Mapping[str, int]) -> int:
        """Size of a record."""
        data = sum(_padded(prod((c.count(sizes), *c.shape)) * np.dtype(c.dtype).itemsize) for c in self.columns)
        return self._head.size + data + CHECKSUM.size

    def empty(self) -> Record:
        """The record of a user of whom nothing is known."""
        sizes = dict.fromkeys(self.sizes, 0)
        return Record(0, sizes, {c.name: np.zeros((c.count(sizes), *c.shape), c.dtype) for c in self.columns})

    def records_of(self, records: UserRecords) -> Iterator[Record]:
        """Each user's record of a batch of sealed summaries."""
        summary, past = records.summary, records.past
        arrays: dict[str, np.ndarray] = {}
        for f in self.fields:
            tensor = getattr(summary, f.name).detach()
            if f.stored(self.dtype) == "int8":
                tensor, scale = quantized(tensor)
                arrays[_scale(f.name)] = scale.cpu().numpy()
            arrays[f.name] = tensor.cpu().numpy()
        sizes = {ROWS: summary.rows.cpu().numpy()}
        for name in self.counters:
            arrays |= {values_of(name): past.values[name].numpy(), counts_of(name): past.counts[name].numpy()}
            sizes[values_of(name)] = (past.counts[name] > 0).sum(1).numpy()
        for position, length in enumerate(past.length.tolist()):
            of_user = {name: int(size[position]) for name, size in sizes.items()}
            yield Record(length, of_user, {name: array[position] for name, array in arrays.items()})

    def pack(self, key: int, record: Record) -> bytes:
        """Bytes of one record; each array holds at least the rows in use.

        Raises:
            LreaError: a value does not fit the dtype.
        """
        parts = [self._head.pack(key, record.length, *(record.sizes[name] for name in self.sizes))]
        for column in self.columns:
            with np.errstate(over="ignore"):
                used = np.ascontiguousarray(record.arrays[column.name][: column.count(record.sizes)], column.dtype)
            if not np.isfinite(used).all():
                raise LreaError(f"'{column.name}' of record {key} does not fit {self.dtype}.", "Use --dtype float32.")
            data = used.tobytes()
            parts += [data, bytes(-len(data) % ALIGNMENT)]
        body = b"".join(parts)
        return body + CHECKSUM.pack(xxhash.xxh3_64_intdigest(body))

    def unpack(self, blob: bytes, key: int, where: str, remedy: str = "") -> Record:
        """Verify and read one record.

        Raises:
            DamagedRecord: checksum, key or size is not as written.
        """
        checksum = CHECKSUM.pack(xxhash.xxh3_64_intdigest(memoryview(blob)[: -CHECKSUM.size]))
        if len(blob) < self._head.size + CHECKSUM.size or blob[-CHECKSUM.size :] != checksum:
            raise DamagedRecord(f"{where}: the record of {key} is damaged (checksum).", remedy)
        written, length, *counts = self._head.unpack_from(blob)
        sizes = dict(zip(self.sizes, counts, strict=True))
        if written != key or self.bytes_of(sizes) != len(blob):
            raise DamagedRecord(f"{where}: found the record of {written}, not of {key}.", remedy)
        offset, arrays = self._head.size, {}
        for column in self.columns:
            shape = (column.count(sizes), *column.shape)
            arrays[column.name] = np.frombuffer(blob, column.dtype, prod(shape), offset).reshape(shape)
            offset += _padded(arrays[column.name].nbytes)
        return Record(length, sizes, arrays)

    def stacked(self, records: Sequence[Record]) -> dict[str, Tensor]:
        """Each column of a batch (B, most rows, ..), `fill` past each record's rows, and `rows` and `length` (B,)."""
        tensors = {ROWS: torch.tensor([r.rows for r in records], dtype=torch.int64)}
        tensors["length"] = torch.tensor([r.length for r in records], dtype=torch.int64)
        for column in self.columns:
            arrays = [r.arrays[column.name] for r in records]
            most = max(1, *(len(a) for a in arrays)) if arrays else 1
            stacked = np.full((len(arrays), most, *column.shape), column.fill, column.dtype)
            for target, array in zip(stacked, arrays, strict=True):
                target[: len(array)] = array
            tensors[column.name] = torch.from_numpy(stacked)
        return tensors

    def users(self, stacked: Mapping[str, Tensor], summary_type: type[Summary]) -> UserRecords:
        """What `stacked` holds, as floats."""
        fields = {}
        for f in self.fields:
            fields[f.name] = stacked[f.name]
            if f.stored(self.dtype) == "int8":
                fields[f.name] = dequantized(stacked[f.name], stacked[_scale(f.name)])
        values = {name: stacked[values_of(name)] for name in self.counters}
        counts = {name: stacked[counts_of(name)] for name in self.counters}
        past = Past(stacked["length"], values, counts)
        return UserRecords(summary_type(rows=stacked[ROWS], **fields), past)

    @cached_property
    def _head(self) -> struct.Struct:
        sizes = len(self.sizes)
        return struct.Struct(f"<qi{sizes}i{-4 * (1 + sizes) % ALIGNMENT}x")


def values_of(counter: str) -> str:
    """The column of a counter's values, and the name of its size."""
    return f"{counter}_values"


def counts_of(counter: str) -> str:
    """The column of a counter's counts."""
    return f"{counter}_counts"


def _scale(field: str) -> str:
    return f"{field}_scale"


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
