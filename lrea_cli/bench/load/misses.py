"""What a record costs that is not there when a request needs it: on disk but not in memory, or nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from lrea_cli.bench.load.pages import PageCache, disk_bytes
from lrea_cli.bench.load.requests import ON_MISSING, Fallback, Requests, Score, scoring
from lrea_cli.bench.timing import Call, Mark, take_turns
from lrea_cli.console.progress import Progress
from lrea_cli.kernels import Kernel
from lrea_cli.records.store import RecordStore
from lrea_cli.serving.scorer import RequestScorer, Served
from lrea_cli.stats.latencies import percentile

LOGIT_REQUESTS = 64
"""Requests whose logits are compared with those from the user's own record."""

How = Literal["warm", "cold", "empty", "summarize"]


@dataclass(frozen=True)
class RecordCost:
    """Requests whose record is in one state, one request at a time; each row serves the same ones.

    Args:
        how: `warm`: read before; `cold`: on disk, its pages dropped; `empty`: missing, scored as an empty long history;
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
    served: Served, kernel: Kernel, requests: Requests, pages: PageCache | None, limits: tuple[float, int], told: Progress
) -> list[RecordCost]:
    """Time warm, cold and missing records in turns on the same requests.

    Args:
        pages: of the records; None where the system does not drop them: then there is no row of cold ones.
        limits: seconds of each row, the mean; seed of the order of turns.
    """
    store = served.records
    assert isinstance(store, RecordStore)
    scores: dict[How, Score] = {"warm": scoring(served.scorer(kernel))}
    if pages is not None:
        scores["cold"] = scores["warm"]
    scores |= {how: scoring(without_records(served, kernel, requests, how)) for how in ON_MISSING}
    read: dict[How, list[int]] = {how: [] for how in scores}
    calls = [_call(how, score, requests, (store, pages), read) for how, score in scores.items()]
    timings = take_turns(calls, *limits, served.device, told)
    sizes = {user.key: size for user, size in zip(requests.visitors, store.index["size"].tolist(), strict=True)}
    rows, drawn = [], range(timings.marks_ms.shape[1])
    in_store = float(np.mean([sizes[requests[number].user.key] for number in drawn]))
    for number, (how, score) in enumerate(scores.items()):
        times = timings.between(number, 0, 1)
        known = [percentile(times, percent) for percent in (50, 95, 99)]
        from_disk = None if disk_bytes() is None else float(np.mean(read[how]))
        stored = in_store if how in ("warm", "cold") else 0.0
        rows.append(RecordCost(how, len(times), *known, stored, from_disk, *_apart(requests, scores["warm"], score)))
    return rows


def without_records(served: Served, kernel: Kernel, requests: Requests, how: Literal["empty", "summarize"]) -> RequestScorer:
    """A scorer for users without a record."""
    stand_in = Fallback(served, how, requests.visitors)
    return RequestScorer(served.run.model, served.histories, served.run.recipe.data, stand_in, kernel)  # type: ignore[arg-type]


def _call(
    how: How, score: Score, requests: Requests, stored: tuple[RecordStore, PageCache | None], read: dict[How, list[int]]
) -> Call:
    """One request, from its beginning to its logits; before it, its record is brought into the state that it is to have."""
    store, pages = stored

    def call(number: int, mark: Mark) -> None:
        user, ids, _ = requests[number]
        if how == "cold" and pages is not None:
            pages.drop()
        else:
            store.read(user.key)
        before = disk_bytes() or 0
        mark()
        score(user, ids)
        mark()
        read[how].append((disk_bytes() or 0) - before)

    return call


@torch.inference_mode()
def _apart(requests: Requests, own: Score, other: Score) -> tuple[float, float]:
    """Root mean square and largest difference of logits, over the standard deviation of the user's own ones."""
    if own is other:
        return 0.0, 0.0
    asked = [requests[number] for number in range(LOGIT_REQUESTS)]
    right, found = (torch.cat([score(user, ids) for user, ids, _ in asked]).double() for score in (own, other))
    apart, spread = found - right, float(right.std()) or 1.0
    return float(apart.square().mean().sqrt()) / spread, float(apart.abs().max()) / spread
