"""serve-bench: what is timed is what is served, p99 is backed, ratios compare like with like."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from lrea_cli.bench import bench as bench_module
from lrea_cli.bench import gate as gate_module
from lrea_cli.bench import routes as routes_module
from lrea_cli.bench import timing as timing_module
from lrea_cli.bench.bench import Bench, mean_saving, serve_bench, speedups
from lrea_cli.bench.machine import Load, Meter
from lrea_cli.bench.routes import ROUTES, STAGES, BenchSettings, Route, Workload, row_of
from lrea_cli.bench.timing import TURN, Call, Mark, Timings
from lrea_cli.console.progress import Silent
from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.samples import read_samples
from lrea_cli.errors import GateFailed
from lrea_cli.kernels import KERNELS as KERNEL_FUNCTIONS
from lrea_cli.kernels import KernelName, serving_kernels
from lrea_cli.records.cache import Cache, CacheSettings, compress, open_cache
from lrea_cli.runs.checkpoint import Run
from lrea_cli.sequence import CandidateIds, HistoryIds
from lrea_cli.serving import scorer as served_module
from lrea_cli.serving.scorer import CandidatePool, RequestScorer, Served, Visitor, padded
from lrea_cli.stats.latencies import NO_RATIO, Ratio, paired_ratio, percentile
from lrea_cli.workspace.home import Workspace

CPU = torch.device("cpu")
KERNELS = serving_kernels("cpu")
USERS = np.arange(0, 150, 2)
FREE = Load(1.0, 1.0, 0.0, 2, 2)
ROUNDS = 6
"""Of the turns that are really taken here."""

Draw = Callable[[int], CandidateIds]


@pytest.fixture(autouse=True)
def in_torch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the native request are seen in test_natively.py."""
    monkeypatch.setenv("LREA_NATIVE", "0")


