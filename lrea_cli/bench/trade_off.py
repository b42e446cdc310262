"""serve-bench of many: every contender gated and scored, then all timed in turns, for the same users and candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from lrea_cli.bench.contenders import Contender
from lrea_cli.bench.gate import GateResult, run_gate
from lrea_cli.bench.machine import Load, Machine
from lrea_cli.bench.routes import MARKS, STAGES, BenchSettings, Route, Stage, time_routes, visitors_of
from lrea_cli.bench.timing import Timings
from lrea_cli.console.progress import Reporter
from lrea_cli.dataset.histories import open_histories
from lrea_cli.dataset.samples import read_samples
from lrea_cli.errors import GateFailed
from lrea_cli.kernels import KernelName
from lrea_cli.score.evaluate import new_behavior, served_scores
from lrea_cli.score.kept_scores import KeptScores
from lrea_cli.serving.scorer import CandidatePool, Served, Visitor
from lrea_cli.stats.estimates import Interval
from lrea_cli.stats.latencies import NO_RATIO, Ratio, median_interval, paired_ratio, percentile
from lrea_cli.stats.methods import Cover, mean_auc_estimate
from lrea_cli.stats.metrics.auc import auc
from lrea_cli.workspace.sealed import as_json

KERNEL: KernelName = "gemm"
"""Serves pseudo items, and the short sequence of every method; methods that read other records attend by themselves."""
PREFIXES: dict[Stage, str] = {"request": "", "interest": "interest_"}
"""Of the keys of a stage's times."""
NONE_PASSED = "no contender passed its gate"
NO_FULL = "full attention was not timed: it needs a run of din that passes the gate"


@dataclass(frozen=True)
class FailedGate:
    """A gate that was not passed: what it said, and what to do."""

    failure: str
    remedy: str
    passed: Literal[False] = False


@dataclass(frozen=True)
class Line:
    """One contender: its keys are those of `--json`; what it has not is None.

    Args:
        method: `full` for full attention over the history itself.
        recipe: what its recipe has and the method's other recipes have not.
        auc, auc_ci: of the test split as served, and its 95% interval; full attention serves the form that was trained.
        auc_interval: what it covers: over seeds and users, or where there is one seed, given the trained models.
        auc_by_seed: of the contender's own run, and of the other seeds.
        gate: what was compared, or the failure: then there are no times.
        p50_ms, p50_ci_ms, p99_ms: of the whole request; interest_..: of the interest alone.
        speedup_vs_full: time of full attention over that of this contender, on the same requests; without values where
            it is withheld or full attention was not timed.
        bytes_per_user, compress_ms_per_user: of a record.
        rows_changed, flops_changed: by one more behavior in a record, the mean over the cache's users; None where the
            record is made anew, as a compressor's is.
    """

    name: str
    method: str
    recipe: str
    run: str
    cache: str | None
    compressor: str | None
    rank: int | None
    auc: float | None
    auc_ci: Interval | None
    auc_interval: Cover
    auc_by_seed: tuple[float | None, ...]
    gate: GateResult | FailedGate
    bytes_per_user: float | None
    compress_ms_per_user: float | None
    rows_changed: float | None
    flops_changed: float | None
    speedup_vs_full: dict[Stage, Ratio]
    p50_ms: float | None = None
    p50_ci_ms: Interval | None = None
    p99_ms: float | None = None
    interest_p50_ms: float | None = None
    interest_p50_ci_ms: Interval | None = None
    interest_p99_ms: float | None = None


