"""What is timed: whole requests by each route, the same users and candidates for all, long and short from the start."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lrea_cli.bench.routes import (
    CANDIDATE_SETS,
    ROUTES,
    BenchSettings,
    Route,
    Workload,
    serve,
    spread_out,
)
from lrea_cli.console.progress import Silent
from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.samples import read_samples
from lrea_cli.kernels import gemm
from lrea_cli.records.cache import Cache, CacheSettings, compress, open_cache
from lrea_cli.runs.checkpoint import Run
from lrea_cli.serving import scorer as served_module
from lrea_cli.serving.scorer import CandidatePool, RequestScorer, Served, Visitor
from lrea_cli.workspace.home import Workspace

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def cache(lrea_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Cache:
    workspace = Workspace(tmp_path_factory.mktemp("routes"))
    compress(workspace, lrea_run, CacheSettings(), Silent(), "cache")
    return open_cache(workspace, lrea_run, "cache")


@pytest.fixture
def pool(lrea_run: Run, histories: Histories) -> CandidatePool:
    return CandidatePool(histories, read_samples(lrea_run.dataset, "test"), 5)


def test_requests_pair_users_and_candidates_and_begin_again(pool: CandidatePool) -> None:
    visitors = [Visitor(key, 10 * key) for key in range(7)]
    found = Workload.of(visitors, pool, BenchSettings(4, 1.0, 2), CPU)
    assert list(found.visitors) == spread_out(visitors, 2)
    assert len(found.sets) == CANDIDATE_SETS
    assert {ids.mask.shape for ids in found.sets} == {(1, 4)}
    for number in (0, 3, 6, 7, 16, 40):
        assert found.request(number) == (found.visitors[number % 7], found.sets[number % 16])


@pytest.mark.parametrize("route", ROUTES)
def test_a_request_is_its_users_logits_with_a_mark_after_each_step(
    lrea_run: Run,
    histories: Histories,
    cache: Cache,
    pool: CandidatePool,
    monkeypatch: pytest.MonkeyPatch,
    route: Route,
) -> None:
    steps: list[str] = []
    logits: list[torch.Tensor] = []

    class Spy(RequestScorer):
        def fetch(self, request):
            steps.append("fetch")
            return super().fetch(request)

        def cached_interest(self, records, candidates):
            steps.append("cached")
            return super().cached_interest(records, candidates)

        def full_interest(self, long, candidates):
            steps.append(f"full over {long.mask.shape[1]}")
            return super().full_interest(long, candidates)

        def logits(self, *arguments):
            steps.append("logits")
            logits.append(super().logits(*arguments))
            return logits[-1]

    monkeypatch.setattr(served_module, "RequestScorer", Spy)
    served = Served(lrea_run, cache.store, None, histories)
    scorer = RequestScorer(lrea_run.model, cache.store, gemm)
    known = histories.lengths_before(cache.manifest.as_of).tolist()
    workload = Workload(
        [Visitor(2, known[2]), Visitor(5, known[5]), Visitor(8, known[8])], [pool.draw(4), pool.draw(4)]
    )
    with torch.inference_mode():
        call = serve(served, "gemm", route, workload)
        for number in range(5):
            steps.clear()
            call(number, lambda: steps.append("mark"))
            user, ids = workload.visitors[number % 3], workload.sets[number % 2]
            behaviors = min(max(user.length - 8, 0), 40)
            width = int(histories.newest(np.array([user.key]), np.array([user.length]), 8, 40).mask.shape[1])
            assert behaviors <= width <= 40
            long = {"cache": ["fetch", "cached"], "full": [f"full over {width}"], "padded": ["full over 40"]}[route]
            assert steps == ["mark", "mark", *long, "mark", "logits", "mark"]
            request = user.request(histories, lrea_run.recipe.data, ids)
            records, candidates = scorer.fetch(request), scorer.candidates(request)
            interest = scorer.cached_interest(records, candidates)
            if route != "cache":
                ids_of_long = user.newest(histories, 8, 40)
                interest = scorer.full_interest(ids_of_long, candidates)
            expected = scorer.logits(request, candidates, records.past, interest)
            torch.testing.assert_close(logits[-1], expected)  # padding changes the order of sums


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
