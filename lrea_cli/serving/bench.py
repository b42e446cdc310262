"""serve-bench: gated latencies of N candidates for one user, through the cache and by full attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import cycle
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from lrea_cli.data.batches import read_samples
from lrea_cli.data.histories import Histories, open_histories
from lrea_cli.evaluation.intervals import median_interval
from lrea_cli.kernels import KernelName
from lrea_cli.progress import Reporter
from lrea_cli.sequence import CandidateIds, Candidates
from lrea_cli.serving.cache import Cache
from lrea_cli.serving.candidates import CandidatePool
from lrea_cli.serving.gate import GateResult, run_gate
from lrea_cli.serving.percentiles import Percentile, percentile
from lrea_cli.serving.resident import records_on
from lrea_cli.serving.scorer import RequestScorer, Visitor
from lrea_cli.serving.timing import Calls, measure
from lrea_cli.training.checkpoint import Run

CANDIDATE_SETS = 16
PERCENTS = (50, 95, 99)

Stage = Literal["interest", "request"]
STAGES: tuple[Stage, ...] = ("interest", "request")
Route = Literal["cache", "full", "padded"]
ROUTES: tuple[Route, ...] = ("cache", "full", "padded")


@dataclass(frozen=True)
class Row:
    """Latencies of one route.

    Args:
        route: through the cache, or full attention at real or padded lengths.
        method: of the run, or its compressor, for the cache; `full` for full-length attention with the run's
            embeddings and scorer.
        stage: `interest` = fetch and long attention; `request` = those, embeddings, short sequence and MLP.
        length: `real` lengths of the users, or the number L that each is padded to.
        rank: most pseudo items of a record; None for full attention.
        percentiles: p50, p95, p99 in ms. latencies_ms: of every request timed, in their order.
    """

    route: Route
    method: str
    stage: Stage
    kernel: KernelName
    dtype: str
    candidates: int
    length: int | Literal["real"]
    rank: int | None
    requests: int
    percentiles: tuple[Percentile, ...]
    latencies_ms: tuple[float, ...]

    def to_dict(self, latencies: bool = False) -> dict[str, Any]:
        """As `--json` has it: a percentile is null where too few requests back it.

        Args:
            latencies: with each of them, to the microsecond, as the file in `bench/` has it for `lrea compare`.
        """
        content = {f.name: getattr(self, f.name) for f in fields(self)}
        del content["percentiles"], content["latencies_ms"]
        content.update({f"p{p.percent:g}_ms": p.value for p in self.percentiles})
        ci = median_interval(self.latencies_ms)
        content["p50_ci_ms"] = None if ci is None else list(ci)
        return {**content, "latencies_ms": [round(ms, 3) for ms in self.latencies_ms]} if latencies else content


@dataclass(frozen=True)
class Bench:
    """One serve-bench.

    Args:
        lengths: p50, p90, max of the long parts. speedup_vs_full: ratio of the median interest latencies, gemm on both
            sides, at real lengths and padded; None where a median is missing.
        pays_after: requests for each refresh of a record after which compressing it has paid for itself.
    """

    gate: GateResult
    lengths: dict[str, int]
    rows: list[Row]
    speedup_vs_full: dict[str, float | None]
    pays_after: float | None


def serve_bench(
    run: Run,
    cache: Cache,
    candidates: int,
    kernels: Sequence[KernelName],
    seconds: float,
    seed: int,
    device: torch.device,
    reporter: Reporter,
) -> Bench:
    """Gate, then time each route; each timed request is another user's, the fetch included.

    Args:
        candidates: N. kernels: to time. seconds: for each row, at most as long as p99 needs.

    Raises:
        GateFailed: before any time is taken.
    """
    histories = open_histories(run.dataset)
    pool = CandidatePool(histories, read_samples(run.dataset, "test"), seed)
    visitors = visitors_of(cache, histories)
    records = records_on(cache.store, device)
    settings = run.recipe.data
    reporter.say("gate: comparing what is served with float64 loops from raw history and checkpoint")
    layout = cache.store.layout
    gate = run_gate(run, layout, histories, records, visitors, pool, kernels, device, cache.compression)
    long = np.clip([v.length - settings.short for v in visitors], 0, settings.long)
    np.random.default_rng(seed).shuffle(visitors)
    sets = [pool.draw(candidates) for _ in range(CANDIDATE_SETS)]
    rows: list[Row] = []
    plan: list[tuple[Stage, KernelName, Route]] = [(s, k, r) for s in STAGES for k in kernels for r in ROUTES]
    with reporter.task("serve-bench", len(plan), "rows") as progress, torch.inference_mode():
        for stage, kernel, route in plan:
            scorer = RequestScorer(run.model, histories, settings, records, kernel, device)
            latencies = measure(requests(scorer, stage, route, visitors, sets), seconds, device)
            rows.append(row_of(run, cache, route, stage, kernel, candidates, latencies))
            progress(1)
    spread = {"p50": int(np.median(long)), "p90": int(np.quantile(long, 0.9)), "max": int(long.max())}
    speedup, pays_after = _speedups(rows, cache.ms_per_user)
    return Bench(gate, spread, rows, speedup, pays_after)


def visitors_of(cache: Cache, histories: Histories) -> list[Visitor]:
    """The users of a cache, with the behaviors known when it was made."""
    lengths = histories.lengths_before(cache.as_of)
    return [Visitor(int(key), int(lengths[key])) for key in cache.store.keys]


def row_of(
    run: Run,
    cache: Cache,
    route: Route,
    stage: Stage,
    kernel: KernelName,
    candidates: int,
    latencies: Sequence[float],
) -> Row:
    """The row of latencies in ms, which say the rest."""
    return Row(
        route=route,
        method=cache.made_by(run) if route == "cache" else "full",
        stage=stage,
        kernel=kernel,
        dtype=cache.dtype if route == "cache" else "float32",
        candidates=candidates,
        length=run.recipe.data.long if route == "padded" else "real",
        rank=int(cache.artifact.manifest["rank"]) if route == "cache" else None,
        requests=len(latencies),
        percentiles=tuple(percentile(latencies, p) for p in PERCENTS),
        latencies_ms=tuple(latencies),
    )


def requests(
    scorer: RequestScorer,
    stage: Stage,
    route: Route,
    visitors: Sequence[Visitor],
    sets: Sequence[CandidateIds],
) -> Calls:
    """One call a request, each for the next user, for ever; candidates are embedded before, except in `request`."""
    features = scorer.model.features

    def interest(user: Visitor, candidates: Candidates) -> Tensor:
        if route == "cache":
            return scorer.cached_interest(user, candidates)
        return scorer.full_interest(user, candidates, padded=route == "padded")

    def request(user: Visitor, ids: CandidateIds) -> Tensor:
        candidates = features.candidates(ids)
        return scorer.logits(user, ids, candidates, interest(user, candidates))

    moved = [ids.to(scorer.device) for ids in sets]
    if stage == "request":
        yield from (partial(request, *pair) for pair in zip(cycle(visitors), cycle(moved), strict=True))
    else:
        ready = [features.candidates(ids) for ids in moved]
        yield from (partial(interest, *pair) for pair in zip(cycle(visitors), cycle(ready), strict=True))


def _speedups(rows: Sequence[Row], compress_ms: float) -> tuple[dict[str, float | None], float | None]:
    """Ratios of median interest latencies, gemm on both sides (or the only kernel timed)."""
    kernel = "gemm" if any(r.kernel == "gemm" for r in rows) else rows[0].kernel
    timed = [r for r in rows if r.stage == "interest" and r.kernel == kernel]
    median = {r.route: r.percentiles[0].value for r in timed}
    cached, real, padded = (median[route] for route in ROUTES)
    if cached is None or real is None or padded is None:
        return {"real": None, "padded": None}, None
    pays_after = compress_ms / (real - cached) if real > cached else None
    return {"real": real / cached, "padded": padded / cached}, pays_after
