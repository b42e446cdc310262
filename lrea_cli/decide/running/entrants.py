"""The ways to serve that are measured to the end: the methods that are left, and the compressions of full attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lrea_cli.decide.results import Kind
from lrea_cli.decide.running.asked import FULL, SHORT
from lrea_cli.decide.running.jobs import AgedJob, CacheJob, GateJob, label
from lrea_cli.decide.running.plan import AGES, COMPRESSED, CURVE, GATES, OLD, RECORDS, SHARES
from lrea_cli.decide.running.stages import Contest, Out
from lrea_cli.recipe.settings import Compression
from lrea_cli.sweep.jobs import CompressJob, TrainJob
from lrea_cli.sweep.search import training
from lrea_cli.sweep.search_settings import Rung
from lrea_cli.sweep.space import Point

Curve = dict[float, TrainJob]
"""By the share of the users, the run of the first seed."""


@dataclass(frozen=True)
class Entrant:
    """One way to serve.

    Args:
        name: as tables have it. recipe: its name in the sweep. point: the settings that the search chose.
        runs: evaluated trainings, one a seed.
        smaller: a compression of each run; none = the method's own records.
        cache: records of the users whose requests are timed, of the first run.
        aged: by the days, the job that scores by records so old; none where nothing is made ahead.
    """

    name: str
    recipe: str
    point: Point
    runs: tuple[TrainJob, ...]
    smaller: tuple[CompressJob, ...]
    cache: CacheJob
    curve: Curve
    aged: dict[int, AgedJob]

    @property
    def gate(self) -> GateJob:
        """Of the cache, once that is done."""
        return GateJob(self.cache)

    @property
    def kind(self) -> Kind:
        """What it is."""
        if self.smaller:
            return "compressed"
        return kind_of(self.runs[0].recipe.model.method)


def kind_of(method: str) -> Kind:
    """What a method is that serves its own records."""
    kinds: dict[str, Kind] = {FULL: "full", SHORT: "short"}
    return kinds.get(method, "cached")


def compression_name(smaller: str) -> str:
    """`din, clusters 16`."""
    return f"{FULL}, {smaller}"


def entrants(
    contest: Contest, runs: Mapping[str, tuple[TrainJob, ...]], points: Mapping[str, Point], out: list[Out]
) -> tuple[Entrant, ...]:
    """Do what is missing of all but the times.

    Args:
        runs: of the methods that are left, evaluated, one a seed.
        points: that the search has chosen.
        out: is told of compressions that were not done.
    """
    compressed = _compressed(contest, runs, out)
    curves = _curves(contest, runs, points)
    every = [_entrant(contest, name, points[name], own, curves[name]) for name, own in runs.items()]
    for smaller, jobs in compressed.items():
        every.append(_entrant(contest, FULL, points[FULL], runs[FULL], {}, smaller, jobs))
    contest.work(RECORDS, [each.cache for each in every], "caches")
    contest.work(GATES, [each.gate for each in every if each.cache.done()], "gates")
    if contest.extras:
        contest.work(OLD, [job for each in every for job in each.aged.values()], "scorings")
    return tuple(every)


def _compressed(
    contest: Contest, runs: Mapping[str, tuple[TrainJob, ...]], out: list[Out]
) -> dict[Compression, tuple[CompressJob, ...]]:
    """The compressions of all runs of full attention that are done."""
    asked, full = contest.asked.compressions, runs.get(FULL, ())
    jobs = {c: tuple(CompressJob(r.home, r.name, c.compressor, c.rank, r.seed) for r in full) for c in asked}
    contest.work(COMPRESSED, [job for own in jobs.values() for job in own], "compressions")
    done = {c: own for c, own in jobs.items() if own and all(job.done() for job in own)}
    for compression, own in jobs.items():
        if compression not in done:
            reason = contest.why(own) if own else f"{FULL} did not come to the end."
            out.append(Out(compression_name(label(compression)), COMPRESSED, None, None, reason))
    return done


def _curves(
    contest: Contest, runs: Mapping[str, tuple[TrainJob, ...]], points: Mapping[str, Point]
) -> dict[str, Curve]:
    """The learning curve of each method: the search has trained on the shares, so they are only evaluated."""
    sweep, ground, dataset = contest.asked.sweep, contest.ground, contest.dataset
    on_share = {
        (name, share): training(sweep, name, points[name], ground, dataset, Rung(share))
        for name in runs
        for share in SHARES
        if share < 1
    }
    if contest.extras:
        contest.work(CURVE, [run.evaluation for run in on_share.values() if run.done()], "evaluations")
    curves: dict[str, Curve] = {name: {} for name in runs}
    for (name, share), run in on_share.items():
        if run.done() and run.evaluation.done():
            curves[name][share] = run
    return {name: {**curve, 1.0: runs[name][0]} if curve else {} for name, curve in curves.items()}


def _entrant(
    contest: Contest,
    recipe: str,
    point: Point,
    runs: tuple[TrainJob, ...],
    curve: Curve,
    smaller: Compression | None = None,
    jobs: tuple[CompressJob, ...] = (),
) -> Entrant:
    first = runs[0]
    seeded = smaller and Compression(smaller.compressor, smaller.rank, first.seed)
    cache = CacheJob(contest.workspace.home, first.name, seeded, first.seed)
    ages = () if smaller is None and first.recipe.model.method == FULL else AGES
    aged = {days: AgedJob(first, jobs[0] if jobs else None, days) for days in ages}
    return Entrant(
        compression_name(label(smaller)) if smaller else recipe, recipe, point, runs, jobs, cache, curve, aged
    )
