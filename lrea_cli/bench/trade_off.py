"""serve-bench of many: every contender gated and scored, then all timed in turns, for the same users and candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from lrea_cli.bench.contenders import Contender
from lrea_cli.bench.gate import GateResult, run_gate
from lrea_cli.bench.machine import Load
from lrea_cli.bench.routes import (
    STAGES,
    BenchSettings,
    Row,
    Stage,
    TimedRoute,
    Workload,
    make_workload,
    serve,
    stage_times,
    visitors_of,
)
from lrea_cli.bench.timing import PERCENT, take_turns
from lrea_cli.console.progress import Reporter
from lrea_cli.dataset.histories import open_histories
from lrea_cli.dataset.samples import read_samples
from lrea_cli.errors import GateFailed
from lrea_cli.kernels import KERNELS, KernelName
from lrea_cli.methods.cost import Work
from lrea_cli.records.cache import Cache
from lrea_cli.runs.checkpoint import Run
from lrea_cli.score.evaluate import ServedFrom
from lrea_cli.score.kept import KeptScores
from lrea_cli.score.served import served_scores
from lrea_cli.serving.candidates import CandidatePool
from lrea_cli.serving.scorer import Visitor
from lrea_cli.serving.served import Served
from lrea_cli.stats.bootstrap import mean_auc_estimate
from lrea_cli.stats.estimates import Estimate
from lrea_cli.stats.metrics.auc import auc
from lrea_cli.stats.ratios import NO_RATIO, Ratio, paired_ratio

KERNEL: KernelName = "gemm"
"""Serves pseudo items, and the short sequence of every method; what reads other records attends in a way of its own."""


@dataclass(frozen=True)
class Timed:
    """Times of one contender.

    Args:
        rows: latencies of each stage.
        speedup: time of full attention over that of this contender, on the same requests; without values where it is
            withheld or full attention was not timed.
    """

    rows: dict[Stage, Row]
    speedup: dict[Stage, Ratio]


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Args:
        gate: what was compared, or the failure.
        auc: of the test split as served, users drawn, and seeds where there are several; full attention serves the
            form that was trained. auc_by_seed: of the contender's own run, and of the other seeds.
        behavior: one more behavior in a record, the mean over the cache's users; None where the record is made anew,
            as a compressor's is, or where there is none.
        timed: None where the gate failed.
    """

    contender: Contender
    gate: GateResult | GateFailed
    auc: Estimate
    auc_by_seed: tuple[float | None, ...]
    behavior: Work | None
    timed: Timed | None

    def to_dict(self) -> dict[str, Any]:
        """As `--json` has it; what a contender has not is null."""
        contender, cache, gate = self.contender, self.contender.cache, self.gate
        served = contender.route == "cache"
        made = cache.compression if served else None
        return {
            "name": contender.name,
            "method": contender.run.recipe.model.method if served else "full",
            "recipe": contender.difference,
            "run": contender.run.name,
            "cache": cache.artifact.name if served else None,
            "compressor": made.compressor if made else None,
            "rank": cache.artifact.manifest.rank if served else None,
            "auc": self.auc.value,
            "auc_ci": self.auc.ci,
            "auc_by_seed": list(self.auc_by_seed),
            **_times(self.timed, "request", ""),
            **_times(self.timed, "interest", "interest_"),
            "speedup_vs_full": {
                stage: (self.timed.speedup[stage] if self.timed else NO_RATIO).to_dict() for stage in STAGES
            },
            "bytes_per_user": cache.bytes_per_user if served else None,
            "compress_ms_per_user": cache.ms_per_user if served else None,
            "rows_changed": self.behavior.rows if self.behavior else None,
            "flops_changed": self.behavior.flops if self.behavior else None,
            "gate": vars(gate) if isinstance(gate, GateResult) else {"passed": False, "failure": str(gate)},
        }


@dataclass(frozen=True)
class TradeOff:
    """All lines, and the machine while they were timed; None where no gate was passed."""

    lines: list[Line]
    load: Load | None

    @property
    def withheld(self) -> str | None:
        """Why there are no ratios to full attention; None where there are."""
        if self.load is None:
            return "no contender passed its gate"
        if not any(line.contender.route == "full" and line.timed for line in self.lines):
            return "full attention was not timed: it needs a run of din that passes the gate"
        return self.load.reason_to_withhold


