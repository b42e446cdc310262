"""Histories to records: a summary in float64, sealed in the dtype of the records, written by the store's own writer."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from lrea_cli.compressors import COMPRESSORS, Compressor
from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.layout import DatasetInfo
from lrea_cli.dataset.samples import read_samples
from lrea_cli.errors import UserError
from lrea_cli.features import Features
from lrea_cli.model import CTRModel
from lrea_cli.recipe.settings import CacheDtype, Compression, DataSettings
from lrea_cli.records.format import RecordFormat
from lrea_cli.records.items import clicked_items
from lrea_cli.records.past import UserRecords, past_of
from lrea_cli.records.store import RecordStore, RecordWriter
from lrea_cli.runs.checkpoint import Run
from lrea_cli.sequence import Behaviors, Ids, Summary

Summarizer = Callable[[Behaviors, np.ndarray], Summary]
"""(long sequences of B users, (B,) their dense numbers) -> their compressed summaries in float64, not sealed yet."""


@dataclass(frozen=True)
class Known:
    """What a record may know of B users: the first `lengths` (B,) behaviors of each of `users` (B,)."""

    histories: Histories
    users: np.ndarray
    lengths: np.ndarray


def layout_of(model: CTRModel, dtype: CacheDtype) -> RecordFormat:
    """How the records of a model's users lie in bytes."""
    return RecordFormat(model.long.record, dtype, model.match_counters)


SHARED_PROBES = 24
"""Training candidates on which compressors try their rows."""


@dataclass(frozen=True)
class RecordMaker:
    """Makes the records of a model's users, on the model's device.

    Args:
        compress: a compressor of full attention; None = the model's own method makes its records.
    """

    model: CTRModel
    settings: DataSettings
    dtype: CacheDtype = "float32"
    compress: Summarizer | None = None

    @classmethod
    def of(cls, run: Run, compression: Compression | None = None, dtype: CacheDtype = "float32") -> RecordMaker:
        """What makes the records of a run: its method, or a compressor; see `summarizer_of`."""
        return cls(run.model, run.recipe.data, dtype, compression and compressor_of(run, compression))

    @property
    def layout(self) -> RecordFormat:
        """How the records lie in bytes."""
        return layout_of(self.model, self.dtype)

    def write(self, writer: RecordWriter, keys: np.ndarray, known: Known) -> np.ndarray:
        """Append the records of B users under their keys (B,); return (B,) the rows in use of each record."""
        records = self.make(known)
        writer.add(keys, records)
        return records.summary.rows.cpu().numpy()

    def make(self, known: Known) -> UserRecords:
        """The records of B users in memory, sealed; int8 is rounded to as they are packed."""
        short, long = self.settings.short, self.settings.long
        behaviors = known.histories.newest(known.users, known.lengths, short, long).to(self.model.device)
        sealed = self.summarize(self.model.features.behaviors(behaviors), known.users)
        past = past_of(known.histories, known.users, known.lengths, self.model.match_counters)
        return UserRecords(sealed, past)

    def summarize(self, behaviors: Behaviors, users: np.ndarray) -> Summary:
        """The sealed summaries of B long histories, whose dense numbers are `users` (B,)."""
        if self.compress is None:
            return self.model.long.recorded(behaviors, self.dtype)
        return self.model.long.seal(self.compress(behaviors, users), self.dtype)

    @contextmanager
    def store(self, keys: np.ndarray, known: Known) -> Iterator[RecordStore]:
        """The records of a batch of users on disk, gone when the block ends; the arguments are those of `write`."""
        with tempfile.TemporaryDirectory(prefix="lrea-records-") as folder:
            with RecordWriter(Path(folder), self.layout) as writer:
                if len(keys):
                    self.write(writer, keys, known)
            with RecordStore(Path(folder), self.layout, self.model.long.summary_type) as store:
                yield store


def compressor_of(run: Run, compression: Compression, probes_TD: Tensor | None = None) -> Compressor:
    """What compresses the histories of a run's users: a compressor over its attention.

    Args:
        compression: of a din run.
        probes_TD: `shared_probes` of the compression's seed; None = read from the train split.

    Raises:
        UserError: the run is not a `din`.
    """
    method = run.recipe.model.method
    if method != "din":
        raise UserError(
            f"The run '{run.name}' is a '{method}'; compressors work on full attention.",
            "Train one with: lrea train --method din",
        )
    made = _SHARED.setdefault(run.model, {})
    if compression in made:
        return made[compression]
    if probes_TD is None:
        probes_TD = shared_probes(run.model.features, run.dataset, compression.seed)
    make = COMPRESSORS[compression.compressor]
    items = clicked_items(run.model.features, run.dataset) if make.reads_items else None
    compressor = make(run.model.full_attention, compression.rank, compression.seed, probes_TD, items)
    if make.reads_items:
        made[compression] = compressor
    return compressor


_SHARED: WeakKeyDictionary[CTRModel, dict[Compression, Compressor]] = WeakKeyDictionary()
"""Compressors whose codebook is made of all items: made once for a loaded run."""


def shared_probes(features: Features, dataset: DatasetInfo, seed: int) -> Tensor:
    """(T, D) vectors of training candidates, drawn as often as they were shown."""
    device = next(features.parameters()).device
    with torch.inference_mode():
        return features.item_vectors({name: c.to(device) for name, c in probe_ids(dataset, seed).items()})


def probe_ids(dataset: DatasetInfo, seed: int) -> Ids:
    """The probes as ids: for each item field (T,)."""
    samples = read_samples(dataset, "train")
    rows = np.random.default_rng(seed).integers(samples.rows, size=SHARED_PROBES)
    return {name: torch.from_numpy(column[rows]) for name, column in samples.ids.items()}