@pytest.fixture(scope="module")
def cache(lrea_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Cache:
    workspace = Workspace(tmp_path_factory.mktemp("bench"))
    compress(workspace, lrea_run, CacheSettings(users=USERS), Silent(), "cache")
    return open_cache(workspace, lrea_run, "cache")


@pytest.fixture(scope="module")
def visitors(lrea_run: Run, histories: Histories) -> list[Visitor]:
    lengths = histories.lengths_before(lrea_run.dataset.manifest.splits.end)
    return [Visitor(int(u), int(lengths[u])) for u in USERS]


@pytest.fixture(scope="module")
def bench(lrea_run: Run, cache: Cache) -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LREA_NATIVE", "0")
        patch.setattr(gate_module, "GATE_USERS", 6)
        patch.setattr(Meter, "read", lambda _: FREE)
        patch.setattr(timing_module, "LEAST_ROUNDS", ROUNDS)
        yield serve_bench(lrea_run, cache, BenchSettings(7, 0.01, 3), KERNELS, Silent())


@pytest.fixture
def draw(lrea_run: Run, histories: Histories) -> Draw:
    return CandidatePool(histories, read_samples(lrea_run.dataset, "test"), 5).draw


def scorer_of(run: Run, histories: Histories, cache: Cache, kernel: KernelName = "gemm") -> RequestScorer:
    return RequestScorer(run.model, cache.store, KERNEL_FUNCTIONS[kernel])


def test_there_is_a_row_for_every_stage_kernel_and_route(bench: Bench) -> None:
    found = {(r.stage, r.kernel, r.route) for r in bench.rows}
    assert found == set(itertools.product(("interest", "request"), KERNELS, ("cache", "full", "padded")))
    assert len(bench.rows) == len(found)
    assert bench.gate.passed


def test_rows_say_what_they_are(bench: Bench) -> None:
    for row in bench.rows:
        through_cache = row.route == "cache"
        assert row.method == ("lrea" if through_cache else "full")
        assert row.rank == (6 if through_cache else None)
        assert row.length == (40 if row.route == "padded" else "real")
        assert (row.candidates, row.dtype) == (7, "float32")
        assert row.requests == ROUNDS * TURN
        times = [percentile(row.latencies_ms, p) for p in (50, 95, 99)]
        assert [row.p50_ms, row.p95_ms, row.p99_ms] == times
        assert row.p50_ms is not None
        assert row.p99_ms is None  # too few requests
        assert row.p50_ci_ms is not None
        assert row.p50_ci_ms[0] <= row.p50_ms <= row.p50_ci_ms[1]


def test_the_file_keeps_latencies_to_the_microsecond(bench: Bench) -> None:
    shown, file = bench.to_dict(), bench.to_dict(latencies=True)
    for row, kept, printed in zip(bench.rows, file.pop("rows"), shown.pop("rows"), strict=True):
        times = kept.pop("latencies_ms")
        assert kept == printed
        assert len(times) == row.requests == len(row.latencies_ms)
        assert times == [round(ms, 3) for ms in row.latencies_ms]
        assert max(times) > 0
    assert file == shown


def test_too_few_requests_have_no_interval(lrea_run: Run, cache: Cache) -> None:
    few = row_of(lrea_run, cache, ("interest", "gemm", "cache"), 7, np.ones(3))
    assert few.p50_ci_ms is None


def test_lengths_are_those_of_the_long_parts(bench: Bench, visitors: list[Visitor]) -> None:
    long = [min(max(v.length - 8, 0), 40) for v in visitors]
    p50, p90 = int(np.median(long)), int(np.quantile(long, 0.9))
    assert bench.lengths == {"p50": p50, "p90": p90, "max": max(long)}


def timings(load: Load = FREE, slower: float = 0.0) -> Timings:
    """Of cache, full and padded: interests of 1, 3 and 5 ms, 6 ms for all else of a request, a user's length on top."""
    rng = np.random.default_rng(1)
    length = rng.random(40)
    interest = np.array([1.0 + slower, 3.0, 5.0])[:, None] * (0.5 + length)
    nothing = np.zeros_like(interest)
    return Timings(np.stack([nothing, nothing + 1, 1 + interest, 6 + interest], -1), load)


PLACES: dict[Route, int] = {"cache": 0, "full": 1, "padded": 2}


def test_ratios_are_of_the_same_requests_and_the_whole_request_comes_first() -> None:
    timed = timings()
    ratios = speedups(timed, PLACES)
    assert list(ratios) == ["request", "interest"]
    assert ratios["interest"]["real"].value == pytest.approx(3)
    assert ratios["interest"]["padded"].ci == pytest.approx((5, 5))
    request = timed.between(1, 0, 3), timed.between(0, 0, 3)
    assert ratios["request"]["real"] == paired_ratio(*request, timed.rounds)
    assert 1 < (ratios["request"]["real"].value or 0) < 1.4
    assert mean_saving(timed, PLACES) == pytest.approx((request[0] - request[1]).mean())


def test_a_busy_machine_has_no_ratio_and_no_saving() -> None:
    busy = timings(Load(0.5, 0.1, 1.0, 2, 2))
    assert {ratio for row in speedups(busy, PLACES).values() for ratio in row.values()} == {NO_RATIO}
    assert mean_saving(busy, PLACES) is None


@pytest.mark.parametrize("slower", [0.0, 2.0, 3.0])
def test_a_record_pays_after_as_many_requests_as_save_what_it_costs(
    lrea_run: Run, cache: Cache, monkeypatch: pytest.MonkeyPatch, slower: float
) -> None:
    monkeypatch.setattr(bench_module, "run_gate", lambda *_: None)
    monkeypatch.setattr(routes_module, "take_turns", lambda *_: timings(slower=slower))
    found = serve_bench(lrea_run, cache, BenchSettings(7, 0.0, 1), ("gemm",), Silent())
    saved = mean_saving(timings(slower=slower), PLACES)
    assert saved is not None
    assert found.saved_ms_per_request == saved
    assert found.pays_after_requests == (cache.manifest.ms_per_user / saved if slower == 0 else None)


def test_the_bench_reports_the_ratio_of_its_gemm_rows(bench: Bench) -> None:
    assert bench.speedup_kernel == "gemm"
    owner = np.arange(bench.rows[0].requests) // TURN
    for stage in STAGES:
        times = {r.route: np.array(r.latencies_ms) for r in bench.rows if (r.stage, r.kernel) == (stage, "gemm")}
        found = bench.speedup_vs_full[stage]
        assert found["real"] == paired_ratio(times["full"], times["cache"], owner)
        assert found["padded"] == paired_ratio(times["padded"], times["cache"], owner)


def test_an_interest_is_a_part_of_its_own_request(bench: Bench) -> None:
    times = {(r.stage, r.kernel, r.route): np.array(r.latencies_ms) for r in bench.rows}
    for kernel, route in itertools.product(KERNELS, ROUTES):
        assert (times["interest", kernel, route] < times["request", kernel, route]).all()


def test_the_ratio_is_of_the_only_kernel(lrea_run: Run, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_module, "run_gate", lambda *_: None)
    monkeypatch.setattr(routes_module, "take_turns", lambda *_: timings())
    found = serve_bench(lrea_run, cache, BenchSettings(7, 0.0, 1), ("naive",), Silent())
    assert (found.speedup_vs_full, found.speedup_kernel) == (speedups(timings(), PLACES), "naive")
    assert [(r.stage, r.route) for r in found.rows] == list(itertools.product(STAGES, ROUTES))


@pytest.mark.parametrize("kernel", KERNELS)
def test_padding_changes_no_number(
    lrea_run: Run, histories: Histories, cache: Cache, visitors: list[Visitor], draw, kernel: KernelName
) -> None:
    scorer = scorer_of(lrea_run, histories, cache, kernel)
    with torch.inference_mode():
        for user in visitors[:20]:
            candidates = lrea_run.model.features.candidates(draw(5))
            long = user.newest(histories, 8, 40)
            real, at_full_length = (scorer.full_interest(ids, candidates) for ids in (long, padded(long, 40)))
            torch.testing.assert_close(at_full_length, real, rtol=1e-5, atol=1e-6)


def test_padding_pays_for_the_full_length(
    lrea_run: Run, histories: Histories, cache: Cache, draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[HistoryIds] = []
    features = lrea_run.model.features
    embed = features.behaviors
    monkeypatch.setattr(features, "behaviors", lambda ids: (seen.append(ids), embed(ids))[1])
    scorer, candidates = scorer_of(lrea_run, histories, cache), features.candidates(draw(3))
    long = Visitor(2, 20).newest(histories, 8, 40)
    for ids in (long, padded(long, 40)):
        scorer.full_interest(ids, candidates)
    assert [(ids.mask.shape[1], int(ids.mask.sum())) for ids in seen] == [(12, 12), (40, 12)]


@pytest.mark.parametrize("kernel", KERNELS)
def test_interest_through_the_cache_is_attend_of_the_record(
    lrea_run: Run, histories: Histories, cache: Cache, visitors: list[Visitor], draw, kernel: KernelName
) -> None:
    scorer, model = scorer_of(lrea_run, histories, cache, kernel), lrea_run.model
    with torch.inference_mode():
        for user in visitors[:20]:
            candidates = model.features.candidates(draw(5))
            record = cache.store.fetch([user.key])
            found = scorer.cached_interest(record, candidates)
            assert torch.equal(found, model.long.attend(record.summary, candidates, scorer.kernel))
            long = histories.newest(np.array([user.key]), np.array([user.length]), 8, 40)
            direct = model.long.attend(model.long.summarize(model.features.behaviors(long)), candidates)
            torch.testing.assert_close(found, direct, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_kernel_asked_for_computes_both_interests(
    lrea_run: Run, histories: Histories, cache: Cache, draw: Draw, kernel: KernelName, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[str] = []
    for name, right in KERNEL_FUNCTIONS.items():
        monkeypatch.setitem(KERNEL_FUNCTIONS, name, lambda *a, n=name, right=right: (used.append(n), right(*a))[1])
    scorer, candidates = scorer_of(lrea_run, histories, cache, kernel), lrea_run.model.features.candidates(draw(3))
    scorer.cached_interest(cache.store.fetch([0]), candidates)
    scorer.full_interest(Visitor(0, 30).newest(histories, 8, 40), candidates)
    assert used == [kernel, kernel]


def test_the_ratio_is_of_gemm_wherever_it_stands(lrea_run: Run, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """naive is timed after it, three times as slow at full attention."""
    marks = timings().marks_ms
    slow = marks * np.array([1.0, 3.0, 3.0])[:, None, None]
    both = Timings(np.concatenate([marks, slow]), FREE)
    monkeypatch.setattr(bench_module, "run_gate", lambda *_: None)
    monkeypatch.setattr(routes_module, "take_turns", lambda *_: both)
    found = serve_bench(lrea_run, cache, BenchSettings(7, 0.0, 1), ("gemm", "naive"), Silent())
    assert (found.speedup_vs_full, found.speedup_kernel) == (speedups(timings(), PLACES), "gemm")


def test_every_route_serves_the_same_users_and_candidates_which_follow_the_seed(
    lrea_run: Run, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full attention at 10 times the cost meets the same users as the cache does: the real loops, all routes."""
    seen: dict[tuple[int, str], list[tuple[int, int]]] = {}

    class Spy(RequestScorer):
        route = ""

        def logits(self, request, *others):
            seen.setdefault((seed, self.route), []).append((request.key, int(request.candidates.ids["item"][0, 0])))
            return super().logits(request, *others)

    def serve(served: Served, kernel: KernelName, route: Route, workload: Workload) -> Call:
        monkeypatch.setattr(Spy, "route", route)
        call = right(served, kernel, route, workload)

        def noted(number: int, mark: Mark) -> None:
            monkeypatch.setattr(Spy, "route", route)
            call(number, mark)

        return noted

    right = routes_module.serve
    monkeypatch.setattr(routes_module, "serve", serve)
    monkeypatch.setattr(served_module, "RequestScorer", Spy)
    monkeypatch.setattr(bench_module, "run_gate", lambda *_: None)
    monkeypatch.setattr(Meter, "read", lambda _: FREE)
    monkeypatch.setattr(timing_module, "LEAST_ROUNDS", ROUNDS)
    for seed in (1, 1, 2):
        serve_bench(lrea_run, cache, BenchSettings(7, 1e-9, seed), ("gemm",), Silent())
    first = seen[1, "cache"]
    half = len(first) // 2
    assert first[:half] == first[half:]
    for seed, route in itertools.product((1, 2), ROUTES):
        assert seen[seed, route] == seen[seed, "cache"]
    assert seen[2, "cache"] != first[:half]
    assert {user for user, _ in first} <= set(USERS.tolist())
    assert len({user for user, _ in first}) == ROUNDS * TURN


def test_no_time_is_taken_where_the_gate_fails(
    lrea_run: Run, cache: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise GateFailed("no")

    monkeypatch.setattr(bench_module, "run_gate", fail)
    monkeypatch.setattr(routes_module, "take_turns", lambda *_: pytest.fail("a time was taken"))
    with pytest.raises(GateFailed):
        serve_bench(lrea_run, cache, BenchSettings(7, 0.01, 3), KERNELS, Silent())


def test_users_and_candidates_follow_the_seed(lrea_run: Run, histories: Histories) -> None:
    samples = read_samples(lrea_run.dataset, "test")
    first, same, other = (CandidatePool(histories, samples, seed).draw(50) for seed in (1, 1, 2))
    assert torch.equal(first.ids["item"], same.ids["item"])
    assert not torch.equal(first.ids["item"], other.ids["item"])
    pool = CandidatePool(histories, samples, 1)
    assert not torch.equal(pool.draw(50).ids["item"], pool.draw(50).ids["item"])


def test_candidates_are_rows_of_the_log_with_one_real_profile(lrea_run: Run, histories: Histories) -> None:
    samples = read_samples(lrea_run.dataset, "test")
    drawn = CandidatePool(histories, samples, 1).draw(60)
    logged = set(zip(histories.columns["item"][:].tolist(), histories.columns["category"][:].tolist(), strict=True))
    assert set(zip(drawn.ids["item"][0].tolist(), drawn.ids["category"][0].tolist(), strict=True)) <= logged
    profiles = set(zip(*(t[0].tolist() for t in drawn.profile.values()), strict=True))
    assert len(profiles) == 1
    assert profiles <= set(zip(*(samples.profile[name].tolist() for name in drawn.profile), strict=True))
    assert drawn.mask.all()


@pytest.mark.slow
def test_runs_beside_a_busy_loop_agree_within_the_interval_or_say_nothing(
    lrea_run: Run, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine of ten pairs: two 95% intervals of the same ratio lie further apart than their width once in 180 pairs."""
    monkeypatch.setattr(bench_module, "run_gate", lambda *_: None)
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        benches = [serve_bench(lrea_run, cache, BenchSettings(1000, 2.0, 3), ("gemm",), Silent()) for _ in range(4)]
    finally:
        busy.kill()
        busy.wait()
    shown = [bench.speedup_vs_full for bench in benches if not bench.withheld]
    agree = [
        is_within_interval(one[stage][lengths], other[stage][lengths])
        for one, other in itertools.combinations(shown, 2)
        for stage, lengths in itertools.product(STAGES, bench_module.AGAINST)
    ]
    assert sum(agree) >= 0.9 * len(agree), agree


def is_within_interval(one: Ratio, other: Ratio) -> bool:
    assert one.value is not None
    assert one.ci is not None
    assert other.value is not None
    assert other.ci is not None
    return abs(one.value - other.value) < max(one.ci[1] - one.ci[0], other.ci[1] - other.ci[0])
