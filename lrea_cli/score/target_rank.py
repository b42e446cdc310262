"""The smallest rank at which a compressor stays close enough to full attention, and the curve that shows it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lrea_cli.compressors import COMPRESSORS
from lrea_cli.console.progress import Reporter, ignore
from lrea_cli.dataset.batches import BatchReader
from lrea_cli.errors import LreaError, UserError
from lrea_cli.recipe.settings import Compression
from lrea_cli.records.maker import RecordMaker, compressor_of, shared_probes
from lrea_cli.runs.checkpoint import Run
from lrea_cli.runs.loop import reader_of, score_split
from lrea_cli.score.cached import score_split_cached
from lrea_cli.stats.estimates import deviation

MOST_REQUESTS = 1000
"""Validation requests with a long part that are scored at each rank."""


def smallest_rank(
    run: Run, compression: Compression, target: float, reporter: Reporter
) -> tuple[Compression, dict[int, float]]:
    """Double the rank until the deviation is within the target, then halve the interval; validation requests decide.

    Args:
        compression: its rank is not used.
        target: of rms(logit through the record - logit) / sd(logit).

    Returns:
        the compression with its rank, and the deviation at each rank that was tried, in the order of ranks.

    Raises:
        UserError: the run is not a din, or no rank below its longest history is close enough.
        LreaError: no validation request has a long part, or all logits are equal.
    """
    reader = _readable(reader_of(run.dataset, "valid", run.recipe.data, run.recipe.train.batch_size))
    full = score_split(run.model, reader, ignore)
    most_rows = COMPRESSORS[compression.compressor].most_rows
    probes_TD = shared_probes(run.model.features, run.dataset, compression.seed)
    tried: dict[int, float] = {}

    def close_enough(rank: int) -> bool:
        compressor = compressor_of(run, replace(compression, rank=rank), probes_TD)
        maker = RecordMaker(run.model, run.recipe.data, compress=compressor)
        with reporter.task(f"rank {rank}", reader.samples.rows, "samples") as progress:
            logits = score_split_cached(maker, reader, progress).logits
        deviates = deviation(full, logits)
        if deviates is None:
            raise LreaError("All logits of the validation split are equal: there is nothing to deviate from.")
        tried[rank] = deviates
        return deviates <= target

    longest = min(int(reader.samples.history_length.max()) - run.recipe.data.short, run.recipe.data.long)
    low, high = 0, 1
    while not close_enough(high):
        if high >= longest or most_rows(2 * high) == most_rows(high):
            raise UserError(
                f"'{compression.compressor}' is not within {target} at rank {high}: {tried[high]:.2g}.",
                "Raise --target, or serve full attention: lrea compress without --compressor.",
            )
        low, high = high, min(2 * high, longest)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if close_enough(middle) else (middle, high)
    return replace(compression, rank=high), dict(sorted(tried.items()))


def _readable(reader: BatchReader) -> BatchReader:
    """The first requests, by time, that have a long part."""
    samples = reader.samples
    usable = np.flatnonzero(samples.history_length > reader.settings.short)
    if not len(usable):
        raise LreaError("No validation request has a long part: there is nothing to compress.")
    chosen = usable[np.argsort(samples.time[usable], kind="stable")][:MOST_REQUESTS]
    return replace(reader, samples=samples.of_requests(np.sort(chosen)))
