"""The picture of a trade-off: AUC against the time of a request, one labelled point for each way to serve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from lrea_cli.bench.trade_off import Line, TradeOff
from lrea_cli.console.counts import counted
from lrea_cli.console.show import size
from lrea_cli.reporting.axes_labels import Label, write_labels
from lrea_cli.stats.methods import GIVEN_MODELS, OVER_SEEDS
from lrea_cli.workspace.sealed import replacing

STYLES: dict[str, tuple[str, str, str]] = {
    "method": ("o", "#1f5fa8", "method, through its records"),
    "compressor": ("s", "#c8621b", "din, its records made smaller without training"),
    "full": ("D", "#333333", "full attention over the history itself"),
}
"""Marker, color, and what the legend says."""

INCHES, DPI = (8.0, 5.4), 150
CAPTION_WIDTH = 115
"""Characters."""
ROOM = 1.6
"""Factor from the outermost points to the ends of the x axis."""


def draw(path: Path, result: TradeOff) -> bool:
    """Write the PNG whole, if there are contenders with a time and an AUC; return whether there are."""
    lines = [line for line in result.rows if line.p50_ms is not None and line.auc is not None]
    if not lines:
        return False
    figure = Figure(figsize=INCHES, dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.1, 0.22, 0.87, 0.71))
    labels = [_label(line) for line in lines]
    for marker, color, meaning in STYLES.values():
        of_style = [one for one in labels if one.color == color]
        if of_style:
            x, y = [one.x for one in of_style], [one.y for one in of_style]
            below, above = ([abs((s.bar or (s.y, s.y))[end] - s.y) for s in of_style] for end in (0, 1))
            axes.errorbar(
                x, y, (below, above), fmt=marker, color=color, ecolor=f"{color}55", capsize=3, ms=7, label=meaning
            )
    _scale(axes, min(one.x for one in labels), max(one.x for one in labels))
    axes.set_title(f"{result.dataset}, {counted(result.candidates, 'candidate')} a request", loc="left", fontsize=11)
    axes.set_xlabel("whole request, p50 (ms, log scale)")
    axes.set_ylabel("AUC as served, test split")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, fontsize=7.5, frameon=False)
    busy = result.load is not None and result.load.reason_to_withhold is not None
    taken_on = f"{result.machine}{'; others needed the CPU: do not compare times' if busy else ''}"
    caption = f"Bars: 95% interval of the {_mean(lines)}. Bytes: a user's record. Times: {taken_on}."
    figure.text(0.1, 0.02, fill(caption, CAPTION_WIDTH), fontsize=7.5, color="#555555")
    canvas.draw()
    write_labels(axes, labels)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        figure.savefig(file, format="png")
    return True


def _label(line: Line) -> Label:
    """Its label: `lrea, 18.7 kB`."""
    assert line.p50_ms is not None
    assert line.auc is not None
    kind = "full" if line.method == "full" else "compressor" if line.compressor else "method"
    label = line.name if line.bytes_per_user is None else f"{line.name}, {size(line.bytes_per_user)}"
    return Label(line.p50_ms, line.auc, label, STYLES[kind][1], line.auc_ci)


def _mean(lines: Sequence[Line]) -> str:
    """What the AUC is the mean of, and what its interval is of."""
    seeds = [len(line.auc_by_seed) for line in lines]
    low, high = min(seeds), max(seeds)
    if high == 1:
        return f"AUC, {GIVEN_MODELS}; one seed of training each"
    many = str(low) if low == high else f"{low} to {high}"
    return f"mean AUC of {many} seeds, {OVER_SEEDS}{f' (of one seed, {GIVEN_MODELS})' if low == 1 else ''}"


def _scale(axes: Axes, low: float, high: float) -> None:
    """Log in x, with room at both sides for labels, and numbers at 1, 2 and 5, or at all where the range is narrow."""
    axes.set_xscale("log")
    axes.set_xlim(low / ROOM, high * ROOM)
    axes.margins(y=0.12)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 4 * low else range(1, 10)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
