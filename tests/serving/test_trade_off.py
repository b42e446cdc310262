"""A trade-off: every contender gated before any time, the same requests for all in turns, AUC as it is served."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from lrea_cli.errors import GateFailed
from lrea_cli.evaluation.kept import read_scores, write_evaluation
from lrea_cli.evaluation.statistics import auc_estimate
from lrea_cli.progress import Silent
from lrea_cli.recipe import Compression
from lrea_cli.serving import gate as gate_module
from lrea_cli.serving import trade_off as trade_off_module
from lrea_cli.serving.bench import STAGES
from lrea_cli.serving.cache import compress, open_cache
from lrea_cli.serving.contenders import Contender
from lrea_cli.serving.gate import GateResult
from lrea_cli.serving.scorer import RequestScorer, Visitor
from lrea_cli.serving.timing import LEAST_REQUESTS, Calls
from lrea_cli.serving.trade_off import Line, spread_out, trade_off
from lrea_cli.training.checkpoint import open_run
from lrea_cli.workspace import Workspace

CPU = torch.device("cpu")
FEW = Compression("recent", 2)
NAMES = ["lrea", "din", "din, recent 2", "full attention"]
CANDIDATES = 7


@pytest.fixture(scope="module")
def contenders(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory) -> list[Contender]:
    """lrea, din, din by its 2 newest behaviors, full attention; of runs whose scores may be kept."""
    workspace = Workspace(tmp_path_factory.mktemp("trade-off") / "home")
    shutil.copytree(tiny.home, workspace.home)
    lrea, din = (open_run(workspace, f"tiny-{method}", None, CPU) for method in ("lrea", "din"))
    found = []
    for run, name, made in ((lrea, "lrea", None), (din, "din", None), (din, "few", FEW)):
        compress(workspace, run, name, "float32", run.dataset.end, None, CPU, Silent(), made)
        found.append(Contender(run, open_cache(workspace, run, name)))
    return [*found, Contender(din, found[1].cache, "full")]


def measured(contenders: Sequence[Contender], seed: int = 3) -> list[Line]:
    return trade_off(contenders, CANDIDATES, 0.0, seed, CPU, Silent())


@pytest.fixture(autouse=True)
def _few_users_in_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "GATE_USERS", 2)


@pytest.fixture(scope="module")
def lines(contenders: list[Contender]) -> Iterator[list[Line]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate_module, "GATE_USERS", 2)
        yield measured(contenders)


def passing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A gate that passes everything, and the caches it is asked about."""
    asked: list[str] = []

    def gate(run, layout, histories, records, *_: object) -> GateResult:
        asked.append(records.folder.name)
        return GateResult(True, 0.0, 1, "nowhere", 1, 0)

    monkeypatch.setattr(trade_off_module, "run_gate", gate)
    return asked


def test_every_contender_has_a_line(lines: list[Line]) -> None:
    assert [line.contender.name for line in lines] == NAMES
    for line in lines:
        assert isinstance(line.gate, GateResult)
        assert line.gate.passed
        for stage, row in zip(STAGES, (line.interest, line.request), strict=True):
            assert row
            assert (row.stage, row.kernel, row.candidates, row.length) == (stage, "gemm", CANDIDATES, "real")
            assert row.requests == LEAST_REQUESTS
            assert row.route == line.contender.route
    assert [line.request.method for line in lines if line.request] == ["lrea", "din", "recent", "full"]


def test_auc_is_that_of_what_is_served(lines: list[Line]) -> None:
    for line in lines[:3]:
        scores = read_scores(line.contender.scores.path, "test", "")
        assert line.auc == auc_estimate(scores.served, scores.label, scores.user)
        assert line.auc.ci
        assert line.auc.value
        assert line.auc.ci[0] < line.auc.value < line.auc.ci[1]
    assert lines[2].auc != lines[1].auc


