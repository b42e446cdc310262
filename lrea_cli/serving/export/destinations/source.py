"""The records of a cache, to be written elsewhere: what every destination reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrea_cli.records.cache import Cache
from lrea_cli.records.store import RecordStore

BATCH = 1024
"""Records that are written at once."""
DESCRIPTION = "records.json"


@dataclass(frozen=True)
class Source:
    """The records of a cache, to be written elsewhere.

    Args:
        users: raw id of each dense number.
    """

    cache: Cache
    users: dict[int, str]

    @property
    def store(self) -> RecordStore:
        return self.cache.store

    def description(self) -> dict[str, Any]:
        """What a reader needs besides the bytes, as plain values."""
        manifest, layout = self.cache.manifest, self.store.layout
        columns = [{"name": c.name, "dtype": c.dtype, "shape": list(c.shape), "rows": c.rows} for c in layout.columns]
        return {
            "cache": manifest.cache,
            "run": manifest.run,
            "compressor": manifest.compressor,
            "as_of": manifest.as_of,
            "dtype": manifest.dtype,
            "users": len(self.store.keys),
            "counters": list(layout.counters),
            "sizes": list(layout.sizes),
            "columns": columns,
        }

    def batches(self) -> Iterator[np.ndarray]:
        """Keys of records, so many at once."""
        for start in range(0, len(self.store.keys), BATCH):
            yield self.store.keys[start : start + BATCH]
