"""Logits of a split as they would be served: every request's history goes through the bytes of a record.

The record may be older than the request, with a live short sequence: that is what an old cache costs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from lrea_cli.console.counts import counted
from lrea_cli.console.progress import Progress, Reporter
from lrea_cli.dataset.batches import BatchReader
from lrea_cli.errors import UserError
from lrea_cli.kernels import gemm
from lrea_cli.records.maker import Known, RecordMaker
from lrea_cli.stats.bootstrap import auc_difference
from lrea_cli.stats.estimates import Interval
from lrea_cli.stats.metrics.auc import auc

OLDEST_DAYS = 36_500
DIGITS = 13
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class CachedScores(NamedTuple):
    """Float64 logits (rows,) in the order of the split's rows, and the mean size of the records that gave them."""

    logits: np.ndarray
    bytes_per_record: float


def score_split_cached(
    maker: RecordMaker, reader: BatchReader, progress: Progress, built: np.ndarray | None = None
) -> CachedScores:
    """Summarize each request's history, write it with the store's own writer, read it back, verify it, attend.

    Args:
        built: (requests,) the instant at which each record was made, epoch seconds: it holds what happened strictly
            before. The short sequence is live, and tells of up to S behaviors that the record does not know; they are
            counted. None = at the request itself.

    Raises:
        UserError: a record would know events later than its request.
    """
    known, samples, model = known_in_records(reader, built), reader.samples, maker.model
    newer = np.minimum(samples.history_length - known, reader.settings.short)
    logits, total_bytes = np.full(samples.rows, np.nan), 0
    model.eval()
    with torch.inference_mode():
        for batch in reader.batches():
            requests = batch.request.numpy()
            with maker.store(requests, Known(reader.histories, samples.user[requests], known[requests])) as store:
                records = store.fetch(requests).to(model.device)
                total_bytes += int(store.index["size"].sum())
            rows = batch.row[batch.candidates.mask].numpy()
            batch = batch.to(model.device)
            unknown = torch.from_numpy(newer[requests]).to(model.device)
            matches = records.past.matches(batch.candidates.ids, batch.short, unknown)
            candidates = model.candidates(replace(batch.candidates, matches=matches))
            interest = model.long.attend(records.summary, candidates, gemm)
            inputs = model.mlp_inputs(candidates, interest, batch.short, records.past.length + unknown, gemm)
            logits[rows] = model.mlp(inputs.joined()[candidates.mask]).double().cpu().numpy()
            progress(len(rows))
    return CachedScores(logits, total_bytes / samples.requests)


def known_in_records(reader: BatchReader, built: np.ndarray | None) -> np.ndarray:
    """(requests,) behaviors that each record knows; a UserError where a record is younger than its request."""
    samples = reader.samples
    if built is None:
        return samples.history_length
    if late := int((built > samples.time).sum()):
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


@dataclass(frozen=True)
class Age:
    """An age as the user wrote it, and in seconds."""

    text: str
    seconds: int


@dataclass(frozen=True)
class CacheAge:
    """What records of one age cost.

    Args:
        difference: AUC at this age minus that of records built at the request; `ci`: 95%, paired.
        missing: mean behaviors a request that are in neither sequence: they have left the short one since the record
            was built.
        requests_missing: share of the requests that miss any.
    """

    age: str
    auc: float | None
    difference: float | None
    ci: Interval | None
    missing: float
    requests_missing: float


def parse_ages(text: str) -> tuple[Age, ...]:
    """`0,90m,1d` -> ages, in s, m, h or d; a UserError for what is none, and for more than a hundred years."""
    ages = []
    for part in (p.strip() for p in text.split(",")):
        age = re.fullmatch(r"([0-9]+)([smhd])|0", part)
        if age is None:
            raise UserError(f"--cache-age '{part}' is no age.", "Use numbers with s, m, h or d, such as 0,90m,1d,3d.")
        number, unit = age.groups()
        if len(part) > DIGITS or (number and int(number) * UNITS[unit] > OLDEST_DAYS * UNITS["d"]):
            raise UserError(f"--cache-age '{part}' is too old.", f"Use at most {OLDEST_DAYS:,}d.")
        ages.append(Age(part, int(number) * UNITS[unit] if number else 0))
    return tuple(ages)


def cache_life(
    maker: RecordMaker, reader: BatchReader, fresh: np.ndarray, ages: Sequence[Age], reporter: Reporter
) -> list[CacheAge]:
    """Score a split at each age, and compare with `fresh`, its logits (rows,) from records built at the request."""
    samples = reader.samples
    users = samples.user[samples.row_request]
    rows = []
    for age in ages:
        built = samples.time - age.seconds
        logits = fresh
        if age.seconds:
            with reporter.task(f"records of age {age.text}", samples.rows, "samples") as progress:
                logits = score_split_cached(maker, reader, progress, built).logits
        difference = auc_difference(fresh, logits, samples.label, users)
        missing = missing_behaviors(reader, built)
        value = auc(logits, samples.label)
        share = float((missing > 0).mean())
        rows.append(CacheAge(age.text, value, difference.value, difference.ci, float(missing.mean()), share))
    return rows
