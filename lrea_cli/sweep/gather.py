"""From what a sweep left in its workspace to `Results`: means over seeds, and paired differences from kept scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from lrea_cli.console.progress import Reporter
from lrea_cli.dataset.manifest import DatasetManifest
from lrea_cli.runs.manifest import RunManifest
from lrea_cli.score.kept import Form, KeptScores, read_scores
from lrea_cli.stats.bootstrap import auc_difference
from lrea_cli.stats.estimates import Difference
from lrea_cli.sweep.compressions import CompressJob
from lrea_cli.sweep.fidelity import count_statuses
from lrea_cli.sweep.jobs import EVALUATION, EvaluateJob, TrainJob, read_made, run_manifest
from lrea_cli.sweep.results import Compressed, OverSeeds, Prepared, Results, Scored, Tried, best_of, over_seeds
from lrea_cli.sweep.run import Cell, Finished
from lrea_cli.sweep.settings import DatasetPlan, Published, Sweep
from lrea_cli.workspace.home import Artifact, as_json

T = TypeVar("T")


@dataclass(frozen=True)
class About:
    """What the results say of how they came about: see `Results`."""

    command: str
    date: str
    machine: dict[str, Any]
    versions: dict[str, str]


@dataclass(frozen=True)
class SeedRun:
    """One finished and evaluated run of a cell."""

    home: Path
    name: str
    seed: int

    @cached_property
    def manifest(self) -> RunManifest:
        return _there(run_manifest(self.home, self.name))

    @cached_property
    def test(self) -> dict[str, Any]:
        return _there(read_made(self.home, self.name, EVALUATION))

    def scores(self) -> KeptScores:
        return read_scores(self.home / "runs" / self.name, "test", "lrea sweep", self.manifest.made_from)


def gather(sweep: Sweep, finished: Finished, about: About, reporter: Reporter) -> Results:
    """Read every result."""
    runs = {(cell.plan.name, cell.recipe): _seed_runs(cell) for cell in finished.cells}
    scored = []
    with reporter.task("differences", len(finished.cells), "recipes") as progress:
        for cell in finished.cells:
            base = runs.get((cell.plan.name, sweep.base or ""), [])
            own = runs[cell.plan.name, cell.recipe]
            if own:
                scored.append(_scored(cell, own, [] if cell.recipe == sweep.base else base))
            progress(1)
    with reporter.task("differences to the best", len(scored), "recipes") as progress:
        beside = []
        for one in scored:
            beside.append(_beside_best(one, [s for s in scored if s.dataset == one.dataset], runs, sweep.base))
            progress(1)
    return Results(
        sweep=sweep.name,
        title=sweep.title,
        findings=sweep.findings,
        **vars(about),
        base=sweep.base,
        recipes={name: as_json(recipe.to_dict()) for name, recipe in sweep.recipes.items()},
        search=tuple(dict(point) for point in sweep.search),
        datasets=tuple(_prepared(sweep, plan, finished.datasets[plan.name]) for plan in sweep.datasets),
        tried=tuple(tried for cell in finished.cells for tried in _tried(sweep, cell)),
        scored=tuple(beside),
        compressed=tuple(_compressed(finished)),
        failed={failure.job: failure.message for failure in finished.failures},
        left_out=finished.left_out,
        paper=dict(_paper(sweep, finished.datasets)),
        fidelity=count_statuses(),
    )


def _seed_runs(cell: Cell) -> list[SeedRun]:
    jobs = (job for job in cell.finished() if EvaluateJob(job.home, job.name).done())
    return [SeedRun(job.home, job.name, job.recipe.train.seed) for job in jobs]


def _scored(cell: Cell, runs: list[SeedRun], base: list[SeedRun]) -> Scored:
    tests = [run.test for run in runs]
    found = [test["evaluation"] for test in tests]
    gaps = [each["absorption_gap"] for each in found]
    return Scored(
        dataset=cell.plan.name,
        recipe=cell.recipe,
        seeds=tuple(run.seed for run in runs),
        point=dict(cell.chosen or {}),
        auc=over_seeds([e["auc"] for e in found], [e["auc_ci"] for e in found]),
        gauc=over_seeds([e["gauc"] for e in found], [e["gauc_ci"] for e in found]),
        difference=_differences(runs, base, "trained"),
        auc_served=over_seeds([t["served"]["value"] for t in tests], [t["served"]["ci"] for t in tests]),
        difference_served=_differences(runs, base, "served"),
        gap=over_seeds([gap["auc"] for gap in gaps], [gap["ci"] for gap in gaps]),
        rms_over_sd=over_seeds(gap["rms_over_sd"] for gap in gaps),
        column_entropy=over_seeds(run.manifest.column_entropy for run in runs),
        bytes_per_record=over_seeds(test["bytes_per_record"] for test in tests),
        rows_changed=over_seeds(e["new_behavior"]["rows"] for e in found),
        flops_changed=over_seeds(e["new_behavior"]["products"] + e["new_behavior"]["elementwise"] for e in found),
        normalized_entropy=over_seeds(e["normalized_entropy"] for e in found),
        best_counter=over_seeds(max(v for v in e["baselines"].values() if v is not None) for e in found),
        seconds=over_seeds(run.manifest.seconds for run in runs),
    )


def _beside_best(
    one: Scored, scored: Sequence[Scored], runs: Mapping[tuple[str, str], list[SeedRun]], base: str | None
) -> Scored:
    """With its differences to the best of its dataset; those to the base are there already."""
    trained, served = best_of(scored, lambda s: s.auc).recipe, best_of(scored, lambda s: s.auc_served).recipe

    def to(best: str, form: Form, to_base: OverSeeds | None) -> OverSeeds | None:
        if best == one.recipe:
            return None
        return to_base if best == base else _differences(runs[one.dataset, one.recipe], runs[one.dataset, best], form)

    return replace(
        one,
        to_best=to(trained, "trained", one.difference),
        to_best_served=to(served, "served", one.difference_served),
    )


def _differences(runs: list[SeedRun], base: list[SeedRun], form: Form) -> OverSeeds | None:
    """Each run minus the base's run of the same seed, on the same rows."""
    of_seed = {run.seed: run for run in base}
    found = [_difference(of_seed[run.seed], run, form) for run in runs if run.seed in of_seed]
    return over_seeds([d.value for d in found], [d.ci for d in found]) if found else None


