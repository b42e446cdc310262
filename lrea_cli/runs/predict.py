"""Logits of every sample of a split, in the training form."""

from __future__ import annotations

import numpy as np
import torch

from lrea_cli.console.progress import Progress
from lrea_cli.dataset.batches import BatchReader
from lrea_cli.model import CTRModel


def score_split(model: CTRModel, reader: BatchReader, progress: Progress) -> np.ndarray:
    """Score a split with `model.forward` and training's kernel.

    Returns:
        (rows,) float64 logits, in the order of the split's rows.
    """
    logits = np.full(reader.samples.rows, np.nan)
    model.eval()
    with torch.inference_mode():
        for batch in reader.batches():
            scores, _ = model(batch.to(model.device))
            logits[batch.row[batch.candidates.mask].numpy()] = scores.double().cpu().numpy()
            progress(int(batch.candidates.mask.sum()))
    return logits
