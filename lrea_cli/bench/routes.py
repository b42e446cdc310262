"""What is timed: the routes of a request, the requests that all of them serve, and the rows of a table of times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from lrea_cli.bench.gate import Score
from lrea_cli.bench.load.choices import PeerName
from lrea_cli.bench.timing import PERCENT, Call, Mark, Timings, take_turns
from lrea_cli.console.progress import Reporter
from lrea_cli.dataset.histories import Histories
from lrea_cli.kernels import KERNELS, KernelName
from lrea_cli.records.cache import Cache
from lrea_cli.records.past import past_of
from lrea_cli.runs.checkpoint import Run
from lrea_cli.sequence import CandidateIds
from lrea_cli.serving.scorer import CandidatePool, Served, Visitor, padded
from lrea_cli.stats.estimates import Interval
from lrea_cli.stats.latencies import median_interval, percentile

CANDIDATE_SETS = 16
GOLDEN = (5**0.5 - 1) / 2

Stage = Literal["request", "interest"]
STAGES: tuple[Stage, ...] = ("request", "interest")
MARKS: dict[Stage, tuple[int, int]] = {"request": (0, 3), "interest": (1, 2)}
"""Where a stage begins and ends: marks are set at the start, with candidates embedded, interest there, logits there."""
Route = Literal["cache", "full", "padded"]
ROUTES: tuple[Route, ...] = ("cache", "full", "padded")


@dataclass(frozen=True)
class Workload:
    """Requests 0, 1, 2, ..: the n-th is of the n-th user with the n-th set of candidates, both again from the first.

    Args:
        visitors: in an order whose every beginning has short and long histories in their shares.
        sets: candidates of one request each, on the device.
    """

    visitors: Sequence[Visitor]
    sets: Sequence[CandidateIds]

    @classmethod
    def of(
        cls, visitors: Sequence[Visitor], pool: CandidatePool, settings: BenchSettings, device: torch.device
    ) -> Workload:
        sets = [pool.draw(settings.candidates).to(device) for _ in range(CANDIDATE_SETS)]
        return cls(spread_out(visitors, settings.seed), sets)

    def request(self, number: int) -> tuple[Visitor, CandidateIds]:
        """The user and the candidates of one request."""
        return self.visitors[number % len(self.visitors)], self.sets[number % len(self.sets)]


@dataclass(frozen=True)
class BenchSettings:
    """What is asked of a measurement.

    Args:
        candidates: N of a request.
        seconds: for each route and kernel, the mean; at most as long as p99 needs.
        seed: of users and candidates.
    """

    candidates: int
    seconds: float
    seed: int


def time_routes(
    routes: Sequence[tuple[Served, KernelName, Route]],
    visitors: Sequence[Visitor],
    pool: CandidatePool,
    settings: BenchSettings,
    reporter: Reporter,
    others: Sequence[Callable[[Workload], Call]] = (),
) -> Timings:
    """Time each route with its kernel, then `others` that serve whole requests, all in turns on the same requests."""
    device = routes[0][0].device
    workload = Workload.of(visitors, pool, settings, device)
    calls = [serve(*route, workload) for route in routes] + [other(workload) for other in others]
    with reporter.task("serve-bench", PERCENT, "%") as progress, torch.inference_mode():
        return take_turns(calls, settings.seconds, settings.seed, device, progress)


def visitors_of(cache: Cache, histories: Histories) -> list[Visitor]:
    """The users of a cache, with the behaviors known when it was made."""
    lengths = histories.lengths_before(cache.manifest.as_of)
    return [Visitor(int(key), int(lengths[key])) for key in cache.store.keys]


def spread_out(visitors: Sequence[Visitor], seed: int) -> list[Visitor]:
    """All users, those with short and long histories in their shares from the start.

    The first requests stand for all of them, however few the time allows. The k-th user has the rank by length that
    frac(u + k (sqrt(5) - 1) / 2) has among all these numbers: they fill [0, 1) evenly.
    """
    by_length = np.argsort([user.length for user in visitors], kind="stable")
    numbers = (np.random.default_rng(seed).random() + np.arange(len(visitors)) * GOLDEN) % 1
    rank = np.argsort(np.argsort(numbers))
    return [visitors[n] for n in by_length[rank]]


def serve(served: Served, kernel: KernelName, route: Route, workload: Workload) -> Call:
    """One whole request, from candidate ids to logits; its marks are those that `MARKS` names.

    Before the first mark the request is put together as a server gets it. Full attention also gets its history and the
    match counters there: only the cache pays for reading what it knows of the user.
    """
    scorer, histories, settings = served.scorer(KERNELS[kernel]), served.histories, served.run.recipe.data

    def call(number: int, mark: Mark) -> None:
        user, ids = workload.request(number)
        request = user.request(histories, settings, ids).to(scorer.device)
        if route == "cache":
            mark()
            candidates = scorer.candidates(request)
            mark()
            records = scorer.fetch(request)
            past, interest = records.past, scorer.cached_interest(records, candidates)
        else:
            long = user.newest(histories, settings.short, settings.long)
            long = (padded(long, settings.long) if route == "padded" else long).to(scorer.device)
            known = np.array([user.key]), np.array([user.length])
            past = past_of(histories, *known, scorer.model.match_counters).to(scorer.device)
            mark()
            candidates = scorer.candidates(request)
            mark()
            interest = scorer.full_interest(long, candidates)
        mark()
        scorer.logits(request, candidates, past, interest)
        mark()

    return call


def serve_whole(score: Score, served: Served, workload: Workload) -> Call:
    """One whole request of a server that does not tell its stages apart; only its first and last mark are of use."""

    def call(number: int, mark: Mark) -> None:
        user, ids = workload.request(number)
        request = user.request(served.histories, served.run.recipe.data, ids)
        mark()
        mark()
        mark()
        score(request)
        mark()

    return call


@dataclass(frozen=True)
class Row:
    """Latencies of one route: its keys are those of `--json`.

    Args:
        route: through the cache, or full attention at real or padded lengths.
        method: of the run, or its compressor, for the cache; `full` for full-length attention with the run's
            embeddings and scorer.
        stage: `request` = embeddings, fetch, long and short sequence, MLP; `interest` = fetch and long attention.
        length: `real` lengths of the users, or the number L that each is padded to.
        kernel: of lrea's attention; or `native`, or another runtime: what served the whole request.
        rank: most pseudo items of a record; None for full attention.
        p50_ms, p95_ms, p99_ms: None where too few requests back them.
        p50_ci_ms: 95% interval of the median.
        latencies_ms: of every request timed, in their order: the i-th is of the same request in every row.
    """

    route: Route
    method: str
    stage: Stage
    kernel: KernelName | PeerName | Literal["native"]
    dtype: str
    candidates: int
    length: int | Literal["real"]
    rank: int | None
    requests: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    p50_ci_ms: Interval | None
    latencies_ms: tuple[float, ...]


def row_of(
    run: Run,
    cache: Cache,
    timed: tuple[Stage, KernelName | PeerName | Literal["native"], Route],
    candidates: int,
    latencies: np.ndarray,
) -> Row:
    """What the latencies of a route in ms say; `timed`: the stage, kernel and route."""
    stage, kernel, route = timed
    return Row(
        route=route,
        method=cache.manifest.compressor or run.recipe.model.method if route == "cache" else "full",
        stage=stage,
        kernel=kernel,
        dtype=cache.manifest.dtype if route == "cache" else "float32",
        candidates=candidates,
        length=run.recipe.data.long if route == "padded" else "real",
        rank=int(cache.artifact.manifest.rank) if route == "cache" else None,
        requests=len(latencies),
        p50_ms=percentile(latencies, 50),
        p95_ms=percentile(latencies, 95),
        p99_ms=percentile(latencies, 99),
        p50_ci_ms=median_interval(latencies.tolist()),
        latencies_ms=tuple(latencies.tolist()),
    )
