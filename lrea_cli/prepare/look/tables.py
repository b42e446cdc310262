"""The tables that end a preparation, from the manifest: what each split holds, and what each field says."""

from __future__ import annotations

from typing import NamedTuple

from lrea_cli.console.show import number
from lrea_cli.dataset.manifest import DatasetManifest
from lrea_cli.prepare.look.measure import Look
from lrea_cli.stats.resolution import ALIKE


class Table(NamedTuple):
    """What is shown, on the console and on the page."""

    title: str
    columns: tuple[str, ...]
    rows: list[list[object]]


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
            f"test split: it gives an AUC to about +-{1.96 * test.standard_error:.4f} (95%, over users; estimated by "
            f"the counter {test.counter}). The smallest difference of two models that it can show is about "
            f"{test.alike:.4f} where their AUCs correlate by {ALIKE}, as those of most methods do, and "
            f"{test.unrelated:.4f} where they do not. `lrea compare` measures it for two runs."
        )
    if unused := manifest.unused_columns:
        lines.append(f"columns that were not used: {', '.join(unused)}")
    return lines
