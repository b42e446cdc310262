"""A trade-off: every contender gated before any time, the same requests for all in turns, AUC as it is served."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lrea_cli.bench import gate as gate_module
from lrea_cli.bench import routes as routes_module
from lrea_cli.bench import timing as timing_module
from lrea_cli.bench import trade_off as trade_off_module
from lrea_cli.bench.contenders import Contender
from lrea_cli.bench.gate import GateResult
from lrea_cli.bench.machine import Load, Meter
from lrea_cli.bench.routes import BenchSettings, Stage, Workload
from lrea_cli.bench.timing import TURN, Call, Timings
from lrea_cli.bench.trade_off import FailedGate, Line, TradeOff, trade_off
from lrea_cli.console.progress import Silent
from lrea_cli.errors import GateFailed
from lrea_cli.kernels import KernelName
from lrea_cli.recipe.settings import Compression
from lrea_cli.records.cache import CacheSettings, compress, open_cache
from lrea_cli.runs.checkpoint import open_run
from lrea_cli.score.kept_scores import read_scores, write_evaluation
from lrea_cli.serving.scorer import RequestScorer, Served
from lrea_cli.stats.latencies import NO_RATIO, paired_ratio
from lrea_cli.stats.methods import mean_auc_estimate
from lrea_cli.stats.metrics.auc import auc
from lrea_cli.workspace.home import Workspace
from tests.changed import changed_cache
from tests.stats.simulated import auc_estimate

CPU = torch.device("cpu")
FEW = Compression("recent", 2)
NAMES = ["lrea", "din", "din, recent 2", "full attention"]
CANDIDATES = 7
FREE = Load(1.0, 1.0, 0.0, 2, 2)
ROUNDS = 6
"""Of the turns that are really taken here."""


@pytest.fixture(scope="module")
def contenders(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory) -> list[Contender]:
    """lrea, din, din by its 2 newest behaviors, full attention; of runs whose scores may be kept."""
    workspace = Workspace(tmp_path_factory.mktemp("trade-off") / "home")
    shutil.copytree(tiny.home, workspace.home)
    lrea, din = (open_run(workspace, f"tiny-{method}", None, CPU) for method in ("lrea", "din"))
    found = []
    for run, name, made in ((lrea, "lrea", None), (din, "din", None), (din, "few", FEW)):
        compress(workspace, run, CacheSettings(compression=made), Silent(), name)
        found.append(Contender(run, open_cache(workspace, run, name)))
    return [*found, Contender(din, found[1].cache, "full")]


def scores_of(contender: Contender) -> Path:
    """Where scores lie: with the cache that a compressor made, else with the run."""
    made = contender.cache.manifest.compression
    return contender.cache.artifact.path if made else contender.run.artifact.path


def measured(contenders: Sequence[Contender], seed: int = 3) -> list[Line]:
    return whole(contenders, seed).rows


def whole(contenders: Sequence[Contender], seed: int = 3) -> TradeOff:
    return trade_off(contenders, BenchSettings(CANDIDATES, 1e-9, seed), Silent())


def timings(calls: int, load: Load = FREE, rounds: int = 8) -> Timings:
    """Call n takes n + 1 ms for its interest, and 10 ms for the rest of the request."""
    interest = np.repeat(1.0 + np.arange(calls)[:, None], rounds * TURN, 1)
    nothing = np.zeros_like(interest)
    return Timings(np.stack([nothing, nothing, interest, 10 + interest], -1), load)


@pytest.fixture(autouse=True)
def _few_users_in_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "GATE_USERS", 2)
    monkeypatch.setattr(Meter, "read", lambda _: FREE)
    monkeypatch.setattr(timing_module, "LEAST_ROUNDS", ROUNDS)


@pytest.fixture(scope="module")
def lines(contenders: list[Contender]) -> Iterator[list[Line]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate_module, "GATE_USERS", 2)
        patch.setattr(Meter, "read", lambda _: FREE)
        patch.setattr(timing_module, "LEAST_ROUNDS", ROUNDS)
        yield measured(contenders)


def passing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A gate that passes everything, and the caches it is asked about."""
    asked: list[str] = []

    def gate(served, *_: object) -> GateResult:
        asked.append(served.records.folder.name)
        return GateResult(True, 0.0, 1, "nowhere", 1, 0, 0)

    monkeypatch.setattr(trade_off_module, "run_gate", gate)
    return asked


def test_every_contender_has_a_line(lines: list[Line]) -> None:
    assert [line.name for line in lines] == NAMES
    for line in lines:
        assert isinstance(line.gate, GateResult)
        assert line.gate.passed
        assert line.p50_ms is not None
        assert line.p50_ci_ms is not None
        assert line.p50_ci_ms[0] <= line.p50_ms <= line.p50_ci_ms[1]
        assert line.interest_p50_ms is not None
        assert line.interest_p50_ms < line.p50_ms
        assert line.p99_ms is line.interest_p99_ms is None  # too few requests
        assert line.speedup_vs_full["request"].value


