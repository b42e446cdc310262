"""`lrea serve-bench`: correctness first, then the latency of the cache against full-length attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lrea_cli.bench.load.choices import PEERS
from lrea_cli.commands.load import LoadOptions, bench_under_load, chosen_peers
from lrea_cli.commands.load_tables import show_peer_gates
from lrea_cli.commands.next_steps import after_serve_bench
from lrea_cli.commands.options import SEED, Device, Json, RunName, Session, Threads, command, existing, start, within
from lrea_cli.commands.trade_off import result_path, show_gate, show_load, trade_off
from lrea_cli.console.counts import counted
from lrea_cli.console.output import Console
from lrea_cli.console.show import milliseconds
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.errors import UserError
from lrea_cli.recipe.settings import COUNT, KERNEL_NAMES, KernelName
from lrea_cli.records.manifest import CACHES
from lrea_cli.workspace.sealed import write_json

if TYPE_CHECKING:
    from lrea_cli.bench.bench import Bench
    from lrea_cli.bench.load.choices import PeerName
    from lrea_cli.bench.routes import BenchSettings
    from lrea_cli.records.cache import Cache
    from lrea_cli.runs.checkpoint import Run
    from lrea_cli.workspace.home import Artifact


@dataclass(frozen=True)
class ServeBenchOptions(LoadOptions):
    """Options of `lrea serve-bench`."""

    candidates: Annotated[int, typer.Option(callback=within(*COUNT), help="Candidates of each request.")] = 1000
    kernel: Annotated[
        Literal["all", KernelName],
        typer.Option(
            metavar="<name>",
            help=f"Which kernel computes attention: {', '.join(KERNEL_NAMES)}; all: each that is made for serving.",
        ),
    ] = "all"
    peer: Annotated[
        str | None,
        typer.Option(help=f"Also time these runtimes, on the request as an ONNX graph: {', '.join(PEERS)}, or both."),
    ] = None
    seconds: Annotated[
        float, typer.Option(callback=within(0.1, 86_400), help="Seconds to time each row of the table, on average.")
    ] = 8.0
    cache: Annotated[
        str | None,
        existing(CACHES, "Which cache to read; default: the run's latest, or a new one where it has none."),
    ] = None
    methods: Annotated[
        str | None,
        typer.Option(help="Compare methods by their runs on the dataset: all, or names such as lrea,din."),
    ] = None
    dataset: Annotated[
        str | None,
        existing(
            DATASETS,
            "Read the latest run of this dataset; default: of any. With --methods, read all runs of it; default: of "
            "that of the latest run.",
        ),
    ] = None
    run: RunName = None
    seed: Annotated[int, SEED] = 2025
    threads: Threads = None
    device: Device = "auto"
    json: Json = False


@command
def serve_bench(options: ServeBenchOptions) -> None:
    """Time requests through the cache and by full attention.

    Example: lrea serve-bench --candidates 1000

    First a gate compares what is served with float64 loops; where they differ, no time is given. Then all rows of the
    table take turns on the same requests. Where other processes need the CPU, no ratio of times is given.

    With --clients, --rate or --slo-ms: requests come from several threads at once. A closed loop shows how many are
    served in a second, an open loop how long they take at a rate, --slo-ms how high the rate may be.

    With --methods all: AUC against time for every method and compressor, as a table and a picture. Runs that differ
    only in their seed count as one recipe, by their mean AUC. Without --dataset, the dataset is that of the latest run.
    """
    from lrea_cli.bench.peers import require_installed
    from lrea_cli.bench.routes import BenchSettings
    from lrea_cli.records.cache import run_and_cache
    from lrea_cli.runs.checkpoint import open_run

    options.require_used()
    peers = chosen_peers(options.peer)
    require_installed(peers)
    settings = BenchSettings(options.candidates, options.seconds, options.seed)
    session = start(options.json, options.threads, options.device)
    if options.methods is not None:
        _refuse_with_methods(options)
        trade_off(session, options.methods, options.dataset, settings)
        return
    name, cache = run_and_cache(session.workspace, options.run, options.cache)
    run = open_run(session.workspace, name, options.dataset, session.device)
    if options.is_load:
        records = _records_of(session, run, cache)
        kernel: KernelName = "gemm" if options.kernel == "all" else options.kernel
        loaded = bench_under_load(session, run, records, options.settings(settings, peers), kernel)
        session.console.result(loaded.to_dict())
        return
    bench = bench_run(session, run, cache, settings, options.kernel, peers)
    session.console.result(bench.to_dict(), then=after_serve_bench(session.workspace, bench))


def _refuse_with_methods(options: ServeBenchOptions) -> None:
    if options.run is not None or options.cache is not None or options.kernel != "all":
        raise UserError(
            "--methods chooses the runs, the caches and the kernel by itself.",
            "Leave out --run, --cache and --kernel, or --methods.",
        )
    if options.is_load or options.peer is not None:
        raise UserError(
            "--methods times one request at a time, of lrea alone.",
            "Leave out --methods; or --clients, --rate, --slo-ms and --peer.",
        )


def _records_of(session: Session, run: Run, cache: Artifact | None) -> Cache:
    """The named cache, else the run's latest, else a new one."""
    from lrea_cli.commands.compress import compress_first
    from lrea_cli.records.cache import find_cache, open_records

    cache = cache or find_cache(session.workspace, run)
    records = compress_first(session, run, "cache") if cache is None else open_records(run, cache)
    session.console.say(f"run {run.name}, cache {records.artifact.name}, dataset {run.dataset.manifest.dataset}")
    return records


