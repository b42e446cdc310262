"""serve-bench: gated latencies of N candidates for one user, through the cache and by full attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from lrea_cli.bench.gate import GateResult, run_gate
from lrea_cli.bench.load.choices import PeerName
from lrea_cli.bench.machine import Load, Machine
from lrea_cli.bench.natively import NATIVE, native_gate, native_of, serve_natively
from lrea_cli.bench.peers import Peer, PeerGate
from lrea_cli.bench.routes import (
    MARKS,
    ROUTES,
    STAGES,
    BenchSettings,
    Route,
    Row,
    Stage,
    row_of,
    serve_whole,
    time_routes,
    visitors_of,
)
from lrea_cli.bench.timing import Timings
from lrea_cli.console.progress import Reporter
from lrea_cli.dataset.histories import open_histories
from lrea_cli.dataset.samples import read_samples
from lrea_cli.errors import UserError
from lrea_cli.kernels import KERNELS, KernelName
from lrea_cli.records.cache import Cache
from lrea_cli.runs.checkpoint import Run
from lrea_cli.serving.native.model import UnsupportedError
from lrea_cli.serving.native.scorer import NativeScorer
from lrea_cli.serving.scorer import CandidatePool, Served, Visitor
from lrea_cli.stats.estimates import Interval
from lrea_cli.stats.latencies import NO_RATIO, Ratio, median, median_difference, median_interval, paired_ratio
from lrea_cli.workspace.kinds import parse
from lrea_cli.workspace.sealed import as_json, read_json

Lengths = Literal["real", "padded"]
AGAINST: dict[Lengths, Route] = {"real": "full", "padded": "padded"}
"""What the cache is compared with: full attention at the users' own lengths, and padded to L."""
SAME = ("stage", "kernel", "route", "length", "candidates")
"""What two rows must have in common; method, rank and dtype are what is compared."""


@dataclass(frozen=True)
class Bench:
    """One serve-bench: its keys are those of `--json`.

    Args:
        compressor: of the cache; None = the method's own records.
        lengths: p50, p90, max of the long parts of all users.
        rows: of each stage, kernel and route.
        speedup_vs_full: how many times longer full attention takes than the cache, on the same requests, of each
            stage, at real and at padded lengths; without values where they are withheld.
        speedup_kernel: on both sides.
        withheld: why there are no ratios; None where there are.
        bytes_per_user, compress_ms_per_user: of one record.
        saved_ms_per_request: of a whole request at real lengths, the mean; None where withheld.
        pays_after_requests: requests that save as much time as making the user's record takes; None where none does.
        native: the path of lrea's native request, or why there is none.
        native_speedup: time of full attention over that of the cache, whole requests at real lengths, both natively.
        peer_gates: what was compared of each other runtime; one that failed has no times.
        peer_time: time of the whole request of each of them over that of the cache by `speedup_kernel`.
    """

    run: str
    cache: str
    compressor: str | None
    machine: Machine
    gate: GateResult
    lengths: dict[str, int]
    rows: list[Row]
    load: Load
    speedup_vs_full: dict[Stage, dict[Lengths, Ratio]]
    speedup_kernel: KernelName
    withheld: str | None
    bytes_per_user: float
    compress_ms_per_user: float
    saved_ms_per_request: float | None
    pays_after_requests: float | None
    native: str = ""
    native_speedup: Ratio | None = None
    peer_gates: dict[PeerName, PeerGate] = field(default_factory=dict)
    peer_time: dict[PeerName, Ratio] = field(default_factory=dict)

    def to_dict(self, latencies: bool = False) -> dict[str, Any]:
        """What `--json` prints; with `latencies`, each to the microsecond, what the file in `bench/` has."""
        content = as_json(asdict(self))
        for row in content["rows"]:
            times = row.pop("latencies_ms")
            if latencies:
                row["latencies_ms"] = [round(ms, 3) for ms in times]
        return content


