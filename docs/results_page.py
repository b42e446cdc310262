"""The tables of docs/results.md that come from measurements in docs/results/: sizes of a log, and the trade-off."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from marked_tables import markdown, with_tables

DOCS = Path(__file__).parent
RESULTS = DOCS / "results"
FEWEST, ALL = 0.1, 1.0
"""Shares of the training users that stand side by side."""


def results_page() -> str:
    """The page with its tables made anew."""
    return with_tables(DOCS / "results.md", TABLES)


def sizes_table() -> str:
    """AUC of each method with a tenth of the training users and with all, and its difference to full attention."""
    scored = json.loads((RESULTS / "curves" / "curves.json").read_text(encoding="utf-8"))["scored"]
    of = {(line["curve"], line["share"]): line for line in scored}
    recipes = sorted((r for r, share in of if share == ALL), key=lambda r: -of[r, ALL]["auc_served"]["mean"])
    rows = [
        [f"`{r}`", str(len(of[r, ALL]["seeds"])), *(cell for share in (FEWEST, ALL) for cell in _scored(of[r, share]))]
        for r in recipes
    ]
    sizes = [f"{of['din', share]['train_rows']['mean']:,.0f} rows" for share in (FEWEST, ALL)]
    head = ["", "seeds", *(name for size in sizes for name in (f"AUC, {size}", "to `din`", "95%"))]
    return markdown(head, rows, numbers=7)


def _scored(line: Mapping[str, Any]) -> list[str]:
    """AUC as served; its difference to that of full attention, and the interval over seeds and users, if any."""
    auc, difference = line["auc_served"], line["difference_served"]
    if difference is None:
        return [_auc(auc["mean"]), "", ""]
    over_both = difference["ci_over_seeds"]
    shown = f"{over_both[0]:+.4f} to {over_both[1]:+.4f}" if over_both else ""
    return [_auc(auc["mean"]), f"{difference['mean']:+.4f}", shown]


def trade_off_table() -> str:
    """What each contender gives, and what it costs at serving time, the highest AUC first."""
    content = json.loads((RESULTS / "trade-off" / "trade-off.json").read_text(encoding="utf-8"))
    lines = sorted(content["rows"], key=lambda line: (-line["auc"], line["p50_ms"]))
    head = ["", "seeds", "AUC", "95%", "interest, p50 ms", "request, p50 ms", "p99", "ratio"]
    head += ["bytes a user", "ms to make", "rows", "FLOPs"]
    return markdown(head, [_contender(line) for line in lines], numbers=11)


def _contender(line: Mapping[str, Any]) -> list[str]:
    low, high = line["auc_ci"]
    ratio = line["speedup_vs_full"]["request"]
    faster = "-" if line["method"] == "full" else f"{ratio['value']:.2f} [{ratio['ci'][0]:.2f}, {ratio['ci'][1]:.2f}]"
    times = [f"{line[key]:.3g}" for key in ("interest_p50_ms", "p50_ms", "p99_ms")]
    record = ["-", "-", "-", "-"]
    if line["bytes_per_user"] is not None:
        record = [f"{line['bytes_per_user']:,.0f}", f"{line['compress_ms_per_user']:.2f}"]
        anew = line["rows_changed"] is None
        record += ["-", "-"] if anew else [f"{line['rows_changed']:.1f}", f"{line['flops_changed']:,.0f}"]
    seeds = str(len(line["auc_by_seed"]))
    return [line["name"], seeds, _auc(line["auc"]), f"{_auc(low)} to {_auc(high)}", *times, faster, *record]


def _auc(value: float) -> str:
    return f"{value:.4f}".lstrip("0")


TABLES: dict[str, Callable[[], str]] = {"sizes": sizes_table, "trade_off": trade_off_table}
"""By the name between the markers."""
