"""Histories to records: a summary in float64, sealed in the dtype of the records, written by the store's own writer."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lrea_cli.model import CTRModel
from lrea_cli.recipe.settings import Compression
from lrea_cli.records.format import CacheDtype, RecordFormat
from lrea_cli.records.store import RecordStore, RecordWriter
from lrea_cli.records.summarizer import Summarizer, summarizer_of
from lrea_cli.runs.checkpoint import Run
from lrea_cli.sequence import HistoryIds


@dataclass(frozen=True)
class RecordMaker:
    """Makes the records of a model's users, on the model's device."""

    model: CTRModel
    summarize: Summarizer
    dtype: CacheDtype = "float32"

    @classmethod
    def of(cls, run: Run, compression: Compression | None = None, dtype: CacheDtype = "float32") -> RecordMaker:
        """What makes the records of a run: its method, or a compressor; see `summarizer_of`."""
        return cls(run.model, summarizer_of(run, compression), dtype)

    @property
    def layout(self) -> RecordFormat:
        """How the records lie in bytes."""
        return RecordFormat(self.model.long.record, self.dtype)

    def write(
        self, writer: RecordWriter, keys: Sequence[int] | np.ndarray, users: np.ndarray, long: HistoryIds
    ) -> np.ndarray:
        """Append the records of a batch of long sequences.

        Args:
            keys: (B,) of the records.
            users: (B,) whose sequences they are.

        Returns:
            (B,) rows in use of each record.
        """
        summary = self.summarize(self.model.features.behaviors(long.to(self.model.device)), users)
        sealed = self.model.long.seal(summary, self.layout.torch_dtype)
        writer.add(keys, sealed)
        return sealed.rows.cpu().numpy()

    @contextmanager
    def store(self, keys: np.ndarray, users: np.ndarray, long: HistoryIds) -> Iterator[RecordStore]:
        """The records of a batch of histories on disk, gone when the block ends; the arguments are those of `write`."""
        with tempfile.TemporaryDirectory(prefix="lrea-records-") as folder:
            with RecordWriter(Path(folder), self.layout) as writer:
                if len(keys):
                    self.write(writer, keys, users, long)
            with RecordStore(Path(folder), self.layout, self.model.long.summary_type) as store:
                yield store
