"""What a decision does beside a sweep's jobs: probing a method's speed, writing records, scoring by old records."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from lrea_cli.bench.contenders import Contender
from lrea_cli.bench.routes import BenchSettings
from lrea_cli.bench.trade_off import FailedGate, Stand
from lrea_cli.console.progress import Silent, ignore
from lrea_cli.dataset.batches import BatchReader
from lrea_cli.dataset.fields import SECONDS_PER_DAY
from lrea_cli.errors import UserError
from lrea_cli.recipe.settings import Compression
from lrea_cli.records.cache import Cache, CacheSettings, compress, open_cache
from lrea_cli.records.maker import RecordMaker
from lrea_cli.records.manifest import CACHES, CacheManifest
from lrea_cli.runs.checkpoint import Run, open_run
from lrea_cli.runs.loop import reader_of
from lrea_cli.runs.manifest import RUNS
from lrea_cli.score.cached import score_split_cached
from lrea_cli.stats.bootstrap import auc_difference, estimate_of
from lrea_cli.stats.estimates import Estimate
from lrea_cli.stats.metrics import AUC, Rows
from lrea_cli.sweep.jobs import CompressJob, SweepJob, TrainJob, read_measured
from lrea_cli.workspace.home import Workspace
from lrea_cli.workspace.sealed import write_json

CPU = torch.device("cpu")
SEED = 2025
"""Of users and candidates of gates and timed requests, as in serve-bench."""
PROBED = 64
"""Requests of the test split that a probe scores through records."""
MOST_USERS = 2000
"""Users whose requests are timed; of more, so many are drawn."""


@dataclass(frozen=True)
class Speed:
    """What a probe saw, in seconds of one thread.

    Args:
        start_seconds: of a training, before its first epoch and between epochs.
        row_seconds: of a training step on one row.
        request_seconds: by the compression, as `label` names it; the empty name is the method itself.
        bootstrap_seconds: of an interval on the test rows.
    """

    start_seconds: float
    row_seconds: float
    request_seconds: dict[str, float]
    bootstrap_seconds: float


def label(compression: Compression) -> str:
    """`clusters 16`."""
    return f"{compression.compressor} {compression.rank}"


@dataclass(frozen=True)
class ProbeJob(SweepJob[Speed]):
    """Train a method for two epochs on a small share, and time its parts.

    Args:
        recipe: its name.
        train: the small training.
        scored: time of scoring a validation row over that of a training step.
    """

    recipe: str
    train: TrainJob
    compressions: tuple[Compression, ...]
    scored: float

    @property
    def name(self) -> str:
        return f"probe of {self.recipe}"

    def result(self) -> Speed | None:
        return read_measured(Speed, self.train.home, self.train.name, "probe.json")

    def __call__(self) -> str:
        """Train where that is not done, then time requests."""
        if not self.train.done():
            self.train()
        run = open_run(Workspace(self.train.home), self.train.name, None, CPU)
        reader, requests = _few_requests(run), {}
        for one in (None, *self.compressions):
            maker, started = RecordMaker.of(run, one), time.perf_counter()
            score_split_cached(maker, reader, ignore)
            seconds = time.perf_counter() - started
            requests[label(one) if one else ""] = seconds / reader.samples.requests
        speed = Speed(*_training_seconds(run, self.scored), requests, _bootstrap_seconds(run))
        write_json(run.artifact.path / "probe.json", {"made_from": run.artifact.identity, **asdict(speed)})
        return f"{self.name}: {1e3 * speed.row_seconds:.2f} ms a row, {1e3 * requests['']:.1f} ms a request"


def _training_seconds(run: Run, scored: float) -> tuple[float, float]:
    """Of the start, and of a row: the last epoch's, since the first one pays for what is only done once."""
    lines = (run.artifact.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    row_seconds = 1 / json.loads(lines[-1])["samples_per_second"]
    manifest = run.artifact.manifest
    rows = manifest.epochs * ((manifest.train_rows or 0) + scored * run.dataset.manifest.samples["valid"])
    return max(0.0, manifest.seconds - rows * row_seconds), row_seconds


def _few_requests(run: Run) -> BatchReader:
    """Requests from the whole of the test split."""
    reader = reader_of(run.dataset, "test", run.recipe.data, run.recipe.train.batch_size)
    count = reader.samples.requests
    chosen = np.unique(np.linspace(0, count - 1, min(count, PROBED)).astype(np.int64))
    return replace(reader, samples=reader.samples.of_requests(chosen))


def _bootstrap_seconds(run: Run) -> float:
    """Of an interval on the test rows, for any scores."""
    samples = reader_of(run.dataset, "test", run.recipe.data, run.recipe.train.batch_size).samples
    scores = np.random.default_rng(0).random(samples.rows)
    started = time.perf_counter()
    estimate_of(AUC, Rows(scores, samples.label, samples.user[samples.row_request]))
    return time.perf_counter() - started


@dataclass(frozen=True)
class CacheJob(SweepJob[CacheManifest]):
    """Write the records of the users whose requests are timed.

    Args:
        run: an evaluated run. compression: of a din run; None = the method's own records.
        seed: draws the users, where the dataset has more than `MOST_USERS`.
    """

    home: Path
    run: str
    compression: Compression | None
    seed: int

    @property
    def name(self) -> str:
        smaller = self.compression
        return self.run + (f"-{smaller.compressor}-{smaller.rank}" if smaller else "")

    def result(self) -> CacheManifest | None:
        try:
            workspace = Workspace(self.home)
            cache, run = workspace.open(CACHES, self.name), workspace.open(RUNS, self.run)
        except UserError:
            return None
        fits = run.is_parent_of(cache) and cache.manifest.compression == self.compression
        return cache.manifest if fits else None

    def __call__(self) -> str:
        run = open_run(Workspace(self.home), self.run, None, CPU)
        count = run.dataset.manifest.users
        drawn = (
            np.sort(np.random.default_rng(self.seed).permutation(count)[:MOST_USERS]) if count > MOST_USERS else None
        )
        settings = CacheSettings(users=drawn, compression=self.compression)
        made = compress(Workspace(self.home), run, settings, Silent(), self.name, replace=True)
        return f"{self.name}: {made.bytes_per_user:,.0f} bytes a record, {made.ms_per_user:.2f} ms to make"

    def open(self, run: Run) -> Cache:
        """The records, of a job that is done."""
        return open_cache(Workspace(self.home), run, self.name)


@dataclass(frozen=True)
class Gated:
    """What the gate of serve-bench said of a cache; `failure` is None where it was passed."""

    cache: str
    failure: str | None


@dataclass(frozen=True)
class GateJob(SweepJob[Gated]):
    """Compare what is served from a cache that is done with float64 loops; of full attention, the history route too."""

    cache: CacheJob

    @property
    def name(self) -> str:
        return f"{self.cache.name}, gate"

    @property
    def file(self) -> str:
        """In the run's folder."""
        return f"gate-{self.cache.name}.json"

    def result(self) -> Gated | None:
        found = read_measured(Gated, self.cache.home, self.cache.run, self.file)
        return found if found is not None and self.cache.done() and found.cache == self._identity() else None

    def __call__(self) -> str:
        run = open_run(Workspace(self.cache.home), self.cache.run, None, CPU)
        stand = Stand.of([Contender(run, self.cache.open(run))], BenchSettings(1, 1.0, SEED))
        (gate,) = stand.gates(Silent()).values()
        gated = Gated(self._identity(), gate.failure if isinstance(gate, FailedGate) else None)
        write_json(run.artifact.path / self.file, {"made_from": run.artifact.identity, **asdict(gated)})
        return f"{self.name}: {gated.failure or 'passed'}"

    def _identity(self) -> str:
        return Workspace(self.cache.home).open(CACHES, self.cache.name).identity


@dataclass(frozen=True)
class AgedJob(SweepJob[Estimate]):
    """AUC of fresh records minus that of records some days old, with the newest behaviors live, given the model.

    Args:
        run: an evaluated run. smaller: a compression of it that is done; None = the method's own records.
    """

    run: TrainJob
    smaller: CompressJob | None
    days: int

    @property
    def name(self) -> str:
        of = self.smaller.name if self.smaller else self.run.name
        return f"{of}, records {self.days} days old"

    @property
    def file(self) -> str:
        """In the run's folder."""
        return f"aged-{self.days}-{Path(self.smaller.file).stem if self.smaller else 'own'}.json"

    def result(self) -> Estimate | None:
        return read_measured(Estimate, self.run.home, self.run.name, self.file)

    def __call__(self) -> str:
        run = open_run(Workspace(self.run.home), self.run.name, None, CPU)
        kept, smaller = self.run.scores(), self.smaller
        compression = Compression(smaller.compressor, smaller.rank, smaller.seed) if smaller else None
        reader = reader_of(run.dataset, "test", run.recipe.data, run.recipe.train.batch_size)
        built = reader.samples.time - self.days * SECONDS_PER_DAY
        aged = score_split_cached(RecordMaker.of(run, compression), reader, ignore, built).logits
        loss = auc_difference(aged, smaller.logits() if smaller else kept.served, kept.label, kept.user)
        write_json(run.artifact.path / self.file, {"made_from": run.artifact.identity, **asdict(loss)})
        return f"{self.name}: lose {loss.value or 0.0:.4f}"
