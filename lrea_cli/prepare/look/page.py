"""The page of a prepared dataset: tables and four plots in one file that needs no other."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import asdict, replace
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lrea_cli.console.show import number
from lrea_cli.dataset.fields import SECONDS_PER_DAY
from lrea_cli.dataset.layout import DatasetInfo
from lrea_cli.dataset.manifest import DatasetManifest
from lrea_cli.prepare.look.field_auc import measure_fields, warnings_of
from lrea_cli.prepare.look.measure import TITLES, Histogram, Look, look_at
from lrea_cli.stats.estimates import Z_95
from lrea_cli.stats.ranks import ALIKE
from lrea_cli.workspace.blocks import DatasetFiles

PAGE = "look.html"
INCHES, DPI = (10.0, 6.6), 120
BLUE, RED, GRAY = "#1f5fa8", "#c8621b", "#999999"
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse}td{padding:.15rem 1.2rem .15rem 0;border-bottom:1px solid #ddd}"
    "th{font-weight:600;text-align:left;padding-right:1.2rem}"
    "td+td,th+th{text-align:right;font-variant-numeric:tabular-nums}img{max-width:100%}.warning{color:#a33}"
)


class Table(NamedTuple):
    """What is shown, on the console and on the page."""

    title: str
    columns: tuple[str, ...]
    rows: list[list[object]]


def look_into(folder: Path, manifest: DatasetManifest) -> tuple[Look, DatasetManifest]:
    """Look at a dataset that is whole but for its manifest, and write the page into its folder.

    Returns:
        the look, and the manifest with it, its facts and its warnings.
    """
    dataset = DatasetInfo(manifest, DatasetFiles(folder))
    look, field_auc = look_at(dataset), measure_fields(dataset)
    warnings = (*manifest.warnings, *look.warnings(), *warnings_of(manifest.fields, field_auc, look.best_counter))
    manifest = replace(manifest, field_auc=field_auc, warnings=warnings)
    (folder / PAGE).write_text(page(look, manifest), encoding="utf-8")
    return look, replace(manifest, look=asdict(look))


def rows_of(look: Look) -> list[tuple[str, object]]:
    """The table: what, and its value; whole numbers as such, shares as text."""
    lengths, candidates = look.lengths, look.candidates
    return [
        ("users", look.users),
        ("items", look.items),
        ("behaviors", look.behaviors),
        ("behaviors a user, p50 / p90 / p99 / max", _numbers(lengths.p50, lengths.p90, lengths.p99, lengths.max)),
        ("candidates a test request, p50 / max", _numbers(candidates.p50, candidates.max)),
        (f"test samples with no long part (<= {look.short} behaviors)", f"{look.long_empty:.2%}"),
        ("behaviors in the same second as the one before", f"{look.ties:.2%}"),
        ("behaviors that repeat an item", f"{look.repeats:.2%}"),
        ("test samples of items not seen in training", f"{look.unknown_items:.2%}"),
        *((f"AUC of {TITLES[name]}", number(value)) for name, value in look.baselines.items()),
    ]


def split_table(manifest: DatasetManifest) -> Table:
    """One row a split."""
    columns = ("split", "first day", "last day", "rows", "users", "click rate")
    rows = [
        [split, part["first_day"], part["last_day"], part["rows"], part["users"], f"{part['click_rate']:.2%}"]
        for split, part in manifest.split_facts.items()
    ]
    return Table("what each split holds", columns, rows)


def field_table(manifest: DatasetManifest) -> Table:
    """One row a field; values that were lost have a column where there are any."""
    facts, auc = manifest.field_facts, manifest.field_auc or {}
    shares = ["missing", *(["lost"] if any(of_field.get("lost") for of_field in facts.values()) else []), "unknown"]
    rows: list[list[object]] = []
    for field in manifest.fields:
        known = (f"{facts[field.name].get(share, 0):.2%}" for share in shares)
        rows.append([field.name, field.role, number(auc[field.name]), *known])
    return Table("what each field says alone", ("field", "role", "AUC alone", *shares), rows)


def explained(manifest: DatasetManifest, look: Look) -> list[str]:
    """Sentences that say what the tables mean, and what the test split can resolve."""
    lines = [
        "AUC alone: how well a field tells the labels by itself. A value's score is its mean label on train; the AUC "
        "is that of the valid split.",
        "missing: share of the events that have no value.",
        "unknown: share of the valid and test samples whose value was first seen after training.",
    ]
    if any(of_field.get("lost") for of_field in manifest.field_facts.values()):
        lines.append("lost: share of the events whose value could not be read.")
    if manifest.labels == "sampled" and any(auc is None for auc in (manifest.field_auc or {}).values()):
        lines.append("n/a: negatives were drawn, so a request has the same value of such a field for both labels.")
    if (test := look.resolution) is not None:
        lines.append(
            f"test split: it gives an AUC to about +-{Z_95 * test.standard_error:.4f} (95%, over users; estimated by "
            f"the counter {test.counter}). The smallest difference of two models that it can show is about "
            f"{test.alike:.4f} where their AUCs correlate by {ALIKE}, as those of most methods do, and "
            f"{test.unrelated:.4f} where they do not. `lrea compare` measures it for two runs."
        )
    if unused := manifest.unused_columns:
        lines.append(f"columns that were not used: {', '.join(unused)}")
    return lines


def page(look: Look, manifest: DatasetManifest) -> str:
    """The whole page as HTML; the manifest's warnings stand above all else."""
    title = f"{manifest.dataset}: a look at the data"
    facts = [split_table(manifest), field_table(manifest)]
    tables = _table((), rows_of(look)) + "".join(f"<h2>{t.title}</h2>{_table(t.columns, t.rows)}" for t in facts)
    tables += f"<p>{escape(' '.join(line.strip() for line in explained(manifest, look)))}</p>"
    said = "".join(f'<p class="warning">Warning: {escape(text)}</p>' for text in manifest.warnings)
    picture = base64.b64encode(_picture(look, manifest)).decode()
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
        f"<h1>{escape(title)}</h1>{said}{tables}"
        f'<p><img alt="history length, daily volume, age and popularity of candidates by label" '
        f'src="data:image/png;base64,{picture}"></p>'
        "<p>Positives and negatives should have nearly the same popularity and age: where they differ, a counter tells "
        "them apart, and so will any model.</p></html>\n"
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """An HTML table; no header where there are no columns."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    texts = ([f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in texts)
    return f"<table>{f'<tr>{head}</tr>' if columns else ''}{body}</table>"


def _picture(look: Look, manifest: DatasetManifest) -> bytes:
    figure = Figure(figsize=INCHES, dpi=DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    (length, volume), (age, popularity) = figure.subplots(2, 2)
    _bars(length, look.length_histogram, "behaviors of a user", "users")
    _volume(volume, look, manifest)
    _bars(age, look.novelty, "days since the item's first behavior", "share of test samples")
    _bars(popularity, look.popularity, "behaviors on the item before the valid split", "share of test samples")
    out = io.BytesIO()
    canvas.print_png(out)
    return out.getvalue()


def _bars(axes: Axes, histogram: Histogram, name: str, unit: str) -> None:
    """Counts up to the last bin that is not empty, or shares of positives and of negatives side by side."""
    all_counts = (histogram.counts, histogram.positives, histogram.negatives)
    bins = 1 + max((n for counts in all_counts for n, count in enumerate(counts) if count), default=0)
    if histogram.counts:
        axes.bar(range(bins), histogram.counts[:bins], width=0.9, color=BLUE)
    else:
        for label, shift, color, counts in ((1, -0.21, BLUE, histogram.positives), (0, 0.21, RED, histogram.negatives)):
            shares = np.array(counts[:bins]) / max(1, sum(counts))
            axes.bar(np.arange(bins) + shift, shares, width=0.42, color=color, label=f"label {label}")
        axes.legend(frameon=False, fontsize=8)
    axes.set_xticks(range(bins), [f"{edge:g}" for edge in histogram.edges[:bins]], fontsize=8, rotation=30)
    axes.set_xlabel(f"{name} (from ...)", fontsize=9)
    axes.set_ylabel(unit)
    axes.tick_params(axis="y", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _volume(axes: Axes, look: Look, manifest: DatasetManifest) -> None:
    """Behaviors of each local day; where valid and test begin."""
    axes.xaxis_date()
    axes.bar([day for day, _ in look.days], [count for _, count in look.days], width=0.9, color=BLUE)
    for name, side in (("valid", "right"), ("test", "left")):  # a day apart: their names would meet
        starts = getattr(manifest.splits, f"{name}_from") + manifest.utc_offset_minutes * 60
        edge = starts / SECONDS_PER_DAY - 0.5  # a bar stands over its day's number
        if edge <= look.days[-1][0]:
            axes.axvline(edge, color=GRAY, linewidth=1)
            above = axes.get_xaxis_transform()
            axes.text(edge, 1.01, f" {name} ", ha=side, transform=above, fontsize=8, color="#555555")
    axes.set_xlabel("local day", fontsize=9)
    axes.set_ylabel("behaviors")
    axes.tick_params(labelsize=8)
    for tick in axes.get_xticklabels():
        tick.set_rotation(30)
    axes.spines[["top", "right"]].set_visible(False)


def _numbers(*values: int) -> str:
    return " / ".join(f"{value:,}" for value in values)
