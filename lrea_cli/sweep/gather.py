"""From what a sweep left in its workspace to `Results`: means over seeds, and paired differences from kept scores."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, TypeVar

import torch

from lrea_cli import __version__
from lrea_cli.bench.machine import cpu_name
from lrea_cli.console.progress import Reporter
from lrea_cli.runs.manifest import RunManifest
from lrea_cli.score.kept import Form, KeptScores, read_scores
from lrea_cli.stats.bootstrap import auc_difference
from lrea_cli.stats.estimates import Difference
from lrea_cli.sweep.compressions import CompressJob
from lrea_cli.sweep.jobs import EvaluateJob, TrainJob
from lrea_cli.sweep.results import About, Compressed, OverSeeds, Prepared, Results, Scored, Tried, over_seeds
from lrea_cli.sweep.run import Cell, Finished
from lrea_cli.sweep.settings import Sweep
from lrea_cli.workspace.home import Artifact
from lrea_cli.workspace.sealed import as_json

T = TypeVar("T")


@dataclass(frozen=True)
class SeedRun:
    """One finished and evaluated run of a recipe.

    Args:
        manifest: of the run.
        test: what its evaluation measured.
    """

    job: TrainJob
    manifest: RunManifest
    test: dict[str, Any]

    @property
    def seed(self) -> int:
        return self.job.recipe.train.seed

    def scores(self) -> KeptScores:
        """The scores of every row of the test split."""
        return read_scores(self.job.home / "runs" / self.job.name, "test", "lrea sweep", self.job.made_from)


def about(command: str, workers: int) -> About:
    """What is known of a sweep that runs now."""
    versions = {"lrea": __version__, "torch": torch.__version__, "python": platform.python_version()}
    machine = {"cpu": cpu_name(), "cores": os.cpu_count(), "jobs": workers}
    return About(command, datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), machine, versions)


def gather(sweep: Sweep, finished: Finished, about: About, reporter: Reporter) -> Results:
    """Read every result."""
    dataset = finished.dataset.name
    runs = runs_of(finished)
    scored = []
    with reporter.task("differences", len(finished.cells), "recipes") as progress:
        for cell in finished.cells:
            if own := runs[cell.recipe]:
                base = [] if cell.recipe == sweep.base else runs.get(sweep.base or "", [])
                scored.append(_scored(dataset, cell, own, base))
            progress(1)
    return Results(
        **vars(about),
        sweep=sweep.name,
        title=sweep.title,
        base=sweep.base,
        recipes={name: as_json(recipe.to_dict()) for name, recipe in sweep.recipes.items()},
        search=tuple(dict(point) for point in sweep.search),
        datasets=(_prepared(finished.dataset, sweep.seeds),),
        tried=tuple(tried for cell in finished.cells for tried in _tried(sweep, dataset, cell)),
        scored=tuple(scored),
        compressed=tuple(_compressed(finished)),
        failed={failure.job: failure.message for failure in finished.failures},
        left_out=finished.left_out,
    )


def runs_of(finished: Finished) -> dict[str, list[SeedRun]]:
    """The evaluated runs of each recipe, one a seed."""
    return {
        cell.recipe: [
            SeedRun(job, manifest, EvaluateJob(job.home, job.name).result())
            for job in cell.evaluated()
            if (manifest := job.manifest())
        ]
        for cell in finished.cells
    }


def differences(runs: Sequence[SeedRun], base: Sequence[SeedRun], form: Form) -> OverSeeds | None:
    """AUC of each run minus that of the base's run of the same seed, on the same rows; None where there is none."""
    of_seed = {run.seed: run for run in base}
    each = [_difference(of_seed[run.seed], run, form) for run in runs if run.seed in of_seed]
    return over_seeds([d.value for d in each], [d.ci for d in each]) if each else None


