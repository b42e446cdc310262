"""serve-bench: what is timed is what is served, p99 is backed, ratios compare like with like."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from lrea_cli.data.batches import read_samples
from lrea_cli.data.histories import Histories
from lrea_cli.errors import GateFailed
from lrea_cli.kernels import KERNELS as KERNEL_FUNCTIONS
from lrea_cli.kernels import KernelName
from lrea_cli.progress import Silent
from lrea_cli.sequence import CandidateIds, HistoryIds
from lrea_cli.serving import bench as bench_module
from lrea_cli.serving import gate as gate_module
from lrea_cli.serving.bench import Bench, Row, serve_bench
from lrea_cli.serving.cache import Cache, compress, open_cache
from lrea_cli.serving.candidates import CandidatePool
from lrea_cli.serving.percentiles import percentile
from lrea_cli.serving.scorer import RequestScorer, Visitor
from lrea_cli.serving.timing import LEAST_REQUESTS
from lrea_cli.training.checkpoint import Run
from lrea_cli.workspace import Workspace

CPU = torch.device("cpu")
KERNELS: tuple[KernelName, ...] = ("naive", "gemm")
USERS = np.arange(0, 150, 2)

Draw = Callable[[int], CandidateIds]


@pytest.fixture(scope="module")
def cache(lrea_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Cache:
    workspace = Workspace(tmp_path_factory.mktemp("bench"))
    compress(workspace, lrea_run, "cache", "float32", lrea_run.dataset.end, USERS, CPU, Silent())
    return open_cache(workspace, lrea_run, "cache")


@pytest.fixture(scope="module")
def visitors(lrea_run: Run, histories: Histories) -> list[Visitor]:
    lengths = histories.lengths_before(lrea_run.dataset.end)
    return [Visitor(int(u), int(lengths[u])) for u in USERS]


@pytest.fixture(scope="module")
def bench(lrea_run: Run, cache: Cache) -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate_module, "GATE_USERS", 6)
        yield serve_bench(lrea_run, cache, 7, KERNELS, 0.01, 3, CPU, Silent())


@pytest.fixture
def draw(lrea_run: Run, histories: Histories) -> Draw:
    return CandidatePool(histories, read_samples(lrea_run.dataset, "test"), 5).draw


def scorer_of(run: Run, histories: Histories, cache: Cache, kernel: KernelName = "gemm") -> RequestScorer:
    return RequestScorer(run.model, histories, run.recipe.data, cache.store, kernel, CPU)


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
        assert row.requests >= LEAST_REQUESTS
        assert [(p.percent, p.have) for p in row.percentiles] == [(p, row.requests) for p in (50, 95, 99)]
        content = row.to_dict()
        assert {"p50_ms", "p95_ms", "p99_ms", "stage", "requests", "rank"} <= set(content)
        assert not {"percentiles", "latencies_ms"} & set(content)
        assert content["p50_ms"] == row.percentiles[0].value
        low, high = content["p50_ci_ms"]
        assert low <= content["p50_ms"] <= high


def test_the_file_keeps_latencies_to_the_microsecond(bench: Bench) -> None:
    for row in bench.rows:
        kept = row.to_dict(latencies=True)
        times = kept.pop("latencies_ms")
        assert kept == row.to_dict()
        assert len(times) == row.requests == len(row.latencies_ms)
        assert times == [round(ms, 3) for ms in row.latencies_ms]
        assert max(times) > 0


def test_too_few_requests_have_no_interval() -> None:
    assert row("cache", "gemm", None).to_dict()["p50_ci_ms"] is None


def test_lengths_are_those_of_the_long_parts(bench: Bench, visitors: list[Visitor]) -> None:
    long = [min(max(v.length - 8, 0), 40) for v in visitors]
    p50, p90 = int(np.median(long)), int(np.quantile(long, 0.9))
    assert bench.lengths == {"p50": p50, "p90": p90, "max": max(long)}


def row(route: str, kernel: str, median: float | None, stage: str = "interest") -> Row:
    latencies = [] if median is None else [median] * 20
    percentiles = tuple(percentile(latencies, p) for p in (50, 95, 99))
    return Row(route, "m", stage, kernel, "float32", 1, "real", None, len(latencies), percentiles, ())  # pyright: ignore


def table(cached: float | None, real: float, padded: float, kernel: str = "gemm", stage: str = "interest") -> list[Row]:
    routes = {"cache": cached, "full": real, "padded": padded}
    return [row(route, kernel, median, stage) for route, median in routes.items()]


def test_the_ratio_has_gemm_interest_on_both_sides() -> None:
    rows = [*table(1, 100, 100, "naive"), *table(2, 6, 10), *table(1, 50, 50, stage="request")]
    assert bench_module._speedups(rows, 8.0) == ({"real": 3.0, "padded": 5.0}, 2.0)


def test_the_ratio_falls_back_to_the_only_kernel() -> None:
    assert bench_module._speedups(table(2, 3, 4, "naive"), 1.0) == ({"real": 1.5, "padded": 2.0}, 1.0)


def test_without_a_median_there_is_no_ratio() -> None:
    assert bench_module._speedups(table(None, 3, 4), 1.0) == ({"real": None, "padded": None}, None)


@pytest.mark.parametrize("real", [1.0, 2.0])
def test_a_cache_that_is_not_faster_never_pays(real: float) -> None:
    assert bench_module._speedups(table(2, real, 4), 1.0) == ({"real": real / 2, "padded": 2.0}, None)


def test_the_bench_reports_the_ratio_of_its_rows(bench: Bench, cache: Cache) -> None:
    assert (bench.speedup_vs_full, bench.pays_after) == bench_module._speedups(bench.rows, cache.ms_per_user)
    timed = [r for r in bench.rows if (r.stage, r.kernel) == ("interest", "gemm")]
    medians = {r.route: r.percentiles[0].value for r in timed}
    assert bench.speedup_vs_full["real"] == medians["full"] / medians["cache"]  # pyright: ignore


@pytest.mark.parametrize("kernel", KERNELS)
def test_padding_changes_no_number(
    lrea_run: Run, histories: Histories, cache: Cache, visitors: list[Visitor], draw, kernel: KernelName
) -> None:
    scorer = scorer_of(lrea_run, histories, cache, kernel)
    with torch.inference_mode():
        for user in visitors[:20]:
            candidates = lrea_run.model.features.candidates(draw(5))
            real, padded = (scorer.full_interest(user, candidates, padded=p) for p in (False, True))
            torch.testing.assert_close(padded, real, rtol=1e-5, atol=1e-6)


def test_padding_pays_for_the_full_length(
    lrea_run: Run, histories: Histories, cache: Cache, draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[HistoryIds] = []
    features = lrea_run.model.features
    embed = features.behaviors
    monkeypatch.setattr(features, "behaviors", lambda ids: (seen.append(ids), embed(ids))[1])
    scorer, candidates = scorer_of(lrea_run, histories, cache), features.candidates(draw(3))
    for padded in (False, True):
        scorer.full_interest(Visitor(2, 20), candidates, padded=padded)
    assert [(ids.mask.shape[1], int(ids.mask.sum())) for ids in seen] == [(12, 12), (40, 12)]


@pytest.mark.parametrize("kernel", KERNELS)
def test_interest_through_the_cache_is_attend_of_the_record(
    lrea_run: Run, histories: Histories, cache: Cache, visitors: list[Visitor], draw, kernel: KernelName
) -> None:
    scorer, model = scorer_of(lrea_run, histories, cache, kernel), lrea_run.model
    with torch.inference_mode():
        for user in visitors[:20]:
            candidates = model.features.candidates(draw(5))
            found = scorer.cached_interest(user, candidates)
            assert torch.equal(found, model.long.attend(cache.store.fetch([user.key]), candidates))
            long = histories.newest(np.array([user.key]), np.array([user.length]), 8, 40)
            direct = model.long.attend(model.long.summarize(model.features.behaviors(long)), candidates)
            torch.testing.assert_close(found, direct, rtol=1e-4, atol=1e-6)


def test_each_request_is_another_users(
    lrea_run: Run, histories: Histories, cache: Cache, visitors: list[Visitor], draw
) -> None:
    scorer = scorer_of(lrea_run, histories, cache)
    sets = [draw(4), draw(4)]
    for stage, route in itertools.product(bench_module.STAGES, bench_module.ROUTES):
        calls = bench_module.requests(scorer, stage, route, visitors[:3], sets)
        with torch.inference_mode():
            for number in range(5):
                user, ids = visitors[number % 3], sets[number % 2]
                candidates = lrea_run.model.features.candidates(ids)
                if route == "cache":
                    expected = scorer.cached_interest(user, candidates)
                else:
                    expected = scorer.full_interest(user, candidates)
                if stage == "request":
                    expected = scorer.logits(user, ids, candidates, expected)
                found = next(calls)()
                assert isinstance(found, torch.Tensor)
                torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("stage", bench_module.STAGES)
def test_only_the_padded_route_is_padded(
    lrea_run: Run, histories: Histories, cache: Cache, draw: Draw, stage: bench_module.Stage
) -> None:
    for route in bench_module.ROUTES:
        scorer, padded = scorer_of(lrea_run, histories, cache), []

        def spy(user, candidates, padded, right=scorer.full_interest, seen=padded):
            seen.append(padded)
            return right(user, candidates, padded)

        scorer.full_interest = spy
        next(bench_module.requests(scorer, stage, route, [Visitor(0, 30)], [draw(4)]))()
        assert padded == {"cache": [], "full": [False], "padded": [True]}[route]


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_kernel_asked_for_computes_both_interests(
    lrea_run: Run, histories: Histories, cache: Cache, draw: Draw, kernel: KernelName, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[str] = []
    for name, right in KERNEL_FUNCTIONS.items():
        monkeypatch.setitem(KERNEL_FUNCTIONS, name, lambda *a, n=name, right=right: (used.append(n), right(*a))[1])
    scorer, candidates = scorer_of(lrea_run, histories, cache, kernel), lrea_run.model.features.candidates(draw(3))
    for interest in (scorer.cached_interest, scorer.full_interest):
        lrea_run.model.use_kernel("folded")
        interest(Visitor(0, 30), candidates)
    assert used == [kernel, kernel]


def test_the_order_of_users_and_the_candidates_follow_the_seed(
    lrea_run: Run, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[list[int], list[int]]] = []

    def requests(scorer, stage, route, visitors, sets):
        seen.append(([v.key for v in visitors], [i for ids in sets for i in ids.ids["item"][0].tolist()]))
        return itertools.repeat(lambda: None)

    monkeypatch.setattr(bench_module, "run_gate", lambda *_: None)
    monkeypatch.setattr(bench_module, "requests", requests)
    monkeypatch.setattr(bench_module, "STAGES", ("interest",))
    for seed in (1, 1, 2):
        serve_bench(lrea_run, cache, 7, ("gemm",), 0.0, seed, CPU, Silent())
    first, same, other = seen[0], seen[3], seen[6]
    assert seen[:3] == [first] * 3
    assert first == same
    assert first[0] != other[0]
    assert first[1] != other[1]
    assert sorted(first[0]) == USERS.tolist()


def test_no_time_is_taken_where_the_gate_fails(
    lrea_run: Run, cache: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise GateFailed("no")

    monkeypatch.setattr(bench_module, "run_gate", fail)
    monkeypatch.setattr(bench_module, "measure", lambda *_: pytest.fail("a time was taken"))
    with pytest.raises(GateFailed):
        serve_bench(lrea_run, cache, 7, KERNELS, 0.01, 3, CPU, Silent())


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
