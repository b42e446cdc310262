"""What `run.json` says of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrea_cli.workspace.kinds import Kind, Manifest, NotIdentity


@dataclass(frozen=True, kw_only=True)
class RunManifest(Manifest):
    """A run, as `lrea train` made it.

    Args:
        made_from: identity of the dataset. recipe: plain values, see `recipe.Recipe`.
        stopped_early: what ended the training before its time; None where nothing did.
        train_rows: training samples of an epoch; None in a run that is older than this entry.
        column_entropy: of the columns of `lrea` and `sketch`; None for other methods.
    """

    run: str
    method: str
    dataset: str
    made_from: str
    recipe: dict[str, Any]
    best_valid_auc: float
    best_epoch: int
    epochs: int
    stopped_early: NotIdentity[str | None]
    column_entropy: float | None
    seconds: NotIdentity[float]
    threads: NotIdentity[int]
    device: NotIdentity[str | None] = None
    arguments: NotIdentity[tuple[str, ...] | None] = None
    versions: NotIdentity[dict[str, str]]
    train_rows: int | None = None

    @classmethod
    def options_of(cls, folder: Path, content: Mapping[str, Any]) -> list[str] | None:
        return ["--recipe", str(folder / RUNS.file), *(super().options_of(folder, content) or [])]


RUNS = Kind("runs", "run.json", "run", "lrea train", "--run", RunManifest, not_content=("metrics.jsonl",))