def trade_off(contenders: Sequence[Contender], settings: BenchSettings, reporter: Reporter) -> TradeOff:
    """Gate all, score the test split through each one's records, and time those that passed.

    Args:
        contenders: of one dataset; the caches hold the same users at the same instant.
    """
    run = contenders[0].run
    histories, samples = open_histories(run.dataset), read_samples(run.dataset, "test")
    visitors = visitors_of(contenders[0].cache, histories)
    pool = partial(CandidatePool, histories, samples, settings.seed)
    served = {c.cache.artifact.name: Served.of(c.run, c.cache, histories) for c in contenders}
    gate_of = _gates(served, visitors, pool, reporter)
    gates = [gate_of[c.cache.artifact.name] for c in contenders]
    aucs = _aucs(contenders, reporter)
    passed = [c for c, gate in zip(contenders, gates, strict=True) if isinstance(gate, GateResult)]
    workload = make_workload(visitors, pool(), settings, run.device)
    times, load = _time(passed, served, workload, settings, reporter) if passed else ([], None)
    of = dict(zip((c.name for c in passed), times, strict=True))
    lines = [
        Line(contender, gate, *auc, _new_behavior(contender, visitors), of.get(contender.name))
        for contender, gate, auc in zip(contenders, gates, aucs, strict=True)
    ]
    return TradeOff(lines, load)


def _time(
    contenders: Sequence[Contender],
    served: Mapping[str, Served],
    workload: Workload,
    settings: BenchSettings,
    reporter: Reporter,
) -> tuple[list[Timed], Load]:
    """Times of each contender, all of which serve the same requests in turns.

    Args:
        served: by the name of the cache.
    """
    scorers = [served[c.cache.artifact.name].scorer(KERNELS[KERNEL]) for c in contenders]
    calls = [serve(scorer, c.route, workload) for scorer, c in zip(scorers, contenders, strict=True)]
    with reporter.task("serve-bench", PERCENT, "%") as progress, torch.inference_mode():
        timings = take_turns(calls, settings.seconds, settings.seed, contenders[0].run.device, progress)
    full = next((call for call, c in enumerate(contenders) if c.route == "full"), None)
    busy, timed = timings.load.reason_to_withhold, []
    for call, c in enumerate(contenders):
        times = {stage: stage_times(timings, call, stage) for stage in STAGES}
        route = TimedRoute(c.run, c.cache, c.route, KERNEL)
        rows: dict[Stage, Row] = {stage: route.row(stage, settings.candidates, times[stage]) for stage in STAGES}
        speedup: dict[Stage, Ratio] = dict.fromkeys(STAGES, NO_RATIO)
        if full is not None and not busy:
            speedup = {s: paired_ratio(stage_times(timings, full, s), times[s], timings.rounds) for s in STAGES}
        timed.append(Timed(rows, speedup))
    return timed, timings.load


def _aucs(contenders: Sequence[Contender], reporter: Reporter) -> list[tuple[Estimate, tuple[float | None, ...]]]:
    """Of each contender: the mean over its seeds, and that of each seed."""
    scores = [(scores_through(c.run, c.cache, reporter), *c.other_seeds) for c in contenders]
    aucs = []
    with reporter.task("intervals of the AUC", len(contenders), "methods") as progress:
        for seeds, contender in zip(scores, contenders, strict=True):
            logits = [kept.form("served" if contender.route == "cache" else "trained") for kept in seeds]
            label, user = seeds[0].label, seeds[0].user
            aucs.append((mean_auc_estimate(logits, label, user), tuple(auc(of, label) for of in logits)))
            progress(1)
    return aucs


def _gates(
    served: Mapping[str, Served], visitors: Sequence[Visitor], pool: Callable[[], CandidatePool], reporter: Reporter
) -> dict[str, GateResult | GateFailed]:
    """Of each cache by its name: the gate of a din run compares full attention, too. The pools are equal ones."""
    reporter.say("gate: comparing what is served with float64 loops from raw history and checkpoint")
    gates: dict[str, GateResult | GateFailed] = {}
    with reporter.task("gate", len(served), "caches") as progress:
        for name, one in served.items():
            try:
                gates[name] = run_gate(one, visitors, pool(), (KERNEL,))
            except GateFailed as failed:
                gates[name] = failed
            progress(1)
    return gates


def scores_through(run: Run, cache: Cache, reporter: Reporter) -> KeptScores:
    """Of the test split; the served form has gone through this cache's kind of records."""
    way = ServedFrom(cache.dtype, cache.compression, cache.artifact.name if cache.compression else None)
    return served_scores(run, way, cache.artifact if cache.compression else run.artifact, reporter)


def _new_behavior(contender: Contender, visitors: Sequence[Visitor]) -> Work | None:
    """Counted by the method at the long lengths of these users."""
    run, cache = contender.run, contender.cache
    if contender.route == "full" or cache.compression:
        return None
    settings = run.recipe.data
    long = np.clip([user.length - settings.short for user in visitors], 0, settings.long)
    return run.model.long.cost(long, 1, cache.store.layout.torch_dtype.itemsize).behavior


def _times(timed: Timed | None, stage: Stage, prefix: str) -> dict[str, Any]:
    """p50, its interval and p99 of a stage; null where it was not timed."""
    row = timed.rows[stage].to_dict() if timed else {}
    return {f"{prefix}{name}": row.get(name) for name in ("p50_ms", "p50_ci_ms", "p99_ms")}