def test_auc_is_that_of_what_is_served(contenders: list[Contender], lines: list[Line]) -> None:
    for contender, line in zip(contenders[:3], lines, strict=False):
        scores = read_scores(scores_of(contender), "test", "")
        wanted = auc_estimate(scores.served, scores.label, scores.user)
        assert (line.auc, line.auc_ci, line.auc_by_seed) == (wanted.value, wanted.ci, (wanted.value,))
    assert lines[2].auc != lines[1].auc


def test_full_attention_serves_the_form_that_was_trained(
    contenders: list[Contender], lines: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = scores_of(contenders[1])
    right = read_scores(place, "test", "")
    write_evaluation(place, replace(right, served=-right.served), {})
    passing(monkeypatch)
    found = measured(contenders)
    write_evaluation(place, right, {})
    assert found[1].auc == auc(-right.served, right.label)
    assert found[3].auc == lines[3].auc == auc(right.trained, right.label)


def test_a_new_behavior_costs_what_the_method_counts_at_real_lengths(
    contenders: list[Contender], lines: list[Line]
) -> None:
    histories = trade_off_module.open_histories(contenders[0].run.dataset)
    long = np.clip(histories.lengths_before(contenders[0].run.dataset.manifest.splits.end) - 8, 0, 40)
    for contender, line in zip(contenders[:2], lines, strict=False):
        wanted = contender.run.model.long.cost(long, CANDIDATES).behavior
        assert (line.rows_changed, line.flops_changed) == (wanted.rows, wanted.flops)
        assert wanted.flops > 0
    assert lines[1].rows_changed == 1
    assert {(line.rows_changed, line.flops_changed) for line in lines[2:]} == {(None, None)}


def test_a_line_says_what_it_is(contenders: list[Contender], lines: list[Line]) -> None:
    assert [line.method for line in lines] == ["lrea", "din", "din", "full"]
    assert [line.run for line in lines] == ["tiny-lrea", "tiny-din", "tiny-din", "tiny-din"]
    assert [line.cache for line in lines] == ["lrea", "din", "few", None]
    assert [line.compressor for line in lines] == [None, None, "recent", None]
    assert [line.rank for line in lines] == [6, 40, 2, None]
    assert {line.recipe for line in lines} == {""}
    few, full = lines[2:]
    cache = contenders[2].cache
    assert (few.bytes_per_user, few.compress_ms_per_user) == (cache.manifest.bytes_per_user, cache.manifest.ms_per_user)
    assert (full.bytes_per_user, full.compress_ms_per_user) == (None, None)


def test_all_contenders_take_turns_over_the_same_users_and_candidates(
    contenders: list[Contender], lines: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[list[str], list[Workload]]] = []

    def serve(served: Served, kernel: KernelName, route: str, workload: Workload) -> str:
        assert kernel == "gemm"
        seen[-1][1].append(workload)
        return f"{served.records.folder.name} {route}"  # pyright: ignore

    def spy(calls: list[str], *_: object) -> Timings:
        seen[-1][0].extend(calls)
        return timings(len(calls))

    passing(monkeypatch)
    monkeypatch.setattr(routes_module, "serve", serve)
    monkeypatch.setattr(routes_module, "take_turns", spy)
    found = []
    for seed in (1, 1, 2):
        seen.append(([], []))
        found.append(measured(contenders, seed))
    assert [calls for calls, _ in seen] == [["lrea cache", "din cache", "few cache", "din full"]] * 3
    assert [medians(line) for line in found[0]] == [(11, 1), (12, 2), (13, 3), (14, 4)]
    first, same, other = (workloads[0] for _, workloads in seen)
    assert all(workloads == [workloads[0]] * 4 for _, workloads in seen)
    assert first.visitors == same.visitors != other.visitors
    items = [[ids.ids["item"].tolist() for ids in workload.sets] for workload in (first, same, other)]
    assert items[0] == items[1] != items[2]
    assert len(first.visitors) == 150


def medians(line: Line) -> tuple[float | None, ...]:
    return line.p50_ms, line.interest_p50_ms


def test_ratios_are_to_full_attention_on_the_same_requests(
    contenders: list[Contender], lines: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    passing(monkeypatch)
    monkeypatch.setattr(routes_module, "take_turns", lambda calls, *_: timings(len(calls)))
    found = whole(contenders)
    assert found.withheld is None
    assert [ratio(line, "interest") for line in found.rows] == pytest.approx([4, 2, 4 / 3, 1])
    assert [ratio(line, "request") for line in found.rows] == pytest.approx([14 / 11, 14 / 12, 14 / 13, 1])
    timed = timings(4)
    request = [timed.between(call, 0, 3) for call in range(4)]
    wanted = [paired_ratio(request[3], times, timed.rounds) for times in request]
    assert [line.speedup_vs_full["request"] for line in found.rows] == wanted


def ratio(line: Line, stage: Stage) -> float | None:
    return line.speedup_vs_full[stage].value


@pytest.mark.parametrize(
    ("named", "load", "words"),
    [
        ([0, 1, 2, 3], Load(0.6, 0.1, 1.0, 2, 2), "40% of the time"),
        ([0, 1, 2], FREE, "full attention was not timed"),
    ],
)
def test_there_is_no_ratio_on_a_busy_machine_or_without_full_attention(
    contenders: list[Contender],
    lines: list[Line],
    monkeypatch: pytest.MonkeyPatch,
    named: list[int],
    load: Load,
    words: str,
) -> None:
    passing(monkeypatch)
    monkeypatch.setattr(routes_module, "take_turns", lambda calls, *_: timings(len(calls), load))
    found = whole([contenders[n] for n in named])
    assert found.withheld
    assert words in found.withheld
    assert all(line.p50_ms and set(line.speedup_vs_full.values()) == {NO_RATIO} for line in found.rows)


def test_the_auc_of_several_seeds_is_their_mean(
    contenders: list[Contender], lines: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of full attention, the form that was trained of every seed."""
    kept = read_scores(scores_of(contenders[1]), "test", "")
    rng = np.random.default_rng(1)
    noisy = [
        replace(kept, served=kept.served + rng.normal(0, s, len(kept.served)), trained=kept.trained) for s in (1, 2)
    ]
    passing(monkeypatch)
    monkeypatch.setattr(routes_module, "take_turns", lambda calls, *_: timings(len(calls)))
    din, full = measured([replace(c, other_seeds=tuple(noisy)) for c in (contenders[1], contenders[3])])
    scores = [kept.served, *(n.served for n in noisy)]
    mean = mean_auc_estimate(scores, kept.label, kept.user)
    assert (din.auc, din.auc_ci, din.auc_interval) == (mean.value, mean.ci, "over seeds and users")
    assert din.auc_by_seed == tuple(auc(of, kept.label) for of in scores)
    assert len(set(din.auc_by_seed)) == 3
    assert full.auc_by_seed == (auc(kept.trained, kept.label),) * 3


def test_only_full_attention_reads_the_history_and_each_other_its_own_records(
    contenders: list[Contender], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    right = RequestScorer.full_interest, RequestScorer.cached_interest

    def full(scorer: RequestScorer, *arguments: Any) -> torch.Tensor:
        read.append("history")
        return right[0](scorer, *arguments)

    def cached(scorer: RequestScorer, *arguments: Any) -> torch.Tensor:
        read.append(scorer.records.folder.name)  # pyright: ignore
        return right[1](scorer, *arguments)

    def once(calls: list[Call], *_: object) -> Timings:
        for call in calls:
            call(0, lambda: None)
        return timings(len(calls))

    passing(monkeypatch)
    monkeypatch.setattr(RequestScorer, "full_interest", full)
    monkeypatch.setattr(RequestScorer, "cached_interest", cached)
    monkeypatch.setattr(routes_module, "take_turns", once)
    measured(contenders)
    assert read == ["lrea", "din", "few", "history"]


def test_a_cache_is_gated_once_and_with_the_kernel_that_serves(
    contenders: list[Contender], lines: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = passing(monkeypatch)
    measured(contenders)
    assert asked == ["lrea", "din", "few"]


def test_where_a_gate_fails_no_time_is_taken_of_it_alone(
    contenders: list[Contender], lines: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gate(served, *_: object) -> GateResult:
        if served.records.folder.name == "din":
            raise GateFailed("off by one")
        return GateResult(True, 0.0, 1, "nowhere", 1, 0, 0)

    seen: list[int] = []
    right = routes_module.take_turns
    monkeypatch.setattr(trade_off_module, "run_gate", gate)
    monkeypatch.setattr(routes_module, "take_turns", lambda calls, *a: (seen.append(len(calls)), right(calls, *a))[1])
    found = measured(contenders)
    assert seen == [2]
    assert [line.p50_ms is None for line in found] == [False, True, False, True]
    row = found[1]
    assert row.gate == FailedGate("off by one", "")
    assert {row.p50_ms, row.p50_ci_ms, row.p99_ms, row.interest_p50_ms} == {None}
    assert set(row.speedup_vs_full.values()) == {NO_RATIO}
    assert row.auc == lines[1].auc


def test_no_time_is_taken_before_the_last_gate(
    contenders: list[Contender], lines: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = passing(monkeypatch)

    def spy(calls: list[Call], *_: object) -> Timings:
        assert asked == ["lrea", "din", "few"]
        return timings(len(calls))

    monkeypatch.setattr(routes_module, "take_turns", spy)
    measured(contenders)


def test_wrong_records_fail_the_real_gate(contenders: list[Contender], monkeypatch: pytest.MonkeyPatch) -> None:
    """A compressor's records as if the method had made them."""
    monkeypatch.setattr(gate_module, "GATE_USERS", 12)
    lrea, _, few, _ = contenders
    wrong = Contender(few.run, changed_cache(few.cache, compression=None, compressor=None))
    found = measured([lrea, wrong])
    assert isinstance(found[1].gate, FailedGate)
    assert found[1].p50_ms is None
    assert found[0].p50_ms