def test_full_attention_serves_the_form_that_was_trained(
    contenders: list[Contender], lines: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = contenders[1].scores.path
    right = read_scores(place, "test", "")
    write_evaluation(place, replace(right, served=-right.served), {})
    passing(monkeypatch)
    found = measured(contenders)
    write_evaluation(place, right, {})
    assert found[1].auc == auc_estimate(-right.served, right.label, right.user)
    assert found[3].auc == lines[3].auc == auc_estimate(right.trained, right.label, right.user)


def test_a_new_behavior_costs_what_the_method_counts_at_real_lengths(lines: list[Line]) -> None:
    lrea, din, few, full = lines
    histories = trade_off_module.open_histories(lrea.contender.run.dataset)
    known = histories.lengths_before(lrea.contender.run.dataset.end)
    long = np.clip(known - 8, 0, 40)
    for line in (lrea, din):
        assert line.behavior
        assert line.behavior == line.contender.run.model.long.cost(long, CANDIDATES, 4).behavior
        assert line.behavior.flops > 0
    assert din.behavior
    assert din.behavior.rows == 1
    assert (few.behavior, full.behavior) == (None, None)


def test_plain_values_of_a_line(lines: list[Line]) -> None:
    lrea, din, few, full = (line.to_dict() for line in lines)
    assert [row["method"] for row in (lrea, din, few, full)] == ["lrea", "din", "din", "full"]
    assert [row["run"] for row in (lrea, din, few, full)] == ["tiny-lrea", "tiny-din", "tiny-din", "tiny-din"]
    assert [row["cache"] for row in (lrea, din, few, full)] == ["lrea", "din", "few", None]
    assert [row["compressor"] for row in (lrea, din, few, full)] == [None, None, "recent", None]
    assert [row["rank"] for row in (lrea, din, few, full)] == [6, 40, 2, None]
    for line, row in zip(lines, (lrea, din, few, full), strict=True):
        assert line.interest
        assert line.request
        request, interest = line.request.to_dict(), line.interest.to_dict()
        assert (row["p50_ms"], row["p50_ci_ms"]) == (request["p50_ms"], request["p50_ci_ms"])
        assert row["p99_ms"] is None  # too few requests
        assert row["interest_p50_ms"] == interest["p50_ms"]
        assert row["gate"]["passed"] is True
        assert (row["auc"], row["auc_ci"]) == (line.auc.value, line.auc.ci)
    cache = lines[2].contender.cache
    assert (few["bytes_per_user"], few["compress_ms_per_user"]) == (cache.bytes_per_user, cache.ms_per_user)
    assert (full["bytes_per_user"], full["compress_ms_per_user"]) == (None, None)
    assert (few["rows_changed"], few["flops_changed"]) == (None, None)
    assert (din["rows_changed"], din["flops_changed"]) == (1, lines[1].behavior and lines[1].behavior.flops)


def test_all_loops_take_turns_over_the_same_users_and_candidates(
    contenders: list[Contender], lines: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[Calls]] = []

    def spy(loops: list[Calls], *_: object) -> list[list[float]]:
        seen.append(loops)
        return [[1.0 + n] * 20 for n in range(len(loops))]

    passing(monkeypatch)
    monkeypatch.setattr(trade_off_module, "measure_in_turns", spy)
    found = [measured(contenders, seed) for seed in (1, 1, 2)]
    assert [len(loops) for loops in seen] == [2 * len(contenders)] * 3
    medians = [(row.interest.percentiles[0].value, row.request.percentiles[0].value) for row in found[0]]  # pyright: ignore
    assert medians == [(1, 2), (3, 4), (5, 6), (7, 8)]

    def requests(loops: list[Calls]) -> list[tuple[list[int], list[int]]]:
        with torch.inference_mode():
            calls = [[next(loop).args for _ in range(20)] for loop in loops]  # pyright: ignore
        return [([u.key for u, _ in made], [int(c.item[0, 0]) for _, c in made]) for made in calls[::2]] + [
            ([u.key for u, _ in made], [int(c.ids["item"][0, 0]) for _, c in made]) for made in calls[1::2]
        ]

    first, same, other = (requests(loops) for loops in seen)
    assert first == [first[0]] * len(first)
    assert same == first
    assert other[0][0] != first[0][0]
    assert other[0][1] != first[0][1]
    assert len(set(first[0][0])) == 20
    assert len(set(first[0][1])) > 10


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_beginning_of_the_users_has_short_and_long_histories_in_their_shares(seed: int) -> None:
    visitors = [Visitor(key, min(length, 300)) for key, length in enumerate(np.random.default_rng(0).permutation(500))]
    found = spread_out(visitors, seed)
    assert sorted(v.key for v in found) == list(range(500))
    assert found == spread_out(visitors, seed)
    assert found[:10] != spread_out(visitors, seed + 1)[:10]
    for requests in (10, 50, 87, 160, 459):
        lengths = np.sort([v.length for v in found[:requests]])
        shares = np.searchsorted(lengths, (50, 100, 200, 300)) / requests
        assert shares == pytest.approx([0.1, 0.2, 0.4, 0.6], abs=1.5 / requests)


def test_only_full_attention_reads_the_history_and_each_other_its_own_records(
    contenders: list[Contender], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    right = RequestScorer.full_interest, RequestScorer.cached_interest

    def full(scorer: RequestScorer, *arguments: Any, padded: bool) -> torch.Tensor:
        read.append("history")
        return right[0](scorer, *arguments, padded=padded)

    def cached(scorer: RequestScorer, *arguments: Any) -> torch.Tensor:
        read.append(scorer.records.folder.name)  # pyright: ignore
        return right[1](scorer, *arguments)

    def once(loops: list[Calls], *_: object) -> list[list[float]]:
        for loop in loops:
            next(loop)()
        return [[1.0]] * len(loops)

    passing(monkeypatch)
    monkeypatch.setattr(RequestScorer, "full_interest", full)
    monkeypatch.setattr(RequestScorer, "cached_interest", cached)
    monkeypatch.setattr(trade_off_module, "measure_in_turns", once)
    measured(contenders)
    assert read == ["lrea", "lrea", "din", "din", "few", "few", "history", "history"]


def test_a_cache_is_gated_once_and_with_the_kernel_that_serves(
    contenders: list[Contender], lines: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = passing(monkeypatch)
    measured(contenders)
    assert asked == ["lrea", "din", "few"]


def test_where_a_gate_fails_no_time_is_taken_of_it_alone(
    contenders: list[Contender], lines: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gate(run, layout, histories, records, *_: object) -> GateResult:
        if records.folder.name == "din":
            raise GateFailed("off by one")
        return GateResult(True, 0.0, 1, "nowhere", 1, 0)

    seen: list[int] = []
    right = trade_off_module.measure_in_turns
    monkeypatch.setattr(trade_off_module, "run_gate", gate)
    monkeypatch.setattr(
        trade_off_module, "measure_in_turns", lambda loops, *a: (seen.append(len(loops)), right(loops, *a))[1]
    )
    found = measured(contenders)
    assert seen == [4]
    assert [line.request is None for line in found] == [False, True, False, True]
    assert [line.interest is None for line in found] == [False, True, False, True]
    assert [line.request.method for line in found if line.request] == ["lrea", "recent"]
    row = found[1].to_dict()
    assert row["gate"] == {"passed": False, "failure": "off by one"}
    assert {row[name] for name in ("p50_ms", "p50_ci_ms", "p99_ms", "interest_p50_ms")} == {None}
    assert row["auc"] == lines[1].auc.value


def test_no_time_is_taken_before_the_last_gate(
    contenders: list[Contender], lines: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = passing(monkeypatch)

    def spy(loops: list[Calls], *_: object) -> list[list[float]]:
        assert asked == ["lrea", "din", "few"]
        return [[1.0]] * len(loops)

    monkeypatch.setattr(trade_off_module, "measure_in_turns", spy)
    measured(contenders)


def test_wrong_records_fail_the_real_gate(contenders: list[Contender], monkeypatch: pytest.MonkeyPatch) -> None:
    """A compressor's records as if the method had made them."""
    monkeypatch.setattr(gate_module, "GATE_USERS", 12)
    lrea, _, few, _ = contenders
    wrong = Contender(few.run, replace(few.cache, compression=None))
    found = measured([lrea, wrong])
    assert isinstance(found[1].gate, GateFailed)
    assert found[1].request is None
    assert found[0].request
