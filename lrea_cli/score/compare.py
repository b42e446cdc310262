"""Runs side by side from their kept scores: each one's difference to the first, paired, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from lrea_cli.errors import UserError
from lrea_cli.score.kept import Form, KeptScores
from lrea_cli.stats.bootstrap import auc_difference
from lrea_cli.stats.estimates import Interval
from lrea_cli.stats.metrics import METRICS, Rows


@dataclass(frozen=True)
class Subject:
    """Something to compare: the name that the user gave, its scores, and the command that makes them."""

    name: str
    scores: KeptScores
    remedy: str


@dataclass(frozen=True)
class Compared:
    """One line of the comparison.

    Args:
        metrics: by name; GAUC by user.
        difference: of the AUC, to the first line's; None for the first itself.
        ci: its 95% interval.
        resolved: zero lies outside.
        resolvable: smallest true difference found with 80% power.
    """

    run: str
    method: str
    metrics: dict[str, float | None]
    difference: float | None = None
    ci: Interval | None = None
    resolved: bool = False
    resolvable: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints, each metric by its name."""
        content = {**self.metrics, **asdict(self)}
        del content["metrics"]
        return content


def compare_scores(subjects: Sequence[Subject], form: Form) -> list[Compared]:
    """Compare every subject with the first.

    Args:
        form: `served` = what would be shipped, or `trained`.

    Raises:
        UserError: one was scored on another dataset or on other rows.
    """
    base, *others = subjects
    for other in others:
        _require_same_rows(base, other)
    return [_line(base, form), *(_against(base, other, form) for other in others)]


def _against(base: Subject, other: Subject, form: Form) -> Compared:
    scores = base.scores
    change = auc_difference(scores.form(form), other.scores.form(form), scores.label, scores.user)
    resolved, resolvable = change.resolved, change.resolvable
    return replace(_line(other, form), difference=change.value, ci=change.ci, resolved=resolved, resolvable=resolvable)


def _line(subject: Subject, form: Form) -> Compared:
    scores = subject.scores
    rows = Rows(scores.form(form), scores.label, scores.user)
    return Compared(subject.name, scores.method, {m.name: m.value(rows) for m in METRICS})


def _require_same_rows(base: Subject, other: Subject) -> None:
    a, b = base.scores, other.scores
    if a.made_from != b.made_from:
        raise UserError(
            f"'{base.name}' and '{other.name}' were scored on different datasets, or on two versions of one.",
            f"Compare runs of one dataset; one that was trained on it is scored with: {other.remedy}",
        )
    if not all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("user", "request", "item", "label")):
        raise UserError(
            f"'{base.name}' and '{other.name}' were scored on different rows of {a.split}.",
            f"Score it anew with: {other.remedy}",
        )