def bench_run(
    session: Session,
    run: Run,
    cache: Artifact | None,
    settings: BenchSettings,
    kernel: Literal["all", KernelName],
    peers: Sequence[PeerName] = (),
) -> Bench:
    """Gate and time a run's cache, show the table, keep the JSON in `bench/`.

    Args:
        cache: None = the run's latest; made first where there is none.
    """
    from lrea_cli.bench.bench import serve_bench as time_requests
    from lrea_cli.kernels import serving_kernels, why_not

    if kernel != "all" and (reason := why_not(kernel, session.device)) is not None:
        raise UserError(f"The kernel {kernel} cannot run on {session.device}: {reason}.", "Leave out --kernel.")
    kernels = serving_kernels(session.device) if kernel == "all" else (kernel,)
    console, records = session.console, _records_of(session, run, cache)
    bench = time_requests(run, records, settings, kernels, console, peers)
    path = result_path(session.workspace, run.name)
    write_json(path, bench.to_dict(latencies=True))
    _show(session, bench)
    console.say(f"written to {path}")
    return bench


def _show(session: Session, bench: Bench) -> None:
    from lrea_cli.stats.latencies import shortfalls

    console, lengths, first = session.console, bench.lengths, bench.rows[0]
    console.say(f"machine: {bench.machine}")
    show_gate(console, bench.gate)
    show_peer_gates(console, bench.peer_gates)
    console.say(f"long lengths: p50 {lengths['p50']}, p90 {lengths['p90']}, max {lengths['max']}")
    rows = []
    for row in bench.rows:
        rank = "-" if row.rank is None else str(row.rank)
        times = map(milliseconds, (row.p50_ms, row.p95_ms, row.p99_ms))
        rows.append([row.stage, row.method, row.kernel, str(row.length), rank, *times])
    columns = ["stage", "method", "kernel", "length", "rank", "p50 ms", "p95 ms", "p99 ms"]
    shown = f"{counted(first.requests, 'request')} of {counted(first.candidates, 'candidate')}"
    console.table(f"{shown}; every row serves the same ones", columns, rows)
    for missing in shortfalls(first.requests, (50, 95, 99)):
        console.say(missing)
    show_load(console, bench.load)
    show_speedup(console, bench)
    console.say(f"native request: {bench.native}")
    if bench.native_speedup is not None and not bench.withheld:
        console.say(f"natively, full attention takes {bench.native_speedup} times as long as the cache")
    for name, ratio in bench.peer_time.items():
        console.say(f"time of {name} / time of the cache, whole request, {bench.speedup_kernel}: {ratio}")
    pays = when_it_pays(bench.saved_ms_per_request, bench.pays_after_requests)
    console.say(
        f"a record takes {bench.bytes_per_user:,.0f} bytes and {bench.compress_ms_per_user:.2f} ms to make: {pays}"
    )
    if session.device.type != "cuda":
        console.say("device: cpu; this run says nothing of a GPU")


def show_speedup(console: Console, bench: Bench) -> None:
    """Ratios of the whole request and of its interest."""
    if bench.withheld:
        return
    names = {"request": "whole request", "interest": "interest alone"}
    rows = [[names[stage], str(row["real"]), str(row["padded"])] for stage, row in bench.speedup_vs_full.items()]
    title = f"time of full attention / time of the cache: totals of the same requests, {bench.speedup_kernel}"
    console.table(title, ["(95% interval)", "real lengths", "padded"], rows)


def when_it_pays(saved_ms: float | None, needed: float | None) -> str:
    """A sentence: how many requests save what making a record costs.

    Args:
        saved_ms: by one request; None = withheld.
        needed: requests that save as much; None where requests are not faster.
    """
    if saved_ms is None:
        return "whether that pays cannot be said: the times are not to be trusted"
    if needed is None:
        return "it never pays: requests are not faster with it"
    saved = f"one request saves {saved_ms:.3g} ms"
    if needed <= 1:
        return f"{saved}, so the first request after a refresh pays for it"
    requests = counted(math.ceil(needed), "request")
    return f"{saved}, so it pays where a user sends {requests} or more between two refreshes"
