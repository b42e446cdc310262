"""The picture of a trade-off: AUC against the time of a request, one labelled point for each way to serve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from lrea_cli.console.show import size
from lrea_cli.reporting.labels import Spot, place_labels
from lrea_cli.stats.estimates import Interval
from lrea_cli.workspace.sealed import replacing

Kind = Literal["method", "compressor", "full"]
STYLES: dict[Kind, tuple[str, str, str]] = {
    "method": ("o", "#1f5fa8", "method, through its records"),
    "compressor": ("s", "#c8621b", "din, its records made smaller without training"),
    "full": ("D", "#333333", "full attention over the history itself"),
}
"""Marker, color, and what the legend says."""

INCHES, DPI = (8.0, 5.4), 150
ROOM = 1.6
"""Factor from the outermost points to the ends of the x axis."""


@dataclass(frozen=True)
class Mark:
    """One point.

    Args:
        p50_ms: of the whole request. ci: 95% interval of the AUC, or None.
        bytes_per_user: of a record; None where none is kept.
    """

    name: str
    kind: Kind
    p50_ms: float
    auc: float
    ci: Interval | None
    bytes_per_user: float | None

    @property
    def label(self) -> str:
        """`lrea, 18.7 kB`."""
        return self.name if self.bytes_per_user is None else f"{self.name}, {size(self.bytes_per_user)}"


def draw(path: Path, marks: Sequence[Mark], title: str, machine: str, seeds: Sequence[int]) -> None:
    """Write the PNG whole or not at all.

    Args:
        marks: one or more. title: data set and candidates. machine: what the times were taken on.
        seeds: of training, of each mark: how many its AUC is the mean of.
    """
    figure = Figure(figsize=INCHES, dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.1, 0.22, 0.87, 0.71))
    for kind, (marker, color, meaning) in STYLES.items():
        of = [m for m in marks if m.kind == kind]
        if of:
            x, y = [m.p50_ms for m in of], [m.auc for m in of]
            below, above = ([abs((m.ci or (m.auc, m.auc))[end] - m.auc) for m in of] for end in (0, 1))
            axes.errorbar(
                x, y, (below, above), fmt=marker, color=color, ecolor=f"{color}55", capsize=3, ms=7, label=meaning
            )
    _scale(axes, marks)
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel("whole request, p50 (ms, log scale)")
    axes.set_ylabel("AUC as served, test split")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, fontsize=7.5, frameon=False)
    caption = f"Bars: 95% interval of the {_mean(seeds)}. Bytes: a user's record.\nTimes: {machine}."
    figure.text(0.1, 0.02, caption, fontsize=7.5, color="#555555")
    canvas.draw()
    place_labels(axes, [Spot(m.p50_ms, m.auc, m.label, STYLES[m.kind][1], m.ci) for m in marks])
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        figure.savefig(file, format="png")


def _mean(seeds: Sequence[int]) -> str:
    """What the AUC is the mean of, and what its interval is of."""
    low, high = min(seeds), max(seeds)
    if high == 1:
        return "AUC, other users drawn; one seed of training each"
    return f"mean AUC over {low if low == high else f'{low} to {high}'} seeds of training, for other users and seeds"


def _scale(axes: Axes, marks: Sequence[Mark]) -> None:
    """Log in x, with room at both sides for labels, and numbers at 1, 2 and 5, or at all where the range is narrow."""
    low, high = min(m.p50_ms for m in marks), max(m.p50_ms for m in marks)
    axes.set_xscale("log")
    axes.set_xlim(low / ROOM, high * ROOM)
    axes.margins(y=0.12)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 4 * low else range(1, 10)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
