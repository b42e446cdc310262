"""Slow twins of what is served: a user's record and the interest that it gives, from checkpoint and raw history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from safetensors.numpy import load_file

from lrea_cli.compressors import COMPRESSORS
from lrea_cli.methods import METHODS
from lrea_cli.oracle import compressors as reference_compressors
from lrea_cli.oracle.attention import Long, Record, ReferenceModel, SlowTwin, Target
from lrea_cli.oracle.compressors import Inputs, Rows
from lrea_cli.recipe.settings import Compression
from lrea_cli.records.maker import SHARED_PROBES, probe_ids
from lrea_cli.runs.checkpoint import Run


@dataclass(frozen=True)
class SlowCompressor(SlowTwin):
    """Of a compressor, with the probes (T, D) as the reference embeds them."""

    compression: Compression
    probes: np.ndarray

    def record(self, long: Long, user: int) -> Record:
        made, E = self.compression, long.vectors
        by = Inputs(made.rank, made.seed, user, self.probes, self.model.scorer("long"))
        return vars(COMPRESSORS[made.compressor].slow_twin(E, by) if len(E) else Rows(E, E))

    def interest(self, target: Target, long: Long, record: Record) -> np.ndarray:
        return reference_compressors.interest(target.vector, long.vectors, Rows(**record), self.model.scorer("long"))


def twin_of(run: Run, model: ReferenceModel, compression: Compression | None) -> SlowTwin:
    """The twin of what makes a cache's records; `compression` is None where the method does."""
    if compression is None:
        return METHODS[model.settings.method].slow_twin(model)
    columns = probe_ids(run.dataset, compression.seed)
    ids = [{name: int(column[t]) for name, column in columns.items()} for t in range(SHARED_PROBES)]
    return SlowCompressor(model, compression, np.array([model.vector(i, model.item_fields) for i in ids]))


def reference_model(run: Run) -> ReferenceModel:
    """The float64 twin of a run, read from its checkpoint."""
    features = run.model.features
    return ReferenceModel(
        weights={name: array.astype(np.float64) for name, array in load_file(run.checkpoint).items()},
        item_fields=tuple(f.name for f in features.item_fields),
        profile_fields=tuple(f.name for f in features.profile_fields),
        settings=run.recipe.model,
    )
