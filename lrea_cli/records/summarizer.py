"""What makes the summaries of a run's users: its own method, or a compressor of its full attention."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from lrea_cli.compressors import COMPRESSORS
from lrea_cli.dataset.layout import DatasetInfo
from lrea_cli.dataset.samples import read_samples
from lrea_cli.errors import UserError
from lrea_cli.features import Features
from lrea_cli.recipe.settings import Compression
from lrea_cli.runs.checkpoint import Run
from lrea_cli.sequence import Behaviors, Ids, Summary

Summarizer = Callable[[Behaviors, np.ndarray], Summary]
"""(long sequences of B users, (B,) their dense numbers) -> their summaries in float64, not sealed yet."""

SHARED_PROBES = 24
"""Training candidates on which compressors try their rows."""


def summarizer_of(run: Run, compression: Compression | None, probes_TD: Tensor | None = None) -> Summarizer:
    """The run's method, or a compressor over its attention.

    Args:
        compression: of a din run; None = the method's own records.
        probes_TD: `shared_probes` of the compression's seed; None = read from the train split.

    Raises:
        UserError: a compressor was asked for, and the run is not a `din`.
    """
    if compression is None:
        return lambda behaviors, users: run.model.long.summarize(behaviors.double())
    method = run.recipe.model.method
    if method != "din":
        raise UserError(
            f"The run '{run.name}' is a '{method}'; compressors work on full attention.",
            "Train one with: lrea train --method din",
        )
    if probes_TD is None:
        probes_TD = shared_probes(run.model.features, run.dataset, compression.seed)
    make = COMPRESSORS[compression.compressor]
    return make(run.model.full_attention, compression.rank, compression.seed, probes_TD)


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