def serve_bench(
    run: Run,
    cache: Cache,
    settings: BenchSettings,
    kernels: Sequence[KernelName],
    reporter: Reporter,
    peers: Sequence[PeerName] = (),
) -> Bench:
    """Gate, then time all routes in turns on the same requests; each is another user's, the fetch included.

    A gate that fails raises GateFailed before any time is taken.
    """
    served = Served.of(run, cache, open_histories(run.dataset))
    pool = CandidatePool(served.histories, read_samples(run.dataset, "test"), settings.seed)
    visitors = visitors_of(cache, served.histories)
    reporter.say("gate: comparing what is served with float64 loops from raw history and checkpoint")
    gate = run_gate(served, visitors, pool, kernels)
    plan: list[tuple[KernelName, Route]] = [(kernel, route) for kernel in kernels for route in ROUTES]
    others = [Peer.open(name, served, (torch.get_num_threads(), 1)) for name in peers]
    peer_gates: dict[PeerName, PeerGate] = {peer.name: peer.gate(served, visitors, pool) for peer in others}
    passed = [peer for peer in others if peer_gates[peer.name].passed]
    native, path = _native(served, visitors, pool)
    natively: tuple[Route, ...] = ("cache", "full") if native else ()
    scorer = served.scorer(KERNELS[kernels[0]])
    timings = time_routes(
        [(served, *names) for names in plan],
        visitors,
        pool,
        settings,
        reporter,
        [
            *(partial(serve_natively, native, served, route) for route in natively if native),
            *(partial(serve_whole, peer.score(scorer), served) for peer in passed),
        ],
    )
    native_calls: dict[Route, int] = {route: len(plan) + number for number, route in enumerate(natively)}
    first_peer = len(plan) + len(natively)
    peer_calls: dict[PeerName, int] = {peer.name: first_peer + number for number, peer in enumerate(passed)}
    cached: Route = "cache"
    whole: list[tuple[tuple[PeerName | Literal["native"], Route], int]] = [
        *(((NATIVE, route), call) for route, call in native_calls.items()),
        *(((name, cached), call) for name, call in peer_calls.items()),
    ]
    kernel: KernelName = "gemm" if "gemm" in kernels else kernels[0]
    call_of: dict[Route, int] = {route: call for call, (other, route) in enumerate(plan) if other == kernel}
    saved_ms = mean_saving(timings, call_of)
    return Bench(
        run=run.name,
        cache=cache.artifact.name,
        compressor=cache.manifest.compression.compressor if cache.manifest.compression else None,
        machine=Machine.of(run.device),
        gate=gate,
        lengths=_lengths(run, visitors),
        rows=[
            row_of(run, cache, (stage, *names), settings.candidates, timings.between(call, *MARKS[stage]))
            for stage in STAGES
            for call, names in enumerate(plan)
        ]
        + [
            row_of(run, cache, ("request", *names), settings.candidates, timings.between(call, *MARKS["request"]))
            for names, call in whole
        ],
        load=timings.load,
        speedup_vs_full=speedups(timings, call_of),
        speedup_kernel=kernel,
        withheld=timings.load.reason_to_withhold,
        bytes_per_user=cache.manifest.bytes_per_user,
        compress_ms_per_user=cache.manifest.ms_per_user,
        saved_ms_per_request=saved_ms,
        pays_after_requests=None if saved_ms is None or saved_ms <= 0 else cache.manifest.ms_per_user / saved_ms,
        native=path,
        native_speedup=request_ratio(timings, native_calls["full"], native_calls["cache"]) if natively else None,
        peer_gates=peer_gates,
        peer_time={name: request_ratio(timings, call, call_of["cache"]) for name, call in peer_calls.items()},
    )


def _native(served: Served, visitors: Sequence[Visitor], pool: CandidatePool) -> tuple[NativeScorer | None, str]:
    """The native request, after its gate, and its path; or None and why there is none."""
    try:
        native = native_of(served.scorer(KERNELS["gemm"]))
    except UnsupportedError as error:
        return None, f"none: {error}"
    native_gate(served, visitors, pool)
    return native, native.path


def _lengths(run: Run, visitors: Sequence[Visitor]) -> dict[str, int]:
    settings = run.recipe.data
    long = np.clip([v.length - settings.short for v in visitors], 0, settings.long)
    return {"p50": int(np.median(long)), "p90": int(np.quantile(long, 0.9)), "max": int(long.max())}