def _difference(base: SeedRun, run: SeedRun, form: Form) -> Difference:
    a, b = base.scores(), run.scores()
    return auc_difference(a.form(form), b.form(form), a.label, a.user)


def _scored(dataset: str, cell: Cell, own: Sequence[SeedRun], base: Sequence[SeedRun]) -> Scored:
    tests = [run.test for run in own]
    evaluations = [test["evaluation"] for test in tests]
    gaps = [evaluation["absorption_gap"] for evaluation in evaluations]
    changes = [evaluation["new_behavior"] for evaluation in evaluations]
    counters = [[v for v in evaluation["baselines"].values() if v is not None] for evaluation in evaluations]
    return Scored(
        dataset=dataset,
        recipe=cell.recipe,
        seeds=tuple(run.seed for run in own),
        point=dict(cell.chosen or {}),
        auc=over_seeds([e["auc"] for e in evaluations], [e["auc_ci"] for e in evaluations]),
        gauc=over_seeds([e["gauc"] for e in evaluations], [e["gauc_ci"] for e in evaluations]),
        difference=differences(own, base, "trained"),
        auc_served=over_seeds([t["served"]["value"] for t in tests], [t["served"]["ci"] for t in tests]),
        difference_served=differences(own, base, "served"),
        gap=over_seeds([gap["auc"] for gap in gaps], [gap["ci"] for gap in gaps]),
        rms_over_sd=over_seeds(gap["rms_over_sd"] for gap in gaps),
        column_entropy=over_seeds(run.manifest.column_entropy for run in own),
        bytes_per_record=over_seeds(test["bytes_per_record"] for test in tests),
        rows_changed=over_seeds(change["rows"] for change in changes),
        flops_changed=over_seeds(change["products"] + change["elementwise"] for change in changes),
        normalized_entropy=over_seeds(e["normalized_entropy"] for e in evaluations),
        best_counter=over_seeds(max(values) for values in counters),
        seconds=over_seeds(run.manifest.seconds for run in own),
    )


def _tried(sweep: Sweep, dataset: str, cell: Cell) -> Iterator[Tried]:
    """Every training of a cell, the search first."""
    searched = list(zip(cell.searched, sweep.search, strict=True))
    names = {job.name for job in cell.searched}
    later = [(job, cell.chosen or {}) for job in cell.trained if job.name not in names]
    for job, point in [*searched, *later]:
        made = job.manifest() if job.done() else None
        values = (made.best_valid_auc, made.best_epoch, made.epochs, made.seconds) if made else ()
        seed = job.recipe.train.seed
        yield Tried(dataset, cell.recipe, job.name, seed, dict(point), point == cell.chosen, *values)


def _compressed(finished: Finished) -> Iterator[Compressed]:
    recipe_of = {job.name: cell.recipe for cell in finished.cells for job in cell.trained}

    def key(job: CompressJob) -> tuple[str, str, str, int]:
        return finished.dataset.name, recipe_of[job.run], job.label, job.rank

    for group_key, group in groupby(sorted(finished.compressed, key=key), key):
        jobs = list(group)
        measured = [job.result() for job in jobs]
        changes = [one["difference"] for one in measured]
        yield Compressed(
            *group_key,
            seeds=tuple(job.seed for job in jobs),
            deviation=over_seeds(one["deviation"] for one in measured),
            deviation_long=over_seeds(one["deviation_long"] for one in measured),
            difference=over_seeds([change["value"] for change in changes], [change["ci"] for change in changes]),
            bytes_per_record=over_seeds(one["bytes_per_record"] for one in measured),
        )


def _prepared(artifact: Artifact, seeds: tuple[int, ...]) -> Prepared:
    manifest = artifact.manifest
    best = {name: value for name, value in manifest.facts.items() if name.startswith("bayes_")}
    counts = {name: getattr(manifest, name) for name in ("users", "items", "samples")}
    return Prepared(artifact.name, manifest.source, manifest.source_options, seeds, best=best, **counts)
