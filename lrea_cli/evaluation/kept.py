"""Scores kept beside an evaluation, so that runs can be compared without their models: `scores-<split>.parquet`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lrea_cli.data.layout import Split
from lrea_cli.errors import UserError
from lrea_cli.workspace import replacing

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


@dataclass(frozen=True)
class KeptScores:
    """Both forms' logits of every row of a split, in the split's order.

    Args:
        made_from: sha256 of the dataset's manifest. served_from: what the served form went through.
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


def write_scores(folder: Path, scores: KeptScores) -> Path:
    """Write the scores whole or not at all; what was there before is replaced."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    facts = {**scores.facts, "sha256": _digest(scores.facts, scores.columns)}
    table = pa.table(scores.columns, metadata={METADATA: json.dumps(facts).encode()})
    path = scores_path(folder, scores.split)
    with replacing(path) as file:
        pq.write_table(table, file)
    return path


def read_scores(folder: Path, split: Split, remedy: str, made_from: str | None = None) -> KeptScores:
    """Read the scores of a split.

    Args:
        remedy: the command that writes them. made_from: sha256 of the dataset that they must be of; None = any.

    Raises:
        UserError: there are none, they are damaged, or of another version of the dataset.
    """
    path = scores_path(folder, split)
    if not path.is_file():
        raise UserError(f"There are no kept scores of {split} in {folder}.", f"Make them with: {remedy}")
    scores = _read(path)
    if scores is None or scores.split != split:
        raise UserError(f"{path} is damaged or was changed after it was written.", f"Make it anew with: {remedy}")
    if made_from is not None and scores.made_from != made_from:
        raise UserError(f"{path} is of another version of the dataset.", f"Make it anew with: {remedy}")
    return scores


def _read(path: Path) -> KeptScores | None:
    """None where the file is not what was written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        facts: dict[str, Any] = json.loads((table.schema.metadata or {})[METADATA])
        expected = facts.pop("sha256")
        columns = {name: table.column(name).to_numpy() for name in TYPES}
        scores = KeptScores(**facts, **columns)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, NotImplementedError):
        return None
    right = all(columns[name].dtype == dtype for name, dtype in TYPES.items())
    return scores if right and _digest(facts, columns) == expected else None


def _digest(facts: dict[str, str], columns: dict[str, np.ndarray]) -> str:
    """SHA-256 of the facts and of every column's bytes."""
    found = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in TYPES:
        found.update(np.ascontiguousarray(columns[name]).tobytes())
    return found.hexdigest()
