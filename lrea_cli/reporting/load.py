"""The picture of load: latency against the rate that was offered, a line for each server."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from lrea_cli.bench.load.load_bench import LoadBench
from lrea_cli.bench.load.results import OpenLoop
from lrea_cli.console.counts import counted
from lrea_cli.workspace.sealed import replacing

COLORS = ("#1f5fa8", "#c8621b", "#3d8a4e", "#8a4f9e")
INCHES, DPI = (8.0, 5.0), 150
LEAST = 3
"""Rates of a server before a line says anything."""


def draw(path: Path, bench: LoadBench) -> bool:
    """Write the PNG whole, if a server was measured at three rates or more; return whether one was."""
    trials = {name: _by_rate(found.trials) for name, found in bench.capacity.items()}
    trials = {name: rows for name, rows in trials.items() if len(rows) >= LEAST}
    if not trials:
        return False
    figure = Figure(figsize=INCHES, dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.1, 0.2, 0.86, 0.71))
    for color, (name, rows) in zip(COLORS, trials.items(), strict=False):
        for style, part, width in (("-", "percent_ms", 2.0), (":", "p50_ms", 1.2)):
            points = [(row.rate, _latency(row, part)) for row in rows if _latency(row, part) is not None]
            label = f"{name}, {'p99, or what is backed' if part == 'percent_ms' else 'p50'}"
            axes.plot(*zip(*points, strict=True), style, color=color, lw=width, marker="o", ms=4, label=label)
        growing = [(row.rate, row.percent_ms) for row in rows if row.overloaded and row.percent_ms is not None]
        if growing:
            axes.plot(*zip(*growing, strict=True), "x", color=color, ms=11, mew=2, label=f"{name}, overloaded")
    slo_ms = next(iter(bench.capacity.values())).slo_ms
    axes.axhline(slo_ms, color="#888888", lw=1, ls="--")
    axes.annotate(
        f"limit {slo_ms:g} ms", (0.01, slo_ms), (0, 3), ("axes fraction", "data"), "offset points", fontsize=8
    )
    axes.set_yscale("log")
    axes.set_xlim(left=0)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    settings = bench.under_load
    title = f"{bench.cache}, {counted(settings.candidates, 'candidate')} a request"
    axes.set_title(f"{title}, {counted(settings.clients, 'thread')}", loc="left", fontsize=11)
    axes.set_xlabel("requests a second, Poisson arrivals")
    axes.set_ylabel("latency from the scheduled arrival (ms, log scale)")
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", fontsize=8, frameon=False)
    busy = " Other processes needed the CPU meanwhile." if bench.withheld else ""
    caption = f"A point is one open loop. {bench.machine.cpu}, each request on one thread.{busy}"
    figure.text(0.1, 0.03, caption, fontsize=7.5, color="#555555")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        canvas.print_png(file)
    return True


def _by_rate(trials: tuple[OpenLoop, ...]) -> list[OpenLoop]:
    return sorted(trials, key=lambda row: row.rate)


def _latency(row: OpenLoop, part: str) -> float | None:
    return row.percent_ms if part == "percent_ms" else row.latency.p50_ms
