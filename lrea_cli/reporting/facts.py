"""The facts that end a preparation: what each split holds, what each field says alone, what the test can resolve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lrea_cli.console import number
from lrea_cli.data.facts import SplitFacts, split_facts
from lrea_cli.data.layout import SPLITS, DatasetInfo, Split
from lrea_cli.evaluation.field_auc import FieldAlone, measure_fields, warnings_of
from lrea_cli.evaluation.resolution import ALIKE
from lrea_cli.reporting.look import Look

SPLIT_COLUMNS = ("split", "first day", "last day", "rows", "users", "click rate")
FIELD_COLUMNS = ("field", "role", "AUC alone", "missing", "new in test")


@dataclass(frozen=True)
class Facts:
    """What a dataset holds, beside the look at it."""

    splits: dict[Split, SplitFacts]
    fields: tuple[FieldAlone, ...]

    def add_to(self, manifest: dict[str, Any], look: Look) -> None:
        """Write `split_facts`, `field_facts` and `field_auc`, and add what is to be warned of."""
        manifest["split_facts"] = {split: asdict(facts) for split, facts in self.splits.items()}
        manifest["field_auc"] = {field.name: field.auc for field in self.fields}
        known = manifest.setdefault("field_facts", {})
        for field in self.fields:
            known.setdefault(field.name, {}).update(missing=field.missing, unknown=field.unknown)
        manifest["warnings"] += warnings_of(self.fields, look.best_counter)


def facts_of(folder: Path, manifest: Mapping[str, Any]) -> Facts:
    """Read them from a dataset's samples.

    Args:
        folder: where it lies. manifest: what `data.json` says or will say.
    """
    dataset = DatasetInfo.from_manifest(folder, dict(manifest))
    offset = manifest["utc_offset_hours"]
    splits: dict[Split, SplitFacts] = {split: split_facts(dataset, split, offset) for split in SPLITS}
    return Facts(splits, tuple(measure_fields(dataset, drawn_labels=manifest["labels"] == "sampled")))


def split_rows(facts: Facts) -> list[list[object]]:
    """One row a split."""
    return [
        [split, found.first_day, found.last_day, found.rows, found.users, f"{found.click_rate:.2%}"]
        for split, found in facts.splits.items()
    ]


def field_rows(facts: Facts) -> list[list[object]]:
    """One row a field."""
    return [
        [field.name, field.role, number(field.auc), f"{field.missing:.2%}", f"{field.unknown:.2%}"]
        for field in facts.fields
    ]


def explained(facts: Facts, look: Look, manifest: Mapping[str, Any]) -> list[str]:
    """Sentences, of at most 80 columns, that say what the tables mean, and what the test split can resolve."""
    lines = [
        "AUC alone: of the mean label of a value on train, measured on valid.",
        "missing: of all samples; new in test: values first seen after training.",
    ]
    if any(field.auc is None for field in facts.fields) and manifest["labels"] == "sampled":
        lines.append("n/a: negatives were drawn, so such a field is the same for both labels.")
    if (found := look.resolution) is not None:
        lines += [
            f"test split: an AUC is known to about +-{1.96 * found.standard_error:.4f} (95%, by user, from the",
            f"  counter {found.counter}). The smallest difference of two models that it can",
            f"  resolve is about {found.alike:.4f} where their AUCs correlate by {ALIKE}, as between most",
            f"  methods, and {found.unrelated:.4f} where they do not; `lrea compare` measures it.",
        ]
    return lines + _unused(manifest.get("unused_columns", ()))


def _unused(columns: Sequence[str]) -> list[str]:
    if not columns:
        return []
    return [f"columns that were not used: {', '.join(columns)}"]
