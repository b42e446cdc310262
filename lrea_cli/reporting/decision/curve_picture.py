"""The picture of the learning curves: AUC by the number of training rows, one line for each contender."""

from __future__ import annotations

from collections.abc import Sequence

from lrea_cli.console.show import number
from lrea_cli.decide.results import Contender, Kind
from lrea_cli.decide.verdict.answer import Decision
from lrea_cli.reporting.decision.document import Picture
from lrea_cli.reporting.decision.frontier_picture import LEGEND_LINE
from lrea_cli.reporting.decision.svg import Scale, decimals, drawing, line, mark, path, shortened, text
from lrea_cli.reporting.labels import Box, spread

FRAMES = {"wide": (980.0, Box(74, 20, 740, 400)), "narrow": (380.0, Box(56, 20, 212, 400))}
LEAST_GAP = 15.0
Curve = list[tuple[int, float]]
"""Training rows and AUC."""


def curve_of(each: Contender) -> Curve:
    """Its points that are known, the fewest rows first."""
    return sorted((point.rows, point.auc.value) for point in each.curve if point.auc.value is not None)


def curve_picture(decision: Decision) -> Picture | None:
    """The picture; None where no contender has two points."""
    curves = {each.name: curve for each in decision.measured.contenders if len(curve := curve_of(each)) > 1}
    if not curves:
        return None
    alt = "AUC by the number of training rows. " + "; ".join(
        f"{' '.join(name.split())}: {', '.join(f'{number(auc)} at {rows:,}' for rows, auc in curve)}"
        for name, curve in curves.items()
    )
    wide, narrow = (_svg(decision, curves, size, alt) for size in FRAMES)
    return Picture(wide, narrow, f"{alt}.")


def _svg(decision: Decision, curves: dict[str, Curve], size: str, alt: str) -> str:
    width, plot = FRAMES[size]
    rows = sorted({n for curve in curves.values() for n, _ in curve})
    aucs = [auc for curve in curves.values() for _, auc in curve]
    margin = max(0.05 * (max(aucs) - min(aucs)), 1e-6)
    x = Scale(rows[0], rows[-1], plot.x0 + 12, plot.x1 - 12, log=True)
    y = Scale(min(aucs) - margin, max(aucs) + margin, plot.y1, plot.y0)
    parts = [*_axes(plot, x, y, rows), *_lines(decision, curves, size, x, y)]
    return drawing(width, plot.y1 + 40 + LEGEND_LINE, size, alt, parts)


def _axes(plot: Box, x: Scale, y: Scale, rows: Sequence[int]) -> list[str]:
    ticks, parts = y.ticks(7), []
    places = decimals(ticks[1] - ticks[0]) if len(ticks) > 1 else 4
    for tick in ticks:
        at = y.at(tick)
        parts += [line(plot.x0, at, plot.x1, at, "grid"), text(plot.x0 - 6, at, f"{tick:.{places}f}", "soft", "end")]
    for count in rows:
        at = x.at(count)
        parts += [line(at, plot.y1, at, plot.y1 + 5, "axis"), text(at, plot.y1 + 17, _short(count), "soft", "middle")]
    middle = (plot.x0 + plot.x1) / 2
    return [
        *parts,
        line(plot.x0, plot.y1, plot.x1, plot.y1, "axis"),
        text(middle, plot.y1 + 38, "training rows (log scale)", "soft", "middle"),
        text(plot.x0, 6, "AUC", "soft"),
    ]


def _lines(decision: Decision, curves: dict[str, Curve], size: str, x: Scale, y: Scale) -> list[str]:
    """The lines, and their names at the right; those of the choice and of the highest AUC stand out."""
    (width, plot), verdict, parts = FRAMES[size], decision.verdict, []
    main = {verdict.choice, verdict.guess, verdict.best}
    kinds: dict[str, Kind] = {each.name: each.kind for each in decision.measured.contenders}
    ends = [y.at(curve[-1][1]) for curve in curves.values()]
    heights = spread(ends, LEAST_GAP, plot.y0, plot.y1)
    ordered = sorted(zip(curves.items(), ends, heights, strict=True), key=lambda each: each[0][0] in main)
    for (name, curve), end, height in ordered:
        points = [(x.at(rows), y.at(auc)) for rows, auc in curve]
        strong = name in main
        parts.append(path(points, f"line s-{kinds[name]}{' main' if strong else ''}"))
        parts += [mark(kinds[name], *point, radius=5.0 if strong else 3.5) for point in points]
        parts.append(line(points[-1][0] + 7, end, plot.x1 + 12, height, "lead"))
        words = shortened(" ".join(name.split()), width - plot.x1 - 15)
        parts.append(text(plot.x1 + 15, height, words, f"name{' strong' if strong else ''}"))
    return parts


def _short(rows: int) -> str:
    """`180k`, `2.4M`."""
    for unit, factor in (("M", 1e6), ("k", 1e3)):
        if rows >= factor:
            return f"{rows / factor:.3g}{unit}"
    return str(rows)
