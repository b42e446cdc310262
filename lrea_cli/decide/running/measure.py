"""Reads what a decision's jobs left, and puts it together as the measurements of its verdict."""

from __future__ import annotations

import platform
import shlex
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import torch

from lrea_cli import __version__
from lrea_cli.compressors import COMPRESSORS
from lrea_cli.dataset.counters import COUNTERS
from lrea_cli.dataset.fields import SECONDS_PER_DAY
from lrea_cli.dataset.histories import open_histories
from lrea_cli.dataset.samples import read_samples
from lrea_cli.decide.losses import Scored, counter_losses, losses_of
from lrea_cli.decide.results import (
    UNKNOWN,
    Aged,
    Command,
    Contender,
    Counter,
    CurvePoint,
    Data,
    Dropped,
    Loss,
    Measurements,
    NewBehavior,
    Question,
)
from lrea_cli.decide.running.asked import FULL
from lrea_cli.decide.running.contest import Contested
from lrea_cli.decide.running.entrants import Entrant, compression_name, kind_of
from lrea_cli.decide.running.stages import Out
from lrea_cli.decide.running.times import Timed, Times
from lrea_cli.methods import METHODS
from lrea_cli.runs.manifest import RUNS
from lrea_cli.score.kept_scores import Form
from lrea_cli.stats.estimates import Estimate
from lrea_cli.stats.methods import method_auc
from lrea_cli.stats.metrics import METRICS, Rows
from lrea_cli.stats.ranks import Placed, UserClusters
from lrea_cli.sweep.jobs import TrainJob

SHOWN_METRICS = {"gauc": "gauc", "ece": "ece", "ne": "normalized_entropy"}
"""Attribute of a contender -> name of the metric."""
BETRAYS = "item_count"
"""Where negatives were drawn, a user never clicked them: then whether the history has the candidate tells its label."""


@dataclass(frozen=True)
class Asking:
    """What reads the numbers, and takes part in no work: see `Question`; and the command line."""

    budget_ms: float
    tolerance: float
    again: str


class TestRows:
    """The test split: labels, users, and the scores of runs on it, each sorted once."""

    __test__ = False  # pytest would take it for tests

    def __init__(self, contested: Contested) -> None:
        self.samples = read_samples(contested.info, "test")
        self.users = self.samples.user[self.samples.row_request]
        self.clusters = UserClusters(self.samples.label, self.users)
        self._placed: dict[tuple[str, Form], Placed] = {}

    def of_run(self, run: TrainJob, form: Form) -> Placed:
        """A run's own scores."""
        if (run.name, form) not in self._placed:
            self._placed[run.name, form] = self.clusters.place(run.scores().form(form))
        return self._placed[run.name, form]

    def of(self, entrant: Entrant) -> tuple[Placed, ...]:
        """An entrant's runs as served."""
        if entrant.smaller:
            return tuple(self.clusters.place(job.logits()) for job in entrant.smaller)
        return tuple(self.of_run(run, form_of(entrant)) for run in entrant.runs)

    def metrics(self, logits: np.ndarray) -> dict[str, float | None]:
        """By name, as served."""
        rows = Rows(logits, self.samples.label, self.users)
        return {metric.name: metric.value(rows) for metric in METRICS if metric.name in SHOWN_METRICS.values()}


def form_of(entrant: Entrant) -> Form:
    """Full attention over the history itself is what was trained."""
    return "trained" if entrant.kind == "full" else "served"


def measure(contested: Contested, times: Times, asking: Asking) -> Measurements:
    """All numbers."""
    rows = TestRows(contested)
    placed = {each.name: rows.of(each) for each in contested.entrants}
    scored = [Scored(e.name, placed[e.name], tuple(run.name for run in e.runs)) for e in contested.entrants]
    losses = losses_of(scored, rows.clusters)
    return Measurements(
        question=_question(contested, asking, rows),
        contenders=tuple(
            _contender(each, rows, placed[each.name], losses[each.name], times.timed.get(each.name, Timed()))
            for each in contested.entrants
        ),
        dropped=tuple(_dropped(contested, out) for out in contested.out),
        counters=tuple(_counters(contested, rows, scored)),
        machine=times.machine,
        load=times.load,
        versions={"lrea": __version__, "torch": torch.__version__, "python": platform.python_version()},
        commands=tuple(_commands(contested, asking)),
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        plan=contested.plan,
    )


