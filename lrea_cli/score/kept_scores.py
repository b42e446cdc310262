"""Scores kept beside an evaluation, so that runs can be compared without their models: `scores-<split>.parquet`.

`eval-<split>.json` is written after them and holds their SHA-256: scores and numbers that are not of one evaluation,
or not as they were written, are refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lrea_cli.dataset.layout import Split
from lrea_cli.errors import DamagedArtifact, UserError
from lrea_cli.stats.bootstrap import auc_differences
from lrea_cli.stats.estimates import Interval
from lrea_cli.stats.metrics import METRICS, Rows
from lrea_cli.workspace.home import sha256_of
from lrea_cli.workspace.parquet import open_parquet
from lrea_cli.workspace.sealed import read_json, replacing, write_json

Form = Literal["served", "trained"]
TYPES = {
    "user": np.int32,
    "request": np.int64,
    "item": np.int32,
    "label": np.int8,
    "trained": np.float64,
    "served": np.float64,
}
FACTS = ("made_from", "run", "method", "split", "served_from")
METADATA = b"lrea"
DIGEST = "scores_sha256"
"""The key of the scores' hash among the numbers of an evaluation."""


@dataclass(frozen=True)
class KeptScores:
    """Both forms' logits of every row of a split, in the split's order.

    Args:
        made_from: the dataset that was scored.
        served_from: what the served form went through.
        user, request, item, label: (rows,) what was scored; `request` counts from 0 within the split.
        trained, served: (rows,) float64 logits.
    """

    made_from: str
    run: str
    method: str
    split: Split
    served_from: str
    user: np.ndarray
    request: np.ndarray
    item: np.ndarray
    label: np.ndarray
    trained: np.ndarray
    served: np.ndarray

    def form(self, form: Form) -> np.ndarray:
        """(rows,) logits of one form."""
        return self.served if form == "served" else self.trained

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """What is written, in the types of the file."""
        return {name: np.ascontiguousarray(getattr(self, name), dtype) for name, dtype in TYPES.items()}

    @property
    def facts(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in FACTS}


def scores_path(folder: Path, split: Split) -> Path:
    """Where the scores of a split lie in the folder of a run or a cache."""
    return folder / f"scores-{split}.parquet"


def evaluation_path(folder: Path, split: Split) -> Path:
    """Where the numbers of an evaluation lie, beside its scores."""
    return folder / f"eval-{split}.json"


def write_evaluation(folder: Path, scores: KeptScores, numbers: Mapping[str, Any]) -> Path:
    """Write the scores, then the numbers of the evaluation with the scores' hash; each whole or not at all.

    Returns:
        the path of the scores.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(scores.columns, metadata={METADATA: json.dumps(scores.facts).encode()})
    path = scores_path(folder, scores.split)
    with replacing(path) as file:
        pq.write_table(table, file, write_page_checksum=True)
    write_json(evaluation_path(folder, scores.split), {**numbers, DIGEST: sha256_of(path)})
    return path


def check_evaluation(folder: Path, split: Split, remedy: str) -> bytes:
    """The bytes of a split's scores, when they and the numbers beside them are as they were written, of one evaluation.

    Raises:
        UserError: there are none, they are damaged, or belong to different evaluations; `remedy` writes them.
    """
    path, beside = scores_path(folder, split), evaluation_path(folder, split)
    if not path.is_file():
        raise UserError(f"There are no kept scores of {split} in {folder}.", f"Make them with: {remedy}")
    numbers = read_json(beside, f"Make it anew with: {remedy}")
    data = path.read_bytes()
    if numbers.get(DIGEST) != hashlib.sha256(data).hexdigest():
        raise DamagedArtifact(
            f"{path} is damaged or was changed after it was written, or {beside.name} is of another evaluation.",
            f"Make both anew with: {remedy}",
        )
    return data


def read_scores(folder: Path, split: Split, remedy: str, made_from: str | None = None) -> KeptScores:
    """Read the scores of a split.

    Args:
        remedy: the command that writes them.
        made_from: identity of the dataset that they must be of; None = any.

    Raises:
        UserError: there are none, they are damaged, or of another version of the dataset.
    """
    data, path = check_evaluation(folder, split, remedy), scores_path(folder, split)
    scores = _parse(data)
    if scores is None or scores.split != split:
        raise DamagedArtifact(f"{path} does not hold the scores of {split}.", f"Make it anew with: {remedy}")
    if made_from is not None and scores.made_from != made_from:
        raise UserError(f"{path} is of another version of the dataset.", f"Make it anew with: {remedy}")
    return scores


def _parse(data: bytes) -> KeptScores | None:
    """None where the bytes are those of another table."""
    import pyarrow as pa

    try:
        table = open_parquet(data).read(use_threads=False)
        facts: dict[str, Any] = json.loads((table.schema.metadata or {})[METADATA])
        columns = {name: table.column(name).to_numpy() for name in TYPES}
        scores = KeptScores(**facts, **columns)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError):
        return None
    return scores if all(columns[name].dtype == dtype for name, dtype in TYPES.items()) else None


@dataclass(frozen=True)
class Subject:
    """Something to compare: the name that the user gave, its scores, and the command that makes them.

    Args:
        recipe: what it was made with, all but the seed of training, as text.
        seed: of training; None = not known.
    """

    name: str
    scores: KeptScores
    remedy: str
    recipe: str = ""
    seed: int | None = None

    @property
    def run(self) -> str:
        """The trained model."""
        return self.scores.run


@dataclass(frozen=True)
class Compared:
    """One line of the comparison.

    Args:
        metrics: by name; GAUC by user.
        difference: of the AUC, to the first line's; None for the first itself. `ci`: its 95% interval.
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
    """Compare every subject with the first, given the trained models: the intervals are for other users.

    Raises:
        UserError: one was scored on another dataset or other rows.
    """
    base, *others = subjects
    lines = [_line(base, form)]
    for other in others:
        _require_same_rows(base, other)
    scores, of_others = base.scores, [other.scores.form(form) for other in others]
    changes = auc_differences(scores.form(form), of_others, scores.label, scores.user)
    for other, change in zip(others, changes, strict=True):
        lines.append(
            replace(
                _line(other, form),
                difference=change.value,
                ci=change.ci,
                resolved=change.resolved,
                resolvable=change.resolvable,
            )
        )
    return lines


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
