"""A learning curve: AUC against the samples that a model learnt from, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lrea_cli.console import show
from lrea_cli.console.counts import counted
from lrea_cli.reporting.markdown import difference, table
from lrea_cli.stats.estimates import Interval
from lrea_cli.sweep.results import OverSeeds, Prepared, Results, Scored
from lrea_cli.workspace.sealed import replacing

STYLES = (
    ("#0072b2", "o"),
    ("#d55e00", "s"),
    ("#009e73", "^"),
    ("#cc79a7", "D"),
    ("#e69f00", "v"),
    ("#56b4e9", "P"),
    ("#000000", "X"),
)
"""Color and marker of each line. The colors are those of Okabe and Ito (2008), which color-blind eyes tell apart."""
DASHES = ("-", "--", ":")
"""Of the first lines, of those after them when all colors have been used, and again."""

INCHES, DPI = (8.0, 5.0), 150
PICTURE = "curve-{dataset}.png"
"""Beside the JSON file of a page."""


def curve_section(results: Results, dataset: Prepared, data: str) -> list[str]:
    """The part of a page; empty where no recipe has a share.

    Args:
        data: relative link to the JSON file, beside which the picture lies.
    """
    lines = curves(results.scored, dataset.name)
    if not lines:
        return []
    picture = Path(data).parent / PICTURE.format(dataset=dataset.name)
    how = (
        "Each recipe learnt from the samples of a share of the users of the training split, the same users for every "
        "recipe of a seed; a smaller share's users are among a larger one's. The test split is the same. AUC as served"
    )
    against = f", in brackets minus that of `{results.base}` at the same share (`~`: no difference is shown)"
    how += f"{against if results.base else ''}."
    title = f"AUC of {dataset.name} against training samples"
    return [f"### Learning curve\n\n{how}", curve_table(lines), f"![{title}]({picture.as_posix()})"]


def curves(scored: Sequence[Scored], dataset: str) -> dict[str, list[Scored]]:
    """The points of each recipe's curve, the fewest samples first; empty where there are no shares."""
    found: dict[str, list[Scored]] = {}
    for one in scored:
        if one.dataset == dataset and one.curve is not None:
            found.setdefault(one.curve, []).append(one)
    return {recipe: sorted(points, key=lambda s: s.share) for recipe, points in found.items()}


def curve_table(lines: dict[str, list[Scored]]) -> str:
    """Recipes down, shares across."""
    shares = sorted({point.share for points in lines.values() for point in points})
    heads = []
    for share in shares:
        rows = [_rows(p) for points in lines.values() for p in points if p.share == share]
        known = [count for count in rows if count is not None]
        heads.append(f"{share:g}: {max(known):,.0f}" if known else f"{share:g}")
    cells = []
    for recipe, points in lines.items():
        of_share = {point.share: point for point in points}
        cells.append([recipe, *(_cell(of_share.get(share)) for share in shares)])
    return table(["recipe; share: samples", *heads], cells)


def draw(path: Path, results: Results, dataset: Prepared) -> bool:
    """Write the picture of a dataset's curves as PNG, whole; return whether it has any."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullFormatter

    lines = curves(results.scored, dataset.name)
    if not lines:
        return False
    figure = Figure(figsize=INCHES, dpi=DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.1, 0.16, 0.66, 0.75))
    for i, (recipe, points) in enumerate(lines.items()):
        xs, ys, low, high = _series(points)
        color, marker = STYLES[i % len(STYLES)]
        dash = DASHES[i // len(STYLES) % len(DASHES)]
        axes.errorbar(xs, ys, (low, high), fmt=marker + dash, color=color, capsize=3, ms=6, lw=1.4, label=recipe)
    axes.set_xscale("log")
    ticks = sorted({x for points in lines.values() for x in _series(points)[0]})
    axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"{dataset.name}: learning curves", loc="left", fontsize=11)
    axes.set_xlabel("training samples (log scale)")
    axes.set_ylabel("AUC as served, test split")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8, frameon=False)
    seeds = counted(max(len(p.seeds) for points in lines.values() for p in points), "seed")
    best = f" Best possible AUC: {dataset.best['bayes_auc']:.4f}." if "bayes_auc" in dataset.best else ""
    caption = f"Mean of up to {seeds}; bars: smallest to largest seed.{best}"
    figure.text(0.1, 0.02, caption, fontsize=7.5, color="#555555")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        figure.savefig(file, format="png")
    return True


def _series(points: Sequence[Scored]) -> tuple[list[float], list[float], list[float], list[float]]:
    """Samples, mean AUC, and how far the smallest and the largest seed lie from it."""
    pairs = [(_rows(p), p.auc_served.mean, p) for p in points]
    known = [(rows, mean, p) for rows, mean, p in pairs if rows is not None and mean is not None]
    spans = [_range(p.auc_served) or (mean, mean) for _, mean, p in known]
    low = [mean - span[0] for (_, mean, _), span in zip(known, spans, strict=True)]
    high = [span[1] - mean for (_, mean, _), span in zip(known, spans, strict=True)]
    return [rows for rows, _, _ in known], [mean for _, mean, _ in known], low, high


def _range(values: OverSeeds) -> Interval | None:
    known = [value for value in values.values if value is not None]
    return (min(known), max(known)) if known else None


def _rows(point: Scored) -> float | None:
    return point.train_rows.mean if point.train_rows is not None else None


def _cell(point: Scored | None) -> str:
    """`.7970 (-.0012)`."""
    if point is None:
        return "-"
    own = show.number(point.auc_served.mean, none="-")
    return own if point.difference_served is None else f"{own} ({difference(point.difference_served)})"
