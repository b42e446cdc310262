"""Logits of a split as they would be served: every request's history goes through the bytes of a record."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch

from lrea_cli.data.batches import BatchReader
from lrea_cli.model import CTRModel
from lrea_cli.progress import Progress
from lrea_cli.serving.cache import summarize_into
from lrea_cli.serving.records import CacheDtype, RecordFormat
from lrea_cli.serving.store import RecordStore, RecordWriter


def score_split_cached(
    model: CTRModel, reader: BatchReader, dtype: CacheDtype, device: torch.device, progress: Progress
) -> np.ndarray:
    """Summarize each request's history, write it with the store's own writer, read it back, verify it, attend.

    Args:
        dtype: of the records.

    Returns:
        (rows,) float64 logits, in the order of the split's rows.
    """
    logits = np.full(reader.samples.rows, np.nan)
    layout = RecordFormat(model.long.record, dtype)
    model.eval()
    model.use_kernel("gemm")
    try:
        with torch.inference_mode():
            for batch in reader.in_order():
                keys = batch.request.numpy()
                with tempfile.TemporaryDirectory(prefix="lrea-eval-") as folder:
                    with RecordWriter(Path(folder), layout) as writer:
                        summarize_into(writer, model.long, model.features, keys, batch.long, device)
                    with RecordStore(Path(folder), layout, model.long.summary_type) as store:
                        summary = store.fetch(keys).to(device)
                moved = batch.to(device)
                candidates = model.features.candidates(moved.candidates)
                interest = model.long.attend(summary, candidates)
                found = model.score(candidates, interest, moved.short, moved.candidates, moved.history_length)
                logits[batch.row[batch.candidates.mask].numpy()] = found.double().cpu().numpy()
                progress(len(found))
    finally:
        model.use_kernel("folded")
    return logits
