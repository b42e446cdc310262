"""The bytes of one record: key, rows, the tensors of a summary, a checksum.

int64 key | int32 rows | int32 0 | each field, padded to 8 bytes | uint64 xxh3 of everything before
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import numpy as np
import torch
import xxhash

from lrea_cli.errors import DamagedArtifact, LreaError
from lrea_cli.methods.cost import ALIGNMENT, record_bytes
from lrea_cli.records.manifest import CacheDtype
from lrea_cli.sequence import RecordField, Summary

CACHE_DTYPES: tuple[CacheDtype, ...] = ("float32", "float16")
HEADER = struct.Struct("<qii")
CHECKSUM = struct.Struct("<Q")


class DamagedRecord(DamagedArtifact):
    """A record's bytes are not those that were written."""


@dataclass(frozen=True)
class Record:
    """One summary as arrays that share the record's bytes, in the order of the format's fields."""

    rows: int
    arrays: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class RecordFormat:
    """How summaries of one method lie in bytes; `dtype` is that of the fields that have the cache's."""

    fields: tuple[RecordField, ...]
    dtype: CacheDtype

    @property
    def torch_dtype(self) -> torch.dtype:
        return getattr(torch, self.dtype)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a manifest."""
        return {"dtype": self.dtype, "fields": [asdict(f) for f in self.fields]}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> RecordFormat:
        """Back from a manifest."""
        fields = tuple(RecordField(**{**f, "shape": tuple(f["shape"])}) for f in content["fields"])
        return cls(fields, content["dtype"])

    def bytes_of(self, rows: int) -> int:
        """Size of a record with this many rows in use."""
        return record_bytes(self.fields, rows, self.torch_dtype.itemsize)

    def pack(self, key: int, rows: int, arrays: Sequence[np.ndarray]) -> bytes:
        """Bytes of one record; each array holds at least the rows in use.

        Raises:
            LreaError: a value does not fit the dtype.
        """
        parts = [HEADER.pack(key, rows, 0)]
        for field, array in zip(self.fields, arrays, strict=True):
            with np.errstate(over="ignore"):
                used = np.ascontiguousarray(array[: self._rows(field, rows)], dtype=self._dtype(field))
            if not np.isfinite(used).all():
                raise LreaError(f"'{field.name}' of record {key} does not fit {self.dtype}.", "Use --dtype float32.")
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
        if len(blob) < HEADER.size + CHECKSUM.size or blob[-CHECKSUM.size :] != checksum:
            raise DamagedRecord(f"{where}: the record of {key} is damaged (checksum).", remedy)
        written, rows, _ = HEADER.unpack_from(blob)
        if written != key or self.bytes_of(rows) != len(blob):
            raise DamagedRecord(f"{where}: found the record of {written}, not of {key}.", remedy)
        offset, arrays = HEADER.size, []
        for field in self.fields:
            shape = (self._rows(field, rows), *field.shape)
            array = np.frombuffer(blob, self._dtype(field), prod(shape), offset).reshape(shape)
            arrays.append(array)
            offset += array.nbytes + -array.nbytes % ALIGNMENT
        return Record(rows, tuple(arrays))

    def summary_of(self, records: Sequence[Record], summary_type: type[Summary]) -> Summary:
        """Stack records to a batch, zero past each one's rows."""
        rows = torch.tensor([r.rows for r in records], dtype=torch.int64)
        tensors = {}
        for position, field in enumerate(self.fields):
            arrays = [r.arrays[position] for r in records]
            most = max(1, *(len(a) for a in arrays)) if arrays else 1
            stacked = np.zeros((len(arrays), most, *field.shape), self._dtype(field))
            for target, array in zip(stacked, arrays, strict=True):
                target[: len(array)] = array
            tensors[field.name] = torch.from_numpy(stacked)
        return summary_type(rows=rows, **tensors)

    def _rows(self, field: RecordField, rows: int) -> int:
        return rows if field.rows == "rows" else field.rows

    def _dtype(self, field: RecordField) -> np.dtype:
        return np.dtype(self.dtype if field.dtype == "cache" else field.dtype)
