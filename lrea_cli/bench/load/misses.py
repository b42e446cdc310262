"""What a record costs that is not there when a request needs it: on disk but not in memory, or nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from lrea_cli.bench.gate import Score
from lrea_cli.bench.load.choices import ON_MISSING
from lrea_cli.bench.load.pages import PageCache, disk_bytes
from lrea_cli.bench.load.requests import Requests, Scoring, itself, without_record
from lrea_cli.bench.timing import Call, Mark, take_turns
from lrea_cli.console.progress import Progress
from lrea_cli.kernels import Kernel
from lrea_cli.records.store import RecordStore
from lrea_cli.serving.scorer import Served
from lrea_cli.stats.latencies import percentile

LOGIT_REQUESTS = 64
"""Requests whose logits are compared with those from the user's own record."""

How = Literal["warm", "cold", "empty", "summarize"]


@dataclass(frozen=True)
class RecordCost:
    """Requests whose record is in one state, one request at a time; each row serves the same ones.

    Args:
        how: `warm`: read before; `cold`: on disk, its pages dropped; `empty`: missing, the empty record in its place;
            `summarize`: missing, made in the request from the user's history.
        p50_ms, p95_ms, p99_ms: of the whole request; None where too few requests back them.
        record_bytes: read from the store in a request, the mean.
        disk_bytes: read from the disk in a request, the mean; None where the system does not say.
        logit_rms: of the difference to the logits from the user's own record, over the standard deviation of these.
        logit_max: the largest difference, over the same.
    """

    how: How
    requests: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    record_bytes: float
    disk_bytes: float | None
    logit_rms: float
    logit_max: float


def record_costs(
    scores: Mapping[How, Score],
    requests: Requests,
    stored: tuple[RecordStore, PageCache | None],
    limits: tuple[float, int],
    told: Progress,
) -> list[RecordCost]:
    """Time requests in turns, each on records in every state.

    Args:
        stored: the store and the pages of its files; None = there is no row of cold ones.
        limits: seconds of each row, the mean; seed of the order of turns.
    """
    store, pages = stored
    shown: list[How] = [how for how in scores if how != "cold" or pages is not None]
    read: dict[How, list[int]] = {how: [] for how in shown}
    calls = [_call(how, scores[how], requests, stored, read[how]) for how in shown]
    timings = take_turns(calls, *limits, torch.device("cpu"), told)
    sizes = dict(zip(store.keys.tolist(), store.index["size"].tolist(), strict=True))
    mean_size = float(np.mean([sizes[requests[n].key] for n in range(timings.marks_ms.shape[1])]))
    rows = []
    for call, how in enumerate(shown):
        times = timings.between(call, 0, 1)
        p50, p95, p99 = (percentile(times, percent) for percent in (50, 95, 99))
        from_disk = None if disk_bytes() is None else float(np.mean(read[how]))
        in_store = mean_size if how in ("warm", "cold") else 0.0
        apart = _apart(requests, scores, how)
        rows.append(RecordCost(how, len(times), p50, p95, p99, in_store, from_disk, *apart))
    return rows


def scores_by_state(served: Served, kernel: Kernel, requests: Requests, scoring: Scoring = itself) -> dict[How, Score]:
    """What scores a request whose record is in each state."""
    own = scoring(served.scorer(kernel))
    scores: dict[How, Score] = {"warm": own, "cold": own}
    for how in ON_MISSING:
        scores[how] = without_record(served, kernel, how, requests.visitors, scoring)
    return scores


def _call(
    how: How, score: Score, requests: Requests, stored: tuple[RecordStore, PageCache | None], read: list[int]
) -> Call:
    """One request from its beginning to its logits; before it, its record is brought into its state."""
    store, pages = stored

    def call(number: int, mark: Mark) -> None:
        request = requests[number]
        store.read(request.key)
        if how == "cold" and pages is not None:
            pages.drop()
        before = disk_bytes() or 0
        mark()
        score(request)
        mark()
        read.append((disk_bytes() or 0) - before)

    return call


def _apart(requests: Requests, scores: Mapping[How, Score], how: How) -> tuple[float, float]:
    """Root mean square and largest difference of logits, over the standard deviation of those from own records."""
    asked = [requests[number] for number in range(LOGIT_REQUESTS)]
    own, found = (torch.cat([score(request) for request in asked]).double() for score in (scores["warm"], scores[how]))
    apart, spread = found - own, float(own.std()) or 1.0
    return float(apart.square().mean().sqrt()) / spread, float(apart.abs().max()) / spread
