"""Logits of a split as they would be served: every request's history goes through the bytes of a record."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch

from lrea_cli.console.counts import counted
from lrea_cli.console.progress import Progress
from lrea_cli.dataset.batches import BatchReader
from lrea_cli.errors import UserError
from lrea_cli.kernels import gemm
from lrea_cli.model import CTRModel
from lrea_cli.records.cache import summarize_into
from lrea_cli.records.format import CacheDtype, RecordFormat
from lrea_cli.records.store import RecordStore, RecordWriter
from lrea_cli.records.summarizer import Summarizer


def score_split_cached(
    model: CTRModel,
    reader: BatchReader,
    summarize: Summarizer,
    dtype: CacheDtype,
    device: torch.device,
    progress: Progress,
    built: np.ndarray | None = None,
) -> np.ndarray:
    """Summarize each request's history, write it with the store's own writer, read it back, verify it, attend.

    Args:
        summarize: what makes the summaries. dtype: of the records.
        built: (requests,) the instant at which each record was made, epoch seconds: it holds what happened strictly
            before, while the short sequence and the history's length are live. None = at the request itself.

    Returns:
        (rows,) float64 logits, in the order of the split's rows.

    Raises:
        UserError: a record would know events later than its request.
    """
    samples, settings = reader.samples, reader.settings
    known = known_in_records(reader, built)
    logits = np.full(samples.rows, np.nan)
    layout = RecordFormat(model.long.record, dtype)
    model.eval()
    with torch.inference_mode():
        for batch in reader.in_order():
            keys = batch.request.numpy()
            users = samples.user[keys]
            long = reader.histories.newest(users, known[keys], settings.short, settings.long)
            with tempfile.TemporaryDirectory(prefix="lrea-eval-") as folder:
                with RecordWriter(Path(folder), layout) as writer:
                    summarize_into(writer, model, summarize, keys, users, long, device)
                with RecordStore(Path(folder), layout, model.long.summary_type) as store:
                    summary = store.fetch(keys).to(device)
            moved = batch.to(device)
            candidates = model.features.candidates(moved.candidates)
            interest = model.long.attend(summary, candidates, gemm)
            found = model.score(candidates, interest, moved.short, moved.candidates, moved.history_length, gemm)
            logits[batch.row[batch.candidates.mask].numpy()] = found.double().cpu().numpy()
            progress(len(found))
    return logits


def known_in_records(reader: BatchReader, built: np.ndarray | None) -> np.ndarray:
    """(requests,) behaviors that each request's record knows.

    Raises:
        UserError: a record is younger than its request.
    """
    samples = reader.samples
    if built is None:
        return samples.history_length
    if (built > samples.time).any():
        late = int((built > samples.time).sum())
        raise UserError(
            f"{counted(late, 'request')} would be scored from records that know later events.",
            "Give an age of 0 or more: records are made before the requests that they serve.",
        )
    return reader.histories.known_at(samples.user, built)


def missing_behaviors(reader: BatchReader, built: np.ndarray) -> np.ndarray:
    """(requests,) behaviors that have left the short sequence and are in no record yet, of those that L would reach."""
    settings = reader.settings
    left = np.maximum(reader.samples.history_length - settings.short, 0)
    recorded = np.maximum(known_in_records(reader, built) - settings.short, 0)
    return np.minimum(left - recorded, settings.long)
