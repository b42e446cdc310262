"""Slow twins of what is served: a user's record and the interest that it gives, from checkpoint and raw history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from safetensors.numpy import load_file

from lrea_cli import reference, reference_compressors, reference_searches
from lrea_cli.recipe import Compression
from lrea_cli.reference_compressors import Rows
from lrea_cli.reference_searches import Long, Record, Target
from lrea_cli.serving.summarizer import SHARED_PROBES, probe_ids
from lrea_cli.training.checkpoint import Run


class Twin(Protocol):
    """What makes a record and reads it, one user and one candidate at a time, in float64."""

    def record(self, long: Long, user: int) -> Record:
        """The record of a user with these real long behaviors, as arrays by the names of its fields."""
        ...

    def interest(self, target: Target, long: Long, record: Record) -> np.ndarray | None:
        """(D,): what the record gives for a candidate; None where its search is too close to call."""
        ...


@dataclass(frozen=True)
class PseudoItemTwin:
    """Of a method that keeps keys and values, or nothing."""

    model: reference.ReferenceModel

    def record(self, long: Long, user: int) -> Record:
        keys, values = self.model.pseudo_items(long.vectors)
        return {"keys": keys, "values": values}

    def interest(self, target: Target, long: Long, record: Record) -> np.ndarray:
        return reference.attention(target.vector, record["keys"], record["values"], self.model.scorer("long"))


@dataclass(frozen=True)
class SearchTwin:
    """Of sim, eta, sdim and twin."""

    model: reference.ReferenceModel

    def record(self, long: Long, user: int) -> Record:
        return reference_searches.record(self.model, long)

    def interest(self, target: Target, long: Long, record: Record) -> np.ndarray | None:
        return reference_searches.interest(self.model, target, record)


@dataclass(frozen=True)
class CompressorTwin:
    """Of a compressor, with the probes (T, D) as the reference embeds them."""

    model: reference.ReferenceModel
    compression: Compression
    probes: np.ndarray

    def record(self, long: Long, user: int) -> Record:
        made, E, scorer = self.compression, long.vectors, self.model.scorer("long")
        rows = reference_compressors.compress(made.compressor, E, made.rank, made.seed, user, self.probes, scorer)
        return vars(rows)

    def interest(self, target: Target, long: Long, record: Record) -> np.ndarray:
        return reference_compressors.interest(target.vector, long.vectors, Rows(**record), self.model.scorer("long"))


def twin_of(run: Run, model: reference.ReferenceModel, compression: Compression | None) -> Twin:
    """The twin of what makes a cache's records; `compression` is None where the method does."""
    if compression is None:
        return method_twin(model)
    columns = probe_ids(run.dataset, compression.seed)
    ids = [{name: int(column[t]) for name, column in columns.items()} for t in range(SHARED_PROBES)]
    return CompressorTwin(model, compression, np.array([model.vector(i, model.item_fields) for i in ids]))


def method_twin(model: reference.ReferenceModel) -> Twin:
    """The twin of a method's own records."""
    searches = model.settings.method in ("sim", "eta", "sdim", "twin")
    return SearchTwin(model) if searches else PseudoItemTwin(model)


def reference_model(run: Run) -> reference.ReferenceModel:
    """The float64 twin of a run, read from its checkpoint."""
    features = run.model.features
    return reference.ReferenceModel(
        weights={name: array.astype(np.float64) for name, array in load_file(run.checkpoint).items()},
        item_fields=tuple(f.name for f in features.item_fields),
        profile_fields=tuple(f.name for f in features.profile_fields),
        settings=run.recipe.model,
    )