def speedups(timings: Timings, call_of: Mapping[Route, int]) -> dict[Stage, dict[Lengths, Ratio]]:
    """Time of full attention over that of the cache; `call_of`: the number of each route's call, all of one kernel."""

    def ratio(stage: Stage, route: Route) -> Ratio:
        if timings.load.reason_to_withhold:
            return NO_RATIO
        full, cached = (timings.between(call_of[side], *MARKS[stage]) for side in (route, "cache"))
        return paired_ratio(full, cached, timings.rounds)

    return {stage: {lengths: ratio(stage, route) for lengths, route in AGAINST.items()} for stage in STAGES}


def request_ratio(timings: Timings, call: int, other: int) -> Ratio:
    """Time of the whole request of one call over that of another."""
    if timings.load.reason_to_withhold:
        return NO_RATIO
    first, second = (timings.between(number, *MARKS["request"]) for number in (call, other))
    return paired_ratio(first, second, timings.rounds)


def mean_saving(timings: Timings, call_of: Mapping[Route, int]) -> float | None:
    """Milliseconds that a whole request saves, at real lengths; None where times are not to be trusted."""
    full, cached = (timings.between(call_of[route], *MARKS["request"]) for route in ("full", "cache"))
    return None if timings.load.reason_to_withhold else float((full - cached).mean())


@dataclass(frozen=True)
class ComparedLatency:
    """A row of both results.

    Args:
        method, p50_ms, p50_ci_ms: of the first and of the second.
        ratio: second median / first; `ci`: its 95% interval.
        resolved: 1 lies outside.
        resolvable: the smallest true |ratio - 1| that is found with 80% power.
    """

    stage: str
    kernel: str
    route: str
    length: int | str
    candidates: int
    method: tuple[str, str]
    p50_ms: tuple[float, float]
    p50_ci_ms: tuple[Interval | None, Interval | None]
    ratio: float | None
    ci: Interval | None
    resolved: bool
    resolvable: float | None


def read_bench(path: Path) -> Bench:
    """A result of serve-bench; a UserError where the file is none, compares methods, or has no latencies."""
    remedy = "Measure anew with: lrea serve-bench"
    content = read_json(path, remedy)
    if "under_load" in content:
        raise UserError(
            f"{path} was measured under load (--clients, --rate or --slo-ms); only times of one request at a time are "
            "compared.",
            "Read both files side by side, or measure with --peer to have two servers in the same turns.",
        )
    if "without_run" in content:
        raise UserError(
            f"{path} compares methods within itself (--methods); two results are compared row by row.",
            "Measure one run twice: lrea serve-bench --run NAME. AUCs are compared with: lrea compare RUN RUN",
        )
    bench = parse(Bench, path.read_bytes(), path, remedy)
    if not bench.rows or not all(row.latencies_ms for row in bench.rows):
        raise UserError(f"{path} has no latencies to compare.", remedy)
    return bench


def compare_rows(first: Sequence[Row], second: Sequence[Row]) -> list[ComparedLatency]:
    """Every row that both have, in the first one's order; a UserError where they have none in common."""

    def key(row: Row) -> tuple[object, ...]:
        return tuple(getattr(row, name) for name in SAME)

    others = {key(row): row for row in second}
    rows = [_compared(row, others[key(row)]) for row in first if key(row) in others]
    if not rows:
        raise UserError(
            f"The two results have no row with the same {', '.join(SAME)}.",
            "Measure both with the same options of: lrea serve-bench --candidates N --kernel NAME",
        )
    return rows


def _compared(a: Row, b: Row) -> ComparedLatency:
    change = median_difference(a.latencies_ms, b.latencies_ms)
    return ComparedLatency(
        **{name: getattr(a, name) for name in SAME},
        method=(a.method, b.method),
        p50_ms=(median(a.latencies_ms), median(b.latencies_ms)),
        p50_ci_ms=(median_interval(a.latencies_ms), median_interval(b.latencies_ms)),
        ratio=None if change.value is None else 1 + change.value,
        ci=None if change.ci is None else (1 + change.ci[0], 1 + change.ci[1]),
        resolved=change.resolved,
        resolvable=change.resolvable,
    )
