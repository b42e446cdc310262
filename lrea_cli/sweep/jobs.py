"""Two kinds of work on a run: training it, and evaluating it on the test split; each leaves its file and is done."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from lrea_cli.console.progress import Silent
from lrea_cli.dataset.histories import open_histories
from lrea_cli.dataset.layout import DatasetInfo
from lrea_cli.dataset.samples import read_samples
from lrea_cli.errors import DamagedArtifact, UserError
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.records.format import RecordFormat
from lrea_cli.runs.checkpoint import Run, build_model, open_run
from lrea_cli.runs.manifest import RUNS, RunManifest
from lrea_cli.runs.train import train_run
from lrea_cli.score.evaluate import ServedFrom, measure, score
from lrea_cli.score.kept import check_evaluation, write_evaluation
from lrea_cli.stats.bootstrap import auc_estimate
from lrea_cli.workspace.home import Artifact, Workspace
from lrea_cli.workspace.sealed import read_json, write_json

EVALUATION = "sweep-test.json"
CHUNK = 256
CPU = torch.device("cpu")


@dataclass(frozen=True)
class TrainJob:
    """Train a recipe into a run of this name.

    Args:
        home: of the sweep's workspace.
        name: of the run.
        made_from: identity of the dataset that the recipe names.
    """

    home: Path
    name: str
    recipe: Recipe
    made_from: str

    def done(self) -> bool:
        """There is a run of this very recipe on this very dataset, and it was not stopped before its end."""
        manifest = self.manifest()
        if manifest is None or manifest.made_from != self.made_from or manifest.stopped_early:
            return False
        try:  # a setting that is younger than the run had its default
            return Recipe.from_dict(manifest.recipe, self.name) == self.recipe
        except UserError:
            return False

    def manifest(self) -> RunManifest | None:
        """The manifest of the run of this name; None where there is none, or a damaged one."""
        run = _run(self.home, self.name)
        return None if run is None else run.manifest

    def __call__(self) -> str:
        """Train, and put the run in place of what was there."""
        _, trained = train_run(Workspace(self.home), self.recipe, self.name, CPU, Silent(), replace=True)
        best = trained.best
        return f"{self.name}: valid AUC {best.valid_auc:.4f} in epoch {best.epoch}, {trained.seconds:.0f} s"


@dataclass(frozen=True)
class EvaluateJob:
    """Evaluate a run on the test split, as `lrea eval` does, and keep its scores."""

    home: Path
    name: str

    def done(self) -> bool:
        """There is an evaluation of this version of the run, and its scores are as they were written."""
        if not self.result():
            return False
        try:
            check_evaluation(self.home / "runs" / self.name, "test", "lrea sweep")
        except UserError:
            return False
        return True

    def result(self) -> dict[str, Any]:
        """What was measured; empty where this version of the run has not been evaluated."""
        return read_made(self.home, self.name, EVALUATION)

    def __call__(self) -> str:
        """Score, measure, and write it all; the file that says it is done comes last."""
        run = open_run(Workspace(self.home), self.name, None, CPU)
        scored = score(run, "test", ServedFrom(), Silent())
        evaluation, folder, kept = measure(run, scored, "user"), run.artifact.path, scored.scores
        write_evaluation(folder, kept, evaluation.to_dict())
        content = {
            "made_from": run.artifact.identity,
            "evaluation": evaluation.to_dict(),
            "served": asdict(auc_estimate(kept.served, kept.label, kept.user)),
            "bytes_per_record": mean_bytes(run),
        }
        write_json(folder / EVALUATION, content)
        auc, served = (float("nan") if value is None else value for value in (evaluation.auc, evaluation.auc_cached))
        return f"{self.name}: test AUC {auc:.4f}, {served:.4f} served"


def reason_against(recipe: Recipe, dataset: DatasetInfo) -> str | None:
    """Why no model of this recipe can be made for the dataset; None where it can."""
    try:
        with torch.device("meta"):  # shapes alone: no table of embeddings is filled
            build_model(recipe, dataset)
    except UserError as error:
        return error.message
    return None


def read_made(home: Path, name: str, file: str) -> dict[str, Any]:
    """A JSON file in a run's folder; empty where it is missing, damaged, or made from another version of the run."""
    run = _run(home, name)
    if run is None or not (run.path / file).is_file():
        return {}
    try:
        content = read_json(run.path / file, "lrea sweep")
    except DamagedArtifact:
        return {}
    return content if content.get("made_from") == run.identity else {}


def _run(home: Path, name: str) -> Artifact[RunManifest] | None:
    try:
        return Workspace(home).open(RUNS, name)
    except UserError:
        return None


def mean_bytes(run: Run) -> float:
    """Bytes of a float32 record, mean over the requests of the test split."""
    samples, histories = read_samples(run.dataset, "test"), open_histories(run.dataset)
    layout, settings, total = RecordFormat(run.model.long.record, "float32"), run.recipe.data, 0
    with torch.inference_mode():
        for start in range(0, samples.requests, CHUNK):
            user, length = (column[start : start + CHUNK] for column in (samples.user, samples.history_length))
            long = histories.newest(user, length, settings.short, settings.long)
            rows = run.model.long.summarize(run.model.features.behaviors(long)).rows
            total += sum(layout.bytes_of(int(count)) for count in rows)
    return total / samples.requests