def _question(contested: Contested, asking: Asking, rows: TestRows) -> Question:
    asked, manifest = contested.asked, contested.dataset.manifest
    data = Data(
        name=contested.dataset.name,
        source=manifest.source,
        users=manifest.users,
        items=manifest.items,
        train_rows=manifest.samples["train"],
        test_rows=manifest.samples["test"],
        test_users=rows.clusters.users,
        test_days=round((manifest.splits.end - manifest.splits.test_from) / SECONDS_PER_DAY, 2),
        best_auc=manifest.facts.get("bayes_auc"),
    )
    return Question(data, asking.budget_ms, asking.tolerance, asked.hours, contested.seeds, asked.candidates)


def _contender(
    each: Entrant, rows: TestRows, placed: Sequence[Placed], losses: tuple[Loss, ...], timed: Timed
) -> Contender:
    cache, full = each.cache.result(), each.kind == "full"
    metrics = _metrics(each, rows)
    return Contender(
        name=each.name,
        kind=each.kind,
        about=about(each.name, each.runs[0].recipe.model.method),
        recipe=", ".join(f"{name} {value}" for name, value in each.point.items()),
        auc=method_auc(placed, rows.clusters),
        losses=losses,
        gauc=_mean(values["gauc"] for values in metrics),
        ece=_mean(values["ece"] for values in metrics),
        ne=_mean(values["normalized_entropy"] for values in metrics),
        p50_ms=timed.p50,
        p99_ms=timed.p99,
        record_bytes=0.0 if full else cache and cache.bytes_per_user,
        make_ms=None if full else cache and cache.ms_per_user,
        new_behavior=None if full else _new_behavior(each),
        aged=tuple(Aged(float(days), loss) for days, job in each.aged.items() if (loss := job.result())),
        curve=tuple(_curve_point(each, share, run, rows) for share, run in each.curve.items()),
    )


def _metrics(each: Entrant, rows: TestRows) -> list[dict[str, float | None]]:
    """Of each seed, as served."""
    if each.smaller:
        return [rows.metrics(job.logits()) for job in each.smaller]
    evaluations = [found.evaluation for run in each.runs if (found := run.evaluation.result())]
    return [{name: getattr(e.metrics[name], form_of(each)) for name in SHOWN_METRICS.values()} for e in evaluations]


def _curve_point(each: Entrant, share: float, run: TrainJob, rows: TestRows) -> CurvePoint:
    manifest = run.result()
    auc = method_auc([rows.of_run(run, form_of(each))], rows.clusters)
    return CurvePoint(share, (manifest.train_rows if manifest else None) or 0, Estimate(auc.value, auc.ci, None))


def _new_behavior(each: Entrant) -> NewBehavior:
    """A compressor's record is made anew."""
    found = None if each.smaller else each.runs[0].evaluation.result()
    change = found.evaluation.new_behavior if found else None
    return NewBehavior(change.rows, change.flops) if change else NewBehavior(None, None)


def _counters(contested: Contested, rows: TestRows, scored: Sequence[Scored]) -> Iterable[Counter]:
    manifest, histories = contested.dataset.manifest, open_histories(contested.info)
    for name, counter in COUNTERS.items():
        if name == BETRAYS and manifest.labels == "sampled":
            continue
        values = counter.values(rows.samples, histories, manifest.splits.valid_from)
        if values is not None:
            placed = rows.clusters.place(values)
            auc = method_auc([placed], rows.clusters)
            yield Counter(counter.title, auc, counter_losses(placed, scored, rows.clusters))


def _dropped(contested: Contested, out: Out) -> Dropped:
    recipe = contested.recipes.get(out.name)
    method = FULL if recipe is None else recipe.model.method
    kind = "compressed" if recipe is None else kind_of(method)
    return Dropped(out.name, kind, about(out.name, method), out.stage, out.auc, out.bar, out.reason)


def about(name: str, method: str) -> str:
    """The first sentence of the file of a method, or of the compressor that the name has."""
    compressor = next((each for each in COMPRESSORS if name.startswith(compression_name(each))), None)
    part = METHODS[method] if compressor is None else COMPRESSORS[compressor]
    text = (sys.modules[part.__module__].__doc__ or "").split("\n\n")[0]
    return " ".join(text.split())


def _commands(contested: Contested, asking: Asking) -> Iterable[Command]:
    yield Command("all of this page", asking.again)
    dataset = shlex.quote(contested.dataset.name)
    for each in contested.entrants:
        if not each.smaller:
            recipe = contested.workspace.path(RUNS, each.runs[0].name) / RUNS.file
            yield Command(
                f"a run of {each.name}", f"lrea train --recipe {shlex.quote(str(recipe))} --dataset {dataset}"
            )


def _mean(values: Iterable[float | None]) -> Estimate:
    known = [value for value in values if value is not None]
    return Estimate(statistics.fmean(known), None, None) if known else UNKNOWN
