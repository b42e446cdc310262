"""serve-bench of many: every contender gated and scored, then all timed in turns, for the same users and candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from lrea_cli.data.batches import read_samples
from lrea_cli.data.histories import Histories, open_histories
from lrea_cli.errors import GateFailed
from lrea_cli.evaluation.estimates import Estimate
from lrea_cli.evaluation.evaluate import ServedFrom
from lrea_cli.evaluation.kept import KeptScores
from lrea_cli.evaluation.served import served_scores
from lrea_cli.evaluation.statistics import auc_estimate
from lrea_cli.kernels import KernelName
from lrea_cli.methods.cost import Work
from lrea_cli.progress import Reporter
from lrea_cli.sequence import CandidateIds
from lrea_cli.serving.bench import CANDIDATE_SETS, STAGES, Row, requests, row_of, visitors_of
from lrea_cli.serving.candidates import CandidatePool
from lrea_cli.serving.contenders import Contender
from lrea_cli.serving.gate import GateResult, run_gate
from lrea_cli.serving.resident import records_on
from lrea_cli.serving.scorer import RequestScorer, Visitor
from lrea_cli.serving.timing import measure_in_turns

KERNEL: KernelName = "gemm"
"""Serves pseudo items, and the short sequence of every method; what reads other records attends in a way of its own."""

GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Args:
        gate: what was compared, or the failure.
        auc: of the test split as served, users drawn; full attention serves the form that was trained.
        behavior: one more behavior in a record, the mean over the cache's users; None where the record is made anew,
            as a compressor's is, or where there is none.
        interest, request: latencies of the two stages; None where the gate failed.
    """

    contender: Contender
    gate: GateResult | GateFailed
    auc: Estimate
    behavior: Work | None
    interest: Row | None
    request: Row | None

    def to_dict(self) -> dict[str, Any]:
        """As `--json` has it; what a contender has not is null."""
        contender, cache, gate = self.contender, self.contender.cache, self.gate
        served = contender.route == "cache"
        made = cache.compression if served else None
        return {
            "name": contender.name,
            "method": contender.run.recipe.model.method if served else "full",
            "run": contender.run.name,
            "cache": cache.artifact.name if served else None,
            "compressor": made.compressor if made else None,
            "rank": cache.artifact.manifest["rank"] if served else None,
            "auc": self.auc.value,
            "auc_ci": self.auc.ci,
            **_times(self.request, ""),
            **_times(self.interest, "interest_"),
            "bytes_per_user": cache.bytes_per_user if served else None,
            "compress_ms_per_user": cache.ms_per_user if served else None,
            "rows_changed": self.behavior.rows if self.behavior else None,
            "flops_changed": self.behavior.flops if self.behavior else None,
            "gate": vars(gate) if isinstance(gate, GateResult) else {"passed": False, "failure": str(gate)},
        }


def trade_off(
    contenders: Sequence[Contender],
    candidates: int,
    seconds: float,
    seed: int,
    device: torch.device,
    reporter: Reporter,
) -> list[Line]:
    """Gate all, score the test split through each one's records, and time those that passed.

    Args:
        contenders: of one dataset; the caches hold the same users at the same instant.
        candidates: N. seconds: for each stage of each, at most as long as p99 needs. seed: of users and candidates.
    """
    dataset = contenders[0].run.dataset
    histories, samples = open_histories(dataset), read_samples(dataset, "test")
    visitors = visitors_of(contenders[0].cache, histories)
    gates = _gates(contenders, histories, visitors, partial(CandidatePool, histories, samples, seed), device, reporter)
    scores = [_served_scores(c, device, reporter) for c in contenders]
    with reporter.task("intervals of the AUC", len(contenders), "methods") as progress:
        aucs = []
        for kept, contender in zip(scores, contenders, strict=True):
            logits = kept.form("served" if contender.route == "cache" else "trained")
            aucs.append(auc_estimate(logits, kept.label, kept.user))
            progress(1)
    passed = [c for c, gate in zip(contenders, gates, strict=True) if isinstance(gate, GateResult)]
    pool = CandidatePool(histories, samples, seed)
    sets = [pool.draw(candidates) for _ in range(CANDIDATE_SETS)]
    times = iter(time_in_turns(passed, histories, spread_out(visitors, seed), sets, seconds, device, reporter))
    lines = []
    for contender, gate, auc in zip(contenders, gates, aucs, strict=True):
        interest, request = next(times) if isinstance(gate, GateResult) else (None, None)
        lines.append(Line(contender, gate, auc, _new_behavior(contender, visitors), interest, request))
    return lines


