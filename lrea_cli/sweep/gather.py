"""Reads what a sweep left in its workspace: means over seeds, and differences from kept scores."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby

import torch

from lrea_cli import __version__
from lrea_cli.bench.machine import cpu_name
from lrea_cli.console.progress import Reporter
from lrea_cli.dataset.counters import strongest
from lrea_cli.stats.metrics import METRICS
from lrea_cli.sweep.jobs import CompressJob, TrainJob
from lrea_cli.sweep.placed import PlacedRuns
from lrea_cli.sweep.results import About, Compressed, Prepared, Results, Scored, Tried, over_seeds
from lrea_cli.sweep.run import Cell, Finished
from lrea_cli.sweep.settings import Sweep
from lrea_cli.sweep.space import Point
from lrea_cli.workspace.home import Artifact
from lrea_cli.workspace.sealed import as_json


def about(command: str, workers: int) -> About:
    """What is known of a sweep that runs now."""
    versions = {"lrea": __version__, "torch": torch.__version__, "python": platform.python_version()}
    machine = {"cpu": cpu_name(), "cores": os.cpu_count(), "jobs": workers}
    return About(command, datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), machine, versions)


def gather(sweep: Sweep, finished: Finished, about: About, reporter: Reporter) -> Results:
    """All numbers of a sweep, from the files of its jobs."""
    dataset = finished.dataset.name
    runs = runs_of(finished)
    scored, placed = [], PlacedRuns()
    with reporter.task("differences", len(finished.cells), "recipes") as progress:
        for cell in finished.cells:
            if own := runs[cell.recipe]:
                base_name = sweep.base_of(cell.recipe)
                base = [] if cell.recipe == base_name else runs.get(base_name or "", [])
                recipe, share = sweep.curve.get(cell.recipe, (None, 1.0))
                scored.append(replace(_scored(dataset, cell, own, base, placed), curve=recipe, share=share))
            progress(1)
    return Results(
        **vars(about),
        sweep=sweep.name,
        title=sweep.title,
        base=sweep.base,
        recipes={name: as_json(recipe.to_dict()) for name, recipe in sweep.recipes.items()},
        search=tuple(dict(point) for point in sweep.search.shared),
        datasets=(prepared(finished.dataset, sweep.seeds),),
        tried=tuple(tried for cell in finished.cells for tried in _tried(dataset, cell)),
        scored=tuple(scored),
        compressed=tuple(_compressed(finished, placed)),
        failed={failure.job: failure.message for failure in finished.failures},
        left_out=finished.left_out,
        space=as_json(dict(sweep.search.content)) if not sweep.search.shared else {},
        chosen={name: as_json(vars(found)) for name, found in sweep.chosen.items()},
        published={} if sweep.published is None else as_json(vars(sweep.published)),
        changes=as_json({name: dict(section) for name, section in sweep.changes.items()}),
    )


def runs_of(finished: Finished) -> dict[str, tuple[TrainJob, ...]]:
    """The evaluated runs of each recipe, one a seed."""
    return {cell.recipe: cell.evaluated() for cell in finished.cells}


def _scored(dataset: str, cell: Cell, own: Sequence[TrainJob], base: Sequence[TrainJob], placed: PlacedRuns) -> Scored:
    tests = [test for run in own if (test := run.evaluation.result())]
    manifests = [manifest for run in own if (manifest := run.result())]
    evaluations = [test.evaluation for test in tests]
    gaps = [evaluation.absorption_gap for evaluation in evaluations]
    changes = [evaluation.new_behavior for evaluation in evaluations if evaluation.new_behavior]
    metrics = {}
    for metric in METRICS:
        each = [evaluation.metrics[metric.name] for evaluation in evaluations]
        method = placed.auc(own, "trained") if metric.name == "auc" else None
        metrics[metric.name] = over_seeds([m.trained for m in each], [m.ci for m in each], method)
    return Scored(
        dataset=dataset,
        recipe=cell.recipe,
        seeds=tuple(run.seed for run in own),
        point=dict(cell.chosen or {}),
        metrics=metrics,
        difference=placed.difference(own, base, "trained"),
        auc_served=over_seeds([t.served.value for t in tests], [t.served.ci for t in tests], placed.auc(own, "served")),
        difference_served=placed.difference(own, base, "served"),
        gap=over_seeds([gap.auc for gap in gaps], [gap.ci for gap in gaps], placed.gap(own)),
        rms_over_sd=over_seeds(gap.rms_over_sd for gap in gaps),
        column_entropy=over_seeds(manifest.column_entropy for manifest in manifests),
        bytes_per_record=over_seeds(test.bytes_per_record for test in tests),
        rows_changed=over_seeds(change.rows for change in changes),
        flops_changed=over_seeds(change.flops for change in changes),
        best_counter=over_seeds(strongest(evaluation.baselines)[1] for evaluation in evaluations),
        seconds=over_seeds(manifest.seconds for manifest in manifests),
        train_rows=over_seeds(manifest.train_rows for manifest in manifests),
    )


def _tried(dataset: str, cell: Cell) -> Iterator[Tried]:
    """Every training of a cell, the search first."""
    searched = {job.name for trial in cell.tried for job in trial.jobs}
    for trial in cell.tried:
        for job in trial.jobs:
            yield tried(dataset, trial.recipe, job, trial.point, trial.point == cell.chosen, trial.rung)
    for job in cell.trained:
        if job.name not in searched:
            yield tried(dataset, cell.recipe, job, cell.chosen or {}, chosen=True)


def tried(dataset: str, recipe: str, job: TrainJob, point: Point, chosen: bool, rung: int = 0) -> Tried:
    """What a training came to."""
    plain = Tried(dataset, recipe, job.name, job.seed, dict(point), chosen, rung=rung)
    run = job.result()
    if run is None:
        return plain
    found = {"best_epoch": run.best_epoch, "epochs": run.epochs, "seconds": run.seconds}
    return replace(plain, valid_auc=run.best_valid_auc, **found)


def _compressed(finished: Finished, placed: PlacedRuns) -> Iterator[Compressed]:
    trained = {job.name: job for cell in finished.cells for job in cell.trained}
    recipe_of = {job.name: cell.recipe for cell in finished.cells for job in cell.trained}

    def key(job: CompressJob) -> tuple[str, str, str, int]:
        return finished.dataset.name, recipe_of[job.run], job.label, job.rank

    for group_key, group in groupby(sorted(finished.compressed, key=key), key):
        of_jobs = {job: result for job in group if (result := job.result())}
        jobs, measured = list(of_jobs), list(of_jobs.values())
        if not jobs:
            continue
        changes = [one.difference for one in measured]
        values, intervals = [change.value for change in changes], [change.ci for change in changes]
        yield Compressed(
            *group_key,
            seeds=tuple(job.seed for job in jobs),
            deviation=over_seeds(one.deviation for one in measured),
            deviation_long=over_seeds(one.deviation_long for one in measured),
            difference=over_seeds(values, intervals, placed.compression(jobs, trained)),
            bytes_per_record=over_seeds(one.bytes_per_record for one in measured),
        )


def prepared(artifact: Artifact, seeds: tuple[int, ...]) -> Prepared:
    """What a dataset is."""
    data = artifact.manifest
    best = {name: value for name, value in data.facts.items() if name.startswith("bayes_")}
    counts = data.users, data.items, data.samples
    return Prepared(artifact.name, data.source, data.source_options, seeds, *counts, best)
