"""Three kinds of work on a run: training it, evaluating it on the test split, and compressing it.

Each leaves a file; a job is done when that file belongs to this version of its run.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from lrea_cli.console.progress import Silent, ignore
from lrea_cli.console.show import number
from lrea_cli.dataset.layout import DatasetInfo
from lrea_cli.errors import UserError
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.recipe.settings import Compression, CompressorName
from lrea_cli.records.maker import RecordMaker, Summarizer, compressor_of
from lrea_cli.runs.checkpoint import Run, build_model, open_run
from lrea_cli.runs.loop import reader_of
from lrea_cli.runs.manifest import RUNS, RunManifest
from lrea_cli.runs.train import train_run
from lrea_cli.score.cached import score_split_cached
from lrea_cli.score.evaluate import Evaluation, ServedFrom, measure, nested, score
from lrea_cli.score.kept_scores import KeptScores, check_evaluation, read_scores, write_evaluation
from lrea_cli.stats.bootstrap import auc_difference, estimate_of
from lrea_cli.stats.estimates import Estimate, deviation
from lrea_cli.stats.metrics import AUC, Rows
from lrea_cli.workspace.home import Workspace, sha256_of, write_json
from lrea_cli.workspace.kinds import parse
from lrea_cli.workspace.sealed import read_json, replacing

T = TypeVar("T")

EVALUATION = "sweep-test.json"
REMEDY = "lrea sweep"
CPU = torch.device("cpu")
MANY = 64
"""Long behaviors from which a request counts as long."""


class SweepJob(ABC, Generic[T]):
    """A job that a sweep leaves out where its result is there."""

    name: Any
    """A text; an attribute or a property."""

    @abstractmethod
    def __call__(self) -> str:
        """Do it, and return a line to say."""

    @abstractmethod
    def result(self) -> T | None:
        """What the job wrote; None where it is missing or damaged, or of another version of lrea or of the run."""

    def done(self) -> bool:
        return self.result() is not None


@dataclass(frozen=True)
class TrainJob(SweepJob[RunManifest]):
    """Train a recipe into a run of this name; `made_from` is the identity of the dataset that the recipe names."""

    home: Path
    name: str
    recipe: Recipe
    made_from: str

    @property
    def seed(self) -> int:
        return self.recipe.train.seed

    @property
    def evaluation(self) -> EvaluateJob:
        """The job that evaluates the trained run."""
        return EvaluateJob(self.home, self.name)

    def result(self) -> RunManifest | None:
        """The run of this very recipe on this very dataset, unless it was stopped before its end."""
        try:
            manifest = Workspace(self.home).open(RUNS, self.name).manifest
            # A setting that is younger than the run had its default.
            same = Recipe.from_dict(manifest.recipe, self.name) == self.recipe
        except UserError:
            return None
        return manifest if same and manifest.made_from == self.made_from and not manifest.stopped_early else None

    def scores(self) -> KeptScores:
        """The scores of every row of the test split, of an evaluated run."""
        return read_scores(self.home / "runs" / self.name, "test", REMEDY, self.made_from)

    def __call__(self) -> str:
        """Train, and replace a run of this name."""
        _, trained = train_run(Workspace(self.home), self.recipe, self.name, CPU, Silent(), replace=True)
        best = trained.best
        return f"{self.name}: valid AUC {best.valid_auc:.4f} in epoch {best.epoch}, {trained.seconds:.0f} s"


@dataclass(frozen=True)
class EvaluatedRun:
    """What an `EvaluateJob` measures: `served` is the AUC as served, the bytes are a mean over the requests."""

    evaluation: Evaluation
    served: Estimate
    bytes_per_record: float


@dataclass(frozen=True)
class EvaluateJob(SweepJob[EvaluatedRun]):
    """Evaluate the run of this name on the test split, as `lrea eval` does, and keep its scores."""

    home: Path
    name: str

    def result(self) -> EvaluatedRun | None:
        """What was measured; None also where the kept scores are not as they were written."""
        try:
            check_evaluation(self.home / "runs" / self.name, "test", REMEDY)
        except UserError:
            return None
        return read_measured(EvaluatedRun, self.home, self.name, EVALUATION)

    def __call__(self) -> str:
        """Score, measure, and write it all; the file that says it is done comes last."""
        run = open_run(Workspace(self.home), self.name, None, CPU)
        scored = score(run, "test", ServedFrom(), Silent())
        evaluation, folder, kept = measure(run, scored, "user"), run.artifact.path, scored.scores
        write_evaluation(folder, kept, evaluation.to_dict())
        content = {
            "made_from": run.artifact.identity,
            "evaluation": evaluation.to_dict(),
            "served": asdict(estimate_of(AUC, Rows(kept.served, kept.label, kept.user))),
            "bytes_per_record": scored.bytes_per_record,
        }
        write_json(folder / EVALUATION, content)
        auc = evaluation.metrics["auc"]
        return f"{self.name}: test AUC {number(auc.trained)}, {number(auc.served)} served"


@dataclass(frozen=True)
class CompressedRun:
    """What a `CompressJob` measures, against full attention on the same rows of the test split.

    Args:
        deviation: of the logit, over its standard deviation; `deviation_long` is that of requests with `MANY` or more
            long behaviors.
        difference: of the AUC, given the trained model.
        logits_sha256: hash of the file of the logits.
    """

    deviation: float | None
    deviation_long: float | None
    difference: Estimate
    bytes_per_record: float
    logits_sha256: str


@dataclass(frozen=True)
class CompressJob(SweepJob[CompressedRun]):
    """Compress a din run that has been evaluated, and score the test split through the records."""

    home: Path
    run: str
    compressor: CompressorName
    rank: int
    seed: int

    @property
    def label(self) -> str:
        """How the compressor is called in tables."""
        return self.compressor

    @property
    def name(self) -> str:
        return f"{self.run} by {self.label} to {self.rank}"

    @property
    def file(self) -> str:
        """In the run's folder."""
        return f"compressed-{self.label}-{self.rank}.json".replace(" ", "-").replace(",", "")

    @property
    def logits_path(self) -> Path:
        """Where the logits of the test split lie."""
        return (self.home / "runs" / self.run / self.file).with_suffix(".npy")

    def result(self) -> CompressedRun | None:
        """What was measured; None also where the logits are not as they were written."""
        measured = read_measured(CompressedRun, self.home, self.run, self.file)
        if measured is None or not self.logits_path.is_file():
            return None
        return measured if sha256_of(self.logits_path) == measured.logits_sha256 else None

    def logits(self) -> np.ndarray:
        """(rows,) of the test split through the compressed records, of a job that is done."""
        return np.load(self.logits_path, allow_pickle=False)

    def __call__(self) -> str:
        """Score, compare with full attention's kept scores, and write."""
        run = open_run(Workspace(self.home), self.run, None, CPU)
        kept = read_scores(run.artifact.path, "test", REMEDY, run.artifact.manifest.made_from)
        reader = reader_of(run.dataset, "test", run.recipe.data, run.recipe.train.batch_size)
        maker = RecordMaker(run.model, run.recipe.data, compress=self.summarizer(run))
        logits, bytes_per_record = score_split_cached(maker, reader, ignore)
        samples, data = reader.samples, run.recipe.data
        long = (np.minimum(samples.history_length - data.short, data.long) >= MANY)[samples.row_request]
        with replacing(self.logits_path) as file:
            np.save(file, logits, allow_pickle=False)
        measured = CompressedRun(
            deviation(kept.trained, logits),
            deviation(kept.trained[long], logits[long]),
            auc_difference(kept.trained, logits, kept.label, kept.user),
            bytes_per_record,
            sha256_of(self.logits_path),
        )
        write_json(run.artifact.path / self.file, {"made_from": run.artifact.identity, **asdict(measured)})
        return f"{self.name}: logits deviate by {measured.deviation or 0.0:.3f} of their sd"

    def summarizer(self, run: Run) -> Summarizer:
        """What makes the records."""
        return compressor_of(run, Compression(self.compressor, self.rank, self.seed))


def reason_against(recipe: Recipe, dataset: DatasetInfo) -> str | None:
    """Why no model of this recipe can be made for the dataset; None where it can."""
    try:
        with torch.device("meta"):  # shapes alone: no table of embeddings is filled
            build_model(recipe, dataset)
    except UserError as error:
        return error.message
    return None


def read_measured(model: type[T], home: Path, name: str, file: str) -> T | None:
    """A JSON file in a run's folder; None where it is not one that this version of lrea wrote of this run."""
    try:
        run = Workspace(home).open(RUNS, name)
        content = read_json(run.path / file, REMEDY)
        if content.get("made_from") != run.identity:
            return None
        if "evaluation" in content:
            content["evaluation"] = nested(content["evaluation"])
        return parse(model, json.dumps(content).encode(), run.path / file, REMEDY)
    except UserError:
        return None
