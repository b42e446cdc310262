"""`lrea serve-bench`: correctness first, then the latency of the cache against full-length attention."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lrea_cli.commands.command import command
from lrea_cli.commands.next_steps import after_serve_bench
from lrea_cli.commands.options import SEED, Device, Json, RunName, Session, Threads, existing, start, within
from lrea_cli.commands.times import (
    machine,
    machine_line,
    show_gate,
    show_load,
    show_speedup,
    when_it_pays,
)
from lrea_cli.commands.trade_off import trade_off
from lrea_cli.console.counts import counted
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.errors import UserError
from lrea_cli.recipe.settings import COUNT, KERNEL_NAMES, KernelName
from lrea_cli.records.manifest import CACHES
from lrea_cli.workspace.sealed import write_json

if TYPE_CHECKING:
    from lrea_cli.bench.bench import Bench
    from lrea_cli.records.cache import Cache
    from lrea_cli.runs.checkpoint import Run
    from lrea_cli.workspace.home import Artifact


@dataclass(frozen=True)
class ServeBenchOptions:
    """Options of `lrea serve-bench`."""

    candidates: Annotated[int, typer.Option(callback=within(*COUNT), help="Candidates of each request.")] = 1000
    kernel: Annotated[
        Literal["all", KernelName],
        typer.Option(
            metavar="<name>",
            help=f"Which kernel computes attention: {', '.join(KERNEL_NAMES)}; all: each that is made for serving.",
        ),
    ] = "all"
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
            "the latest dataset.",
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

    With --methods all: AUC against time for every method and compressor, as a table and a picture. Runs that differ
    only in their seed count as one recipe, by their mean AUC. Without --dataset, the dataset is that of the latest run.
    """
    from lrea_cli.records.cache import run_and_cache
    from lrea_cli.runs.checkpoint import open_run

    session = start(options.json, options.threads, options.device)
    if options.methods is not None:
        if options.run is not None or options.cache is not None or options.kernel != "all":
            raise UserError(
                "--methods chooses the runs, the caches and the kernel by itself.",
                "Leave out --run, --cache and --kernel, or --methods.",
            )
        trade_off(session, options.methods, options.dataset, options.candidates, options.seconds, options.seed)
        return
    name, cache = run_and_cache(session.workspace, options.run, options.cache)
    run = open_run(session.workspace, name, options.dataset, session.device)
    content = bench_run(session, run, cache, options)
    session.console.result(content, then=after_serve_bench(session.workspace, content))


def bench_run(session: Session, run: Run, cache: Artifact | None, options: ServeBenchOptions) -> dict[str, Any]:
    """Gate and time a run's cache, show the table, keep the JSON in `bench/`.

    Args:
        cache: None = the run's latest; made first where there is none.
        options: how requests are timed: candidates, kernel, seconds and seed.

    Returns:
        what `--json` prints.
    """
    from lrea_cli.bench.bench import serve_bench as time_requests
    from lrea_cli.bench.routes import BenchSettings
    from lrea_cli.kernels import SERVING_KERNELS

    console = session.console
    opened = _records(session, run, cache)
    console.say(f"run {run.name}, cache {opened.artifact.name}, dataset {run.dataset.manifest.dataset}")
    kernels = SERVING_KERNELS if options.kernel == "all" else (options.kernel,)
    settings = BenchSettings(options.candidates, options.seconds, options.seed)
    bench = time_requests(run, opened, settings, kernels, console)
    content = _content(session, run, opened, bench)
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    path = session.workspace.home / "bench" / f"{now}-{run.name}.json"
    write_json(path, {**content, "rows": [row.to_dict(latencies=True) for row in bench.rows]})
    _show(session, bench, content)
    console.say(f"written to {path}")
    return content


def _records(session: Session, run: Run, artifact: Artifact | None) -> Cache:
    """The cache, else the run's latest, else a new one."""
    from lrea_cli.commands.compress import compress_first
    from lrea_cli.records.cache import find_cache, open_records

    artifact = find_cache(session.workspace, run) if artifact is None else artifact
    return compress_first(session, run, "cache") if artifact is None else open_records(run, artifact)


def _content(session: Session, run: Run, cache: Cache, bench: Bench) -> dict[str, Any]:
    speedup = bench.speedup
    return {
        "run": run.name,
        "cache": cache.artifact.name,
        "compressor": cache.manifest.compressor,
        "machine": machine(session),
        "gate": vars(bench.gate),
        "lengths": bench.lengths,
        "rows": [row.to_dict() for row in bench.rows],
        "load": vars(bench.load),
        "speedup_vs_full": {s: {of: r.to_dict() for of, r in row.items()} for s, row in speedup.ratios.items()},
        "speedup_kernel": speedup.kernel,
        "withheld": speedup.withheld,
        "bytes_per_user": cache.manifest.bytes_per_user,
        "compress_ms_per_user": cache.manifest.ms_per_user,
        "saved_ms_per_request": speedup.saved_ms,
        "pays_after_requests": speedup.pays_after(cache.manifest.ms_per_user),
    }


def _show(session: Session, bench: Bench, content: dict[str, Any]) -> None:
    from lrea_cli.stats.percentiles import shortfalls

    console = session.console
    console.say(f"machine: {machine_line(content['machine'])}")
    show_gate(console, bench.gate)
    lengths = bench.lengths
    console.say(f"long lengths: p50 {lengths['p50']}, p90 {lengths['p90']}, max {lengths['max']}")
    rows = [
        [
            row.stage,
            row.method,
            row.kernel,
            str(row.length),
            "-" if row.rank is None else str(row.rank),
            *("n/a" if p.value is None else str(p) for p in row.percentiles),
        ]
        for row in bench.rows
    ]
    columns = ["stage", "method", "kernel", "length", "rank", "p50 ms", "p95 ms", "p99 ms"]
    first = bench.rows[0]
    shown = f"{counted(first.requests, 'request')} of {counted(first.candidates, 'candidate')}"
    console.table(f"{shown}; every row serves the same ones", columns, rows)
    for missing in shortfalls([row.percentiles for row in bench.rows]):
        console.say(missing)
    show_load(console, bench.load)
    show_speedup(console, bench.speedup)
    made = content["compress_ms_per_user"]
    pays = when_it_pays(made, bench.speedup)
    console.say(f"a record takes {content['bytes_per_user']:,.0f} bytes and {made:.2f} ms to make: {pays}")
    if session.device.type != "cuda":
        console.say("device: cpu; this run says nothing of a GPU")
