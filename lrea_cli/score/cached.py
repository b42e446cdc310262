"""Logits of a split as they would be served: every request's history goes through the bytes of a record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lrea_cli.console.counts import counted
from lrea_cli.console.progress import Progress
from lrea_cli.dataset.batches import BatchReader
from lrea_cli.errors import UserError
from lrea_cli.kernels import gemm
from lrea_cli.model import CTRModel
from lrea_cli.records.format import CacheDtype, RecordFormat
from lrea_cli.records.maker import RecordMaker, Summarizer
from lrea_cli.runs.checkpoint import Run
from lrea_cli.sequence import Batch, Behaviors, Summary


@dataclass
class Counting:
    """A summarizer that counts the bytes of the records that its summaries will be."""

    summarize: Summarizer
    layout: RecordFormat
    records: int = 0
    total_bytes: int = 0

    @classmethod
    def of(cls, run: Run, summarize: Summarizer, dtype: CacheDtype) -> Counting:
        """For the records of a run in this dtype."""
        return cls(summarize, RecordFormat(run.model.long.record, dtype))

    @property
    def mean_bytes(self) -> float:
        """Of a record so far."""
        return self.total_bytes / self.records

    def __call__(self, behaviors: Behaviors, users: np.ndarray) -> Summary:
        """As the summarizer does."""
        summary = self.summarize(behaviors, users)
        self.records += len(summary.rows)
        self.total_bytes += sum(self.layout.bytes_of(int(rows)) for rows in summary.rows)
        return summary


def score_split_cached(
    maker: RecordMaker, reader: BatchReader, progress: Progress, built: np.ndarray | None = None
) -> np.ndarray:
    """Summarize each request's history, write it with the store's own writer, read it back, verify it, attend.

    Args:
        maker: what makes the records.
        built: (requests,) the instant at which each record was made, epoch seconds: it holds what happened strictly
            before, while the short sequence and the history's length are live. None = at the request itself.

    Returns:
        (rows,) float64 logits, in the order of the split's rows.

    Raises:
        UserError: a record would know events later than its request.
    """
    known = known_in_records(reader, built)
    logits = np.full(reader.samples.rows, np.nan)
    maker.model.eval()
    with torch.inference_mode():
        for batch in reader.batches():
            summary = _through_records(maker, reader, batch.request.numpy(), known)
            scores = _scores(maker.model, summary, batch.to(maker.model.device))
            logits[batch.row[batch.candidates.mask].numpy()] = scores.double().cpu().numpy()
            progress(len(scores))
    return logits


def _through_records(maker: RecordMaker, reader: BatchReader, requests: np.ndarray, known: np.ndarray) -> Summary:
    """The summaries of requests, out of records that know so many behaviors of each."""
    users, settings = reader.samples.user[requests], reader.settings
    long = reader.histories.newest(users, known[requests], settings.short, settings.long)
    with maker.store(requests, users, long) as store:
        return store.fetch(requests).to(maker.model.device)


def _scores(model: CTRModel, summary: Summary, batch: Batch) -> Tensor:
    """(M,) logits of the unmasked candidates."""
    candidates = model.candidates(batch.candidates)
    interest = model.long.attend(summary, candidates, gemm)
    inputs = model.mlp_inputs(candidates, interest, batch.short, batch.history_length, gemm)
    return model.mlp(inputs.joined()[candidates.mask])


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
