"""The native request in serve-bench: gated, in the same turns, for the cache and for full attention."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lrea_cli.bench.bench import serve_bench
from lrea_cli.bench.natively import full_history, native_gate, native_of
from lrea_cli.bench.routes import BenchSettings
from lrea_cli.console.progress import Silent
from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.samples import Samples
from lrea_cli.errors import GateFailed
from lrea_cli.kernels import gemm
from lrea_cli.recipe.settings import Compression
from lrea_cli.records.cache import Cache, CacheSettings, compress, open_cache
from lrea_cli.runs.checkpoint import Run
from lrea_cli.serving.native import abi
from lrea_cli.serving.native.model import UnsupportedError
from lrea_cli.serving.native.scorer import NativeScorer
from lrea_cli.serving.scorer import CandidatePool, Served, Visitor
from lrea_cli.workspace.home import Workspace
from tests.conftest import MakeRun
from tests.selection import one_by_default

pytestmark = pytest.mark.skipif(abi.load().library is None, reason=abi.load().reason)


@pytest.fixture
def cache(lrea_run: Run, tmp_path: Path) -> Cache:
    compress(Workspace(tmp_path), lrea_run, CacheSettings(), Silent(), "cache")
    return open_cache(Workspace(tmp_path), lrea_run, "cache")


@pytest.fixture
def served(lrea_run: Run, histories: Histories, cache: Cache) -> Served:
    return Served.of(lrea_run, cache, histories)


def test_whole_requests_of_the_cache_and_of_full_attention_are_rows(lrea_run: Run, cache: Cache) -> None:
    bench = serve_bench(lrea_run, cache, BenchSettings(5, 0.1, 0), ("gemm",), Silent())
    rows = [(row.stage, row.route, row.method, row.rank) for row in bench.rows if row.kernel == "native"]
    assert rows == [("request", "cache", "lrea", 6), ("request", "full", "full", None)]
    assert bench.native == abi.path_of("auto")
    assert bench.native_speedup is not None
    requests = {len(row.latencies_ms) for row in bench.rows}
    assert len(requests) == 1
    assert all(ms > 0 for row in bench.rows for ms in row.latencies_ms)


def test_full_attention_natively_is_that_of_torch(served: Served, samples: Samples) -> None:
    scorer, pool = served.scorer(gemm), CandidatePool(served.histories, samples, 3)
    native = native_of(scorer)
    for user in visitors_of_all(served)[::29]:
        request = user.request(served.histories, served.run.recipe.data, pool.draw(7))
        long, past = full_history(served, user)
        candidates = scorer.candidates(request)
        expected = scorer.logits(request, candidates, past, scorer.full_interest(long, candidates)).numpy()
        np.testing.assert_allclose(native.full(request, long, past), expected, rtol=0, atol=2e-6)


def test_a_run_that_reads_with_softmax_is_served_by_its_given_interest(
    make_run: MakeRun, histories: Histories, samples: Samples, tmp_path: Path
) -> None:
    """And full attention is softmax over all behaviors, not DIN's scorer."""
    run = make_run(method="din", reader="softmax", heads=2)
    compress(Workspace(tmp_path), run, CacheSettings(compression=Compression("recent", 3)), Silent(), "cache")
    served = Served.of(run, open_cache(Workspace(tmp_path), run, "cache"), histories)
    pool, users = CandidatePool(served.histories, samples, 3), visitors_of_all(served)
    assert native_gate(served, users, pool).max_relative_error < 1e-6
    scorer = served.scorer(gemm)
    user = max(users, key=lambda u: u.length)
    request = user.request(served.histories, run.recipe.data, pool.draw(7))
    long, past = full_history(served, user)
    candidates, behaviors = scorer.candidates(request), run.model.features.behaviors(long)
    with torch.inference_mode():
        interest = run.model.long.attend(run.model.long.summarize(behaviors), candidates)
    expected = scorer.logits(request, candidates, past, interest).numpy()
    np.testing.assert_allclose(native_of(scorer).full(request, long, past), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("wrong", one_by_default("__call__", "full"))
def test_a_wrong_native_logit_fails_the_gate(
    served: Served, samples: Samples, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    pool = CandidatePool(served.histories, samples, 3)
    assert native_gate(served, visitors_of_all(served), pool).max_relative_error < 1e-6
    right = getattr(NativeScorer, wrong)
    monkeypatch.setattr(NativeScorer, wrong, lambda self, *asked: right(self, *asked) + np.float32(1e-3))
    with pytest.raises(GateFailed, match="native"):
        native_gate(served, visitors_of_all(served), pool)


def test_without_the_library_the_reason_is_said(
    lrea_run: Run, cache: Cache, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LREA_NATIVE", "0")
    with pytest.raises(UnsupportedError):
        native_of(served.scorer(gemm))
    bench = serve_bench(lrea_run, cache, BenchSettings(5, 0.1, 0), ("gemm",), Silent())
    assert "LREA_NATIVE=0" in bench.native
    assert bench.native_speedup is None
    assert {row.kernel for row in bench.rows} == {"gemm"}


def visitors_of_all(served: Served) -> list[Visitor]:
    lengths = np.diff(served.histories.offsets)
    return [Visitor(key, int(length)) for key, length in enumerate(lengths)]