def _difference(base: SeedRun, run: SeedRun, form: Form) -> Difference:
    a, b = base.scores(), run.scores()
    return auc_difference(a.form(form), b.form(form), a.label, a.user)


def _tried(sweep: Sweep, cell: Cell) -> Iterator[Tried]:
    """Every training of a cell, the search first."""
    searched = list(zip(cell.searched, sweep.search, strict=True))
    names = {job.name for job in cell.searched}
    later = [(job, cell.chosen or {}) for job in cell.trained if job.name not in names]
    for job, point in [*searched, *later]:
        yield _training(cell, job, dict(point), point == cell.chosen)


def _training(cell: Cell, job: TrainJob, point: dict[str, float], chosen: bool) -> Tried:
    made = run_manifest(job.home, job.name) if job.done() else None
    tried = Tried(cell.plan.name, cell.recipe, job.name, job.recipe.train.seed, point, chosen)
    if made is None:
        return tried
    return replace(
        tried, valid_auc=made.best_valid_auc, best_epoch=made.best_epoch, epochs=made.epochs, seconds=made.seconds
    )


def _compressed(finished: Finished) -> Iterator[Compressed]:
    owner = {job.name: cell for cell in finished.cells for job in cell.trained}

    def key(job: CompressJob) -> tuple[str, str, str, int]:
        cell = owner[job.run]
        return cell.plan.name, cell.recipe, job.label, job.rank

    for place, group in groupby(sorted(finished.compressed, key=key), key):
        jobs = list(group)
        found = [_there(read_made(job.home, job.run, job.file)) for job in jobs]
        yield Compressed(
            *place,
            seeds=tuple(job.seed for job in jobs),
            deviation=over_seeds(f["deviation"] for f in found),
            deviation_long=over_seeds(f["deviation_long"] for f in found),
            difference=over_seeds([f["difference"]["value"] for f in found], [f["difference"]["ci"] for f in found]),
            bytes_per_record=over_seeds(f["bytes_per_record"] for f in found),
        )


def _paper(sweep: Sweep, datasets: Mapping[str, Artifact[DatasetManifest]]) -> Iterator[tuple[str, Published]]:
    """Published numbers, where a dataset is the paper's: of the same source, and whole."""
    for name, artifact in datasets.items():
        published = sweep.paper.get(artifact.manifest.source)
        if published is not None and artifact.manifest.users >= published.least_users:
            yield name, published


def _prepared(sweep: Sweep, plan: DatasetPlan, artifact: Artifact[DatasetManifest]) -> Prepared:
    made = artifact.manifest
    best = {name: value for name, value in made.facts.items() if name.startswith("bayes_")}
    counts = {"users": made.users, "items": made.items, "samples": made.samples}
    changes = sweep.changes.get(made.source, {})
    return Prepared(plan.name, made.source, made.source_options, plan.seeds, best=best, changes=changes, **counts)


def _there(result: T | None) -> T:
    if result is None:
        raise RuntimeError("a result vanished while it was read")
    return result
