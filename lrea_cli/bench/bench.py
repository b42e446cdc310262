"""serve-bench: gated latencies of N candidates for one user, through the cache and by full attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from lrea_cli.bench.gate import GateResult, run_gate
from lrea_cli.bench.machine import Load
from lrea_cli.bench.routes import (
    ROUTES,
    STAGES,
    BenchSettings,
    Route,
    Row,
    Stage,
    TimedRoute,
    make_workload,
    serve,
    stage_times,
    visitors_of,
)
from lrea_cli.bench.timing import PERCENT, Timings, take_turns
from lrea_cli.console.progress import Reporter
from lrea_cli.dataset.histories import open_histories
from lrea_cli.dataset.samples import read_samples
from lrea_cli.kernels import KERNELS, KernelName
from lrea_cli.records.cache import Cache
from lrea_cli.runs.checkpoint import Run
from lrea_cli.serving.candidates import CandidatePool
from lrea_cli.serving.scorer import Visitor
from lrea_cli.serving.served import Served
from lrea_cli.stats.ratios import NO_RATIO, Ratio, paired_ratio

Lengths = Literal["real", "padded"]
AGAINST: dict[Lengths, Route] = {"real": "full", "padded": "padded"}
"""What the cache is compared with: full attention at the users' own lengths, and padded to L."""


@dataclass(frozen=True)
class Speedup:
    """How many times longer full attention takes than the cache, on the same requests, one kernel on both sides.

    Args:
        kernel: on both sides.
        ratios: of each stage, at real and at padded lengths; without values where they are withheld.
        saved_ms: of a whole request at real lengths, the mean; None where withheld.
        withheld: why there are no ratios; None where there are.
    """

    kernel: KernelName
    ratios: dict[Stage, dict[Lengths, Ratio]]
    saved_ms: float | None
    withheld: str | None

    def pays_after(self, compress_ms: float) -> float | None:
        """Requests that save as much time as making the user's record takes; None where none saves any.

        Args:
            compress_ms: to make one record.
        """
        return compress_ms / self.saved_ms if self.saved_ms is not None and self.saved_ms > 0 else None


@dataclass(frozen=True)
class Bench:
    """One serve-bench.

    Args:
        lengths: p50, p90, max of the long parts of all users. rows: of each stage, kernel and route.
        load: of the machine meanwhile.
    """

    gate: GateResult
    lengths: dict[str, int]
    rows: list[Row]
    speedup: Speedup
    load: Load


def serve_bench(
    run: Run, cache: Cache, settings: BenchSettings, kernels: Sequence[KernelName], reporter: Reporter
) -> Bench:
    """Gate, then time all routes in turns on the same requests; each is another user's, the fetch included.

    Args:
        kernels: to time.

    Raises:
        GateFailed: before any time is taken.
    """
    served = Served.of(run, cache, open_histories(run.dataset))
    pool = CandidatePool(served.histories, read_samples(run.dataset, "test"), settings.seed)
    visitors = visitors_of(cache, served.histories)
    reporter.say("gate: comparing what is served with float64 loops from raw history and checkpoint")
    gate = run_gate(served, visitors, pool, kernels)
    workload = make_workload(visitors, pool, settings, served.device)
    plan = [TimedRoute(run, cache, route, kernel) for kernel in kernels for route in ROUTES]
    calls = [serve(served.scorer(KERNELS[timed.kernel]), timed.route, workload) for timed in plan]
    with reporter.task("serve-bench", PERCENT, "%") as progress, torch.inference_mode():
        timings = take_turns(calls, settings.seconds, settings.seed, served.device, progress)
    rows = [
        timed.row(stage, settings.candidates, stage_times(timings, call, stage))
        for stage in STAGES
        for call, timed in enumerate(plan)
    ]
    kernel: KernelName = "gemm" if "gemm" in kernels else kernels[0]
    places: dict[Route, int] = {timed.route: call for call, timed in enumerate(plan) if timed.kernel == kernel}
    return Bench(gate, _lengths(run, visitors), rows, speedup_of(timings, kernel, places), timings.load)


def _lengths(run: Run, visitors: Sequence[Visitor]) -> dict[str, int]:
    """p50, p90 and max of the long parts."""
    settings = run.recipe.data
    long = np.clip([v.length - settings.short for v in visitors], 0, settings.long)
    return {"p50": int(np.median(long)), "p90": int(np.quantile(long, 0.9)), "max": int(long.max())}


def speedup_of(timings: Timings, kernel: KernelName, places: Mapping[Route, int]) -> Speedup:
    """Full attention against the cache.

    Args:
        places: of the three routes among the calls that were timed with this kernel.
    """
    withheld = timings.load.reason_to_withhold

    def ratio(stage: Stage, route: Route) -> Ratio:
        full, cached = (stage_times(timings, places[side], stage) for side in (route, "cache"))
        return NO_RATIO if withheld else paired_ratio(full, cached, timings.rounds)

    ratios: dict[Stage, dict[Lengths, Ratio]] = {
        stage: {lengths: ratio(stage, route) for lengths, route in AGAINST.items()} for stage in STAGES
    }
    full, cached = (stage_times(timings, places[route], "request") for route in ("full", "cache"))
    return Speedup(kernel, ratios, None if withheld else float((full - cached).mean()), withheld)
