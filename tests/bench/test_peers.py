"""Other runtimes: gated against the float64 loops, timed in the same turns, and refused where they are not there."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from lrea_cli.bench import gate as gate_module
from lrea_cli.bench import timing as timing_module
from lrea_cli.bench.bench import Bench, serve_bench
from lrea_cli.bench.load.choices import PEERS, PeerName
from lrea_cli.bench.machine import Load, Meter
from lrea_cli.bench.peers import Peer, require_installed
from lrea_cli.bench.routes import BenchSettings, visitors_of
from lrea_cli.console.progress import Silent
from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.samples import Samples
from lrea_cli.errors import UserError
from lrea_cli.kernels import gemm
from lrea_cli.records.cache import Cache, CacheSettings, compress, open_cache
from lrea_cli.runs.checkpoint import Run
from lrea_cli.serving.scorer import CandidatePool, Served
from lrea_cli.stats.latencies import paired_ratio
from lrea_cli.workspace.home import Workspace

HERE = [name for name in PEERS if importlib.util.find_spec(name) and importlib.util.find_spec("onnx")]
SKIP = pytest.mark.skipif(not HERE, reason="pip install onnx onnxruntime openvino")


@pytest.fixture(autouse=True)
def in_torch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the native request are seen in test_natively.py."""
    monkeypatch.setenv("LREA_NATIVE", "0")


@pytest.fixture(scope="module")
def cache(lrea_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Cache:
    workspace = Workspace(tmp_path_factory.mktemp("peers"))
    compress(workspace, lrea_run, CacheSettings(users=np.arange(0, 150, 2)), Silent(), "cache")
    return open_cache(workspace, lrea_run, "cache")


@pytest.fixture(scope="module")
def served(lrea_run: Run, cache: Cache, histories: Histories) -> Served:
    return Served.of(lrea_run, cache, histories)


@pytest.fixture(scope="module")
def bench(lrea_run: Run, cache: Cache) -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LREA_NATIVE", "0")
        patch.setattr(gate_module, "GATE_USERS", 6)
        patch.setattr(Meter, "read", lambda _: Load(1.0, 1.0, 0.0, 2, 2))
        patch.setattr(timing_module, "LEAST_ROUNDS", 6)
        yield serve_bench(lrea_run, cache, BenchSettings(7, 0.01, 3), ("gemm",), Silent(), HERE)


@SKIP
@pytest.mark.parametrize("name", HERE)
def test_a_peer_scores_as_the_request_does(name: PeerName, served: Served, cache: Cache, samples: Samples) -> None:
    peer, scorer = Peer.open(name, served, (1, 2)), served.scorer(gemm)
    pool, settings = CandidatePool(served.histories, samples, 1), served.run.recipe.data
    score = peer.score(scorer)
    for user in visitors_of(cache, served.histories)[:12]:
        for count in (1, 9):
            request = user.request(served.histories, settings, pool.draw(count))
            torch.testing.assert_close(score(request), scorer(request), rtol=1e-5, atol=1e-6)
            unknown = replace(request, key=-1, newer=1)
            torch.testing.assert_close(score(unknown), scorer(unknown), rtol=1e-5, atol=1e-6)
    assert peer.version[0].isdigit()


@SKIP
@pytest.mark.parametrize("name", HERE)
def test_the_gate_of_a_peer_sees_a_wrong_logit(
    name: PeerName, served: Served, cache: Cache, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_module, "GATE_USERS", 6)
    pool, visitors = CandidatePool(served.histories, samples, 1), visitors_of(cache, served.histories)
    peer = Peer.open(name, served, (1, 1))
    assert peer.gate(served, visitors, pool).passed
    wrong = replace(peer, run=lambda feed: peer.run(feed) + np.float32(3e-5))
    found = wrong.gate(served, visitors, pool)
    assert not found.passed
    assert found.max_relative_error > 1e-5
    assert "logit of user" in found.where


@SKIP
def test_peers_are_rows_of_whole_requests_in_the_same_turns(bench: Bench) -> None:
    rows = {row.kernel: row for row in bench.rows if (row.stage, row.route) == ("request", "cache")}
    assert list(rows) == ["gemm", *HERE]
    assert [row.kernel for row in bench.rows if row.stage == "interest"] == ["gemm"] * 3
    assert {row.requests for row in bench.rows} == {rows["gemm"].requests}
    assert {name: gate.passed for name, gate in bench.peer_gates.items()} == dict.fromkeys(HERE, True)
    owner = np.arange(rows["gemm"].requests) // timing_module.TURN
    for name in HERE:
        expected = paired_ratio(np.array(rows[name].latencies_ms), np.array(rows["gemm"].latencies_ms), owner)
        assert bench.peer_time[name] == expected
    served = {(row.stage, row.kernel, row.route): row.latencies_ms for row in bench.rows}
    assert len(set(served.values())) == len(served)  # no row shows the times of another


@SKIP
def test_a_peer_whose_gate_fails_is_not_timed(lrea_run: Run, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "GATE_USERS", 3)
    monkeypatch.setattr(Meter, "read", lambda _: Load(1.0, 1.0, 0.0, 2, 2))
    monkeypatch.setattr(timing_module, "LEAST_ROUNDS", 6)
    open_peer = Peer.open

    def off(name: PeerName, *rest: object) -> Peer:
        peer = open_peer(name, *rest)  # type: ignore[arg-type]
        return replace(peer, run=lambda feed: peer.run(feed) * np.float32(1.1))

    monkeypatch.setattr(Peer, "open", off)
    found = serve_bench(lrea_run, cache, BenchSettings(7, 0.01, 3), ("gemm",), Silent(), HERE[:1])
    assert [gate.passed for gate in found.peer_gates.values()] == [False]
    assert found.peer_time == {}
    assert {row.kernel for row in found.rows} == {"gemm"}


def test_a_peer_that_is_not_installed_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError) as error:
        require_installed(["openvino"])
    assert "pip install onnx openvino" in error.value.remedy
    require_installed([])