@dataclass(frozen=True)
class TradeOff:
    """All contenders of a dataset: its keys are those of `--json`.

    Args:
        requests: that were timed of each contender.
        load: None where no gate was passed.
        withheld: why there are no ratios to full attention; None where there are.
        picture: name of the file beside the JSON; None where there was nothing to draw.
        without_run: each method that has no run, and the command that trains it.
    """

    dataset: str
    machine: Machine
    candidates: int
    requests: int
    rows: list[Line]
    load: Load | None
    withheld: str | None
    picture: str | None = None
    without_run: tuple[dict[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return as_json(asdict(self))


@dataclass(frozen=True)
class Stand:
    """Contenders of one dataset, whose caches hold the same users at the same instant, ready to be timed in turns.

    Args:
        served: by the name of the cache.
        pool: makes the candidates of all requests, from the first on.
    """

    served: Mapping[str, Served]
    visitors: Sequence[Visitor]
    pool: Callable[[], CandidatePool]
    settings: BenchSettings

    @classmethod
    def of(cls, contenders: Sequence[Contender], settings: BenchSettings) -> Stand:
        """Of one contender or more."""
        run = contenders[0].run
        histories, samples = open_histories(run.dataset), read_samples(run.dataset, "test")
        served = {c.cache.artifact.name: Served.of(c.run, c.cache, histories) for c in contenders}
        pool = partial(CandidatePool, histories, samples, settings.seed)
        return cls(served, visitors_of(contenders[0].cache, histories), pool, settings)

    def gates(self, reporter: Reporter) -> dict[str, GateResult | FailedGate]:
        """What the gate says of each cache, by its name."""
        gates: dict[str, GateResult | FailedGate] = {}
        reporter.say("gate: comparing what is served with float64 loops from raw history and checkpoint")
        with reporter.task("gate", len(self.served), "caches") as progress:
            for name, one in self.served.items():
                try:
                    gates[name] = run_gate(one, self.visitors, self.pool(), (KERNEL,))  # of din, full attention, too
                except GateFailed as failed:
                    gates[name] = FailedGate(str(failed), failed.remedy)
                progress(1)
        return gates

    def times(self, contenders: Sequence[Contender], reporter: Reporter) -> Timings:
        """Times of these, in turns; there is one or more, and each has passed its gate."""
        plan: list[tuple[Served, KernelName, Route]] = [
            (self.served[each.cache.artifact.name], KERNEL, each.route) for each in contenders
        ]
        return time_routes(plan, self.visitors, self.pool(), self.settings, reporter)


def trade_off(contenders: Sequence[Contender], settings: BenchSettings, reporter: Reporter) -> TradeOff:
    """Gate all, score the test split through each one's records, and time those that passed.

    The contenders are of one dataset, and their caches hold the same users at the same instant.
    """
    stand = Stand.of(contenders, settings)
    gates, run, visitors = stand.gates(reporter), contenders[0].run, stand.visitors
    scores = [(served_scores(c.run, c.cache, reporter), *c.other_seeds) for c in contenders]
    lines = []
    with reporter.task("intervals of the AUC", len(contenders), "methods") as progress:
        for contender, seeds in zip(contenders, scores, strict=True):
            lines.append(_untimed(contender, gates[contender.cache.artifact.name], seeds, visitors))
            progress(1)
    passed = [n for n, line in enumerate(lines) if line.gate.passed]
    load, withheld, requests = None, NONE_PASSED, 0
    if passed:
        timings = stand.times([contenders[n] for n in passed], reporter)
        full = next((call for call, n in enumerate(passed) if lines[n].method == "full"), None)
        load, requests = timings.load, len(timings.rounds)
        withheld = NO_FULL if full is None else load.reason_to_withhold
        for call, n in enumerate(passed):
            lines[n] = _timed(lines[n], timings, call, None if withheld else full)
    data, machine = run.dataset.manifest.dataset, Machine.of(run.device)
    return TradeOff(data, machine, settings.candidates, requests, lines, load, withheld)


def _untimed(
    contender: Contender, gate: GateResult | FailedGate, seeds: Sequence[KeptScores], visitors: Sequence[Visitor]
) -> Line:
    """A line without times; `seeds`: scores of the contender's own run, and of the other seeds."""
    run, cache, served = contender.run, contender.cache, contender.route == "cache"
    logits = [kept.form("served" if served else "trained") for kept in seeds]
    label, user = seeds[0].label, seeds[0].user
    mean, smaller = mean_auc_estimate(logits, label, user), cache.manifest.compression if served else None
    lengths = np.array([user.length for user in visitors])
    behavior = new_behavior(run, lengths, cache.manifest.dtype) if served and not smaller else None
    return Line(
        name=contender.name,
        method=run.recipe.model.method if served else "full",
        recipe=contender.difference,
        run=run.name,
        cache=cache.artifact.name if served else None,
        compressor=smaller.compressor if smaller else None,
        rank=cache.artifact.manifest.rank if served else None,
        auc=mean.value,
        auc_ci=mean.ci,
        auc_interval=mean.cover,
        auc_by_seed=tuple(auc(each, label) for each in logits),
        gate=gate,
        bytes_per_user=cache.manifest.bytes_per_user if served else None,
        compress_ms_per_user=cache.manifest.ms_per_user if served else None,
        rows_changed=behavior.rows if behavior else None,
        flops_changed=behavior.flops if behavior else None,
        speedup_vs_full=dict.fromkeys(STAGES, NO_RATIO),
    )


def _timed(line: Line, timings: Timings, call: int, full: int | None) -> Line:
    """The line with the times of its call; `full`: number of full attention's call, None = no ratio is given."""
    values: dict[str, Any] = {}
    speedup = dict(line.speedup_vs_full)
    for stage, prefix in PREFIXES.items():
        times = timings.between(call, *MARKS[stage])
        values[f"{prefix}p50_ms"] = percentile(times, 50)
        values[f"{prefix}p50_ci_ms"] = median_interval(times.tolist())
        values[f"{prefix}p99_ms"] = percentile(times, 99)
        if full is not None:
            speedup[stage] = paired_ratio(timings.between(full, *MARKS[stage]), times, timings.rounds)
    return replace(line, **values, speedup_vs_full=speedup)
