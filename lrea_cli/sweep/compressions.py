"""Compressing a finished din run: how far its logits move, what that costs in AUC, and the bytes of a record."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrea_cli.console.progress import ignore
from lrea_cli.dataset.samples import read_samples
from lrea_cli.recipe.settings import Compression, CompressorName
from lrea_cli.records.format import RecordFormat
from lrea_cli.records.maker import RecordMaker, Summarizer, summarizer_of
from lrea_cli.runs.checkpoint import Run, open_run
from lrea_cli.runs.loop import reader_of
from lrea_cli.score.cached import score_split_cached
from lrea_cli.score.kept import read_scores
from lrea_cli.sequence import Behaviors, Summary
from lrea_cli.stats.bootstrap import auc_difference
from lrea_cli.stats.metrics import deviation
from lrea_cli.sweep.jobs import CPU, read_made
from lrea_cli.workspace.home import Workspace
from lrea_cli.workspace.sealed import write_json

MANY = 64
"""Long behaviors from which a request counts as long."""


@dataclass(frozen=True)
class CompressJob:
    """Compress one run in one way and score the test split through the records.

    Args:
        home: of the sweep's workspace.
        run: a din run that has been evaluated.
        seed: of what the compressor draws.
    """

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

    def done(self) -> bool:
        """There is a result for this version of the run."""
        return bool(self.result())

    def result(self) -> dict[str, Any]:
        """What was measured; empty where this version of the run has not been compressed so."""
        return read_made(self.home, self.run, self.file)

    def __call__(self) -> str:
        """Score, compare with full attention's kept scores, and write."""
        run = open_run(Workspace(self.home), self.run, None, CPU)
        kept = read_scores(run.artifact.path, "test", "lrea sweep", run.artifact.manifest.made_from)
        logits, size = score_compressed(run, self.summarizer(run))
        samples = read_samples(run.dataset, "test")
        long = np.minimum(samples.history_length - run.recipe.data.short, run.recipe.data.long)[samples.row_request]
        measured = {
            "made_from": run.artifact.identity,
            "deviation": deviation(kept.trained, logits),
            "deviation_long": deviation(kept.trained[long >= MANY], logits[long >= MANY]),
            "difference": asdict(auc_difference(kept.trained, logits, kept.label, kept.user)),
            "bytes_per_record": size,
        }
        write_json(run.artifact.path / self.file, measured)
        return f"{self.name}: logits deviate by {measured['deviation'] or 0.0:.3f} of their sd"

    def summarizer(self, run: Run) -> Summarizer:
        """What makes the records."""
        return summarizer_of(run, Compression(self.compressor, self.rank, self.seed))


def score_compressed(run: Run, summarizer: Summarizer) -> tuple[np.ndarray, float]:
    """Logits of the test split through float32 records that a compressor made of each request's history.

    Returns:
        (rows,) float64 logits in the order of the split's rows, and the mean bytes of a record.
    """
    reader = reader_of(run.dataset, "test", run.recipe.data, run.recipe.train.batch_size)
    summarize = Counting(summarizer, RecordFormat(run.model.long.record, "float32"))
    logits = score_split_cached(RecordMaker(run.model, summarize), reader, ignore)
    return logits, summarize.total_bytes / summarize.records


@dataclass
class Counting:
    """A summarizer that counts the bytes of the records that its summaries will be."""

    summarize: Summarizer
    layout: RecordFormat
    records: int = 0
    total_bytes: int = 0

    def __call__(self, behaviors: Behaviors, users: np.ndarray) -> Summary:
        """As the summarizer has it."""
        summary = self.summarize(behaviors, users)
        self.records += len(summary.rows)
        self.total_bytes += sum(self.layout.bytes_of(int(rows)) for rows in summary.rows)
        return summary
