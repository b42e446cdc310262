"""Slow twins of what is served: a record's rows and the interest that they give, from checkpoint and raw history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from safetensors.numpy import load_file

from lrea_cli import reference, reference_compressors
from lrea_cli.recipe import Compression
from lrea_cli.reference_compressors import Rows
from lrea_cli.serving.summarizer import SHARED_PROBES, probe_ids
from lrea_cli.training.checkpoint import Run


class Twin(Protocol):
    """What makes a record and reads it, one user and one candidate at a time, in float64."""

    def rows(self, long: np.ndarray, user: int) -> Rows:
        """The rows of the record of a user with the real long behaviors (n, D), newest first."""
        ...

    def interest(self, e_t: np.ndarray, long: np.ndarray, rows: Rows) -> np.ndarray:
        """(D,): what the rows give for the candidate e_t."""
        ...


@dataclass(frozen=True)
class MethodTwin:
    """Of a run's own method; everything is in the rows."""

    model: reference.ReferenceModel

    def rows(self, long: np.ndarray, user: int) -> Rows:
        return Rows(*self.model.pseudo_items(long))

    def interest(self, e_t: np.ndarray, long: np.ndarray, rows: Rows) -> np.ndarray:
        return reference.attention(e_t, rows.keys, rows.values, self.model.scorer("long"))


@dataclass(frozen=True)
class CompressorTwin:
    """Of a compressor, with the probes (T, D) as the reference embeds them."""

    model: reference.ReferenceModel
    compression: Compression
    probes: np.ndarray

    def rows(self, long: np.ndarray, user: int) -> Rows:
        made, scorer = self.compression, self.model.scorer("long")
        return reference_compressors.compress(made.compressor, long, made.rank, made.seed, user, self.probes, scorer)

    def interest(self, e_t: np.ndarray, long: np.ndarray, rows: Rows) -> np.ndarray:
        return reference_compressors.interest(e_t, long, rows, self.model.scorer("long"))


def twin_of(run: Run, model: reference.ReferenceModel, compression: Compression | None) -> Twin:
    """The twin of what makes a cache's records; `compression` is None where the method does."""
    if compression is None:
        return MethodTwin(model)
    columns = probe_ids(run.dataset, compression.seed)
    ids = [{name: int(column[t]) for name, column in columns.items()} for t in range(SHARED_PROBES)]
    return CompressorTwin(model, compression, np.array([model.vector(i, model.item_fields) for i in ids]))


def reference_model(run: Run) -> reference.ReferenceModel:
    """The float64 twin of a run, read from its checkpoint."""
    features, model = run.model.features, run.recipe.model
    return reference.ReferenceModel(
        weights={name: array.astype(np.float64) for name, array in load_file(run.checkpoint).items()},
        item_fields=tuple(f.name for f in features.item_fields),
        profile_fields=tuple(f.name for f in features.profile_fields),
        method=model.method,
        unit=model.decomp_columns == "unit",
        exact_short=model.short_histories == "exact",
    )