def spread_out(visitors: Sequence[Visitor], seed: int) -> list[Visitor]:
    """All users, those with short and long histories in their shares from the start.

    Loops end after different numbers of requests, and so each has met as long histories as the others. The k-th user
    has the place by length that frac(u + k (sqrt(5) - 1) / 2) has among all these numbers: they fill [0, 1) evenly.
    """
    by_length = np.argsort([user.length for user in visitors], kind="stable")
    numbers = (np.random.default_rng(seed).random() + np.arange(len(visitors)) * GOLDEN) % 1
    place = np.argsort(np.argsort(numbers))
    return [visitors[n] for n in by_length[place]]


def time_in_turns(
    contenders: Sequence[Contender],
    histories: Histories,
    visitors: Sequence[Visitor],
    sets: Sequence[CandidateIds],
    seconds: float,
    device: torch.device,
    reporter: Reporter,
) -> list[tuple[Row, Row]]:
    """Interest and request of each contender; every loop meets the same users and candidates in the same order.

    Args:
        sets: candidates of one request each. seconds: for each loop.
    """
    loops = []
    for contender in contenders:
        run, records = contender.run, records_on(contender.cache.store, device)
        scorer = RequestScorer(run.model, histories, run.recipe.data, records, KERNEL, device)
        loops += [requests(scorer, stage, contender.route, visitors, sets) for stage in STAGES]
    with reporter.task("serve-bench", len(loops), "rows") as progress, torch.inference_mode():
        found = iter(measure_in_turns(loops, seconds, device, progress))
    candidates, times = sets[0].mask.shape[1], []
    for c in contenders:
        interest, request = (row_of(c.run, c.cache, c.route, s, KERNEL, candidates, next(found)) for s in STAGES)
        times.append((interest, request))
    return times


def _gates(
    contenders: Sequence[Contender],
    histories: Histories,
    visitors: Sequence[Visitor],
    pool: Callable[[], CandidatePool],
    device: torch.device,
    reporter: Reporter,
) -> list[GateResult | GateFailed]:
    """Of each one's cache, once: the gate of a din run compares full attention, too. The pools are equal ones."""
    reporter.say("gate: comparing what is served with float64 loops from raw history and checkpoint")
    found: dict[str, GateResult | GateFailed] = {}
    caches = {c.cache.artifact.name: c for c in contenders}
    with reporter.task("gate", len(caches), "caches") as progress:
        for name, c in caches.items():
            store, made = c.cache.store, c.cache.compression
            records = records_on(store, device)
            try:
                found[name] = run_gate(
                    c.run, store.layout, histories, records, visitors, pool(), (KERNEL,), device, made
                )
            except GateFailed as failed:
                found[name] = failed
            progress(1)
    return [found[c.cache.artifact.name] for c in contenders]


def _served_scores(contender: Contender, device: torch.device, reporter: Reporter) -> KeptScores:
    """Of the test split; the served form has gone through the contender's kind of records."""
    cache = contender.cache
    way = ServedFrom(cache.dtype, cache.compression, cache.artifact.name if cache.compression else None)
    return served_scores(contender.run, way, contender.scores, device, reporter)


def _new_behavior(contender: Contender, visitors: Sequence[Visitor]) -> Work | None:
    """Counted by the method at the long lengths of these users."""
    run, cache = contender.run, contender.cache
    if contender.route == "full" or cache.compression:
        return None
    settings = run.recipe.data
    long = np.clip([user.length - settings.short for user in visitors], 0, settings.long)
    return run.model.long.cost(long, 1, cache.store.layout.torch_dtype.itemsize).behavior


def _times(row: Row | None, prefix: str) -> dict[str, Any]:
    """p50, its interval and p99 of a stage; null where it was not timed."""
    found = row.to_dict() if row else {}
    return {f"{prefix}{name}": found.get(name) for name in ("p50_ms", "p50_ci_ms", "p99_ms")}
