"""Load on a real run: what is asked of each user, what a missing record is scored as, all of it in one result."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from lrea_cli.bench import gate as gate_module
from lrea_cli.bench.gate import GateResult
from lrea_cli.bench.load import measure as module
from lrea_cli.bench.load.load_bench import LoadBench, LoadSettings
from lrea_cli.bench.load.loops import Workers
from lrea_cli.bench.load.measure import client_counts, load_bench
from lrea_cli.bench.load.misses import scores_by_state
from lrea_cli.bench.load.pages import PageCache
from lrea_cli.bench.load.requests import Requests, Scoring, itself, record_sizes, server_of, without_record
from lrea_cli.bench.load.runtimes import natively
from lrea_cli.bench.load.traffic import CYCLE, Traffic
from lrea_cli.bench.machine import Meter
from lrea_cli.bench.routes import visitors_of
from lrea_cli.console.progress import Silent
from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.samples import Samples
from lrea_cli.errors import GateFailed, UserError
from lrea_cli.kernels import gemm
from lrea_cli.records.cache import Cache, CacheSettings, compress, open_cache
from lrea_cli.records.maker import Known
from lrea_cli.reporting.load import draw
from lrea_cli.runs.checkpoint import Run
from lrea_cli.serving.native.abi import path_of
from lrea_cli.serving.native.scorer import NativeScorer
from lrea_cli.serving.scorer import CandidatePool, Served, Visitor
from lrea_cli.workspace.home import Workspace

SETTINGS = LoadSettings(candidates=7, seconds=0.2, seed=3, clients=2, rate=50.0, slo_ms=500.0, missing=0.25)


@pytest.fixture(scope="module")
def cache(lrea_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Cache:
    workspace = Workspace(tmp_path_factory.mktemp("load"))
    compress(workspace, lrea_run, CacheSettings(users=np.arange(0, 150, 2)), Silent(), "cache")
    return open_cache(workspace, lrea_run, "cache")


@pytest.fixture(scope="module")
def served(lrea_run: Run, cache: Cache, histories: Histories) -> Served:
    return Served.of(lrea_run, cache, histories)


@pytest.fixture(scope="module")
def visitors(cache: Cache, histories: Histories) -> list[Visitor]:
    return visitors_of(cache, histories)


@pytest.fixture(scope="module")
def requests(served: Served, visitors: list[Visitor], samples: Samples) -> Requests:
    pool = CandidatePool(served.histories, samples, 5)
    return Requests.draw(served, visitors, pool, 7, Traffic("zipf", 0.25, 3))


@pytest.fixture(scope="module")
def bench(lrea_run: Run, cache: Cache) -> Iterator[LoadBench]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate_module, "GATE_USERS", 6)
        patch.setattr(Meter, "others", lambda _: 0.0)
        patch.setattr(module, "requests_needed", lambda _: 30)
        yield load_bench(lrea_run, cache, SETTINGS, "gemm", Silent())


def test_requests_are_those_that_their_users_would_send(
    requests: Requests, served: Served, visitors: list[Visitor]
) -> None:
    by_key = {user.key: user for user in visitors}
    for number in (0, 1, 17, CYCLE + 5):
        request = requests[number]
        user, S = by_key[request.key], served.run.recipe.data.short
        right = user.newest(served.histories, 0, S)
        assert request.newer == 0
        assert torch.equal(request.short.mask, right.mask)
        for name, ids in right.ids.items():
            assert torch.equal(request.short.ids[name], ids)
    assert requests[5].key == requests[CYCLE + 5].key
    assert requests.is_missing(5) == requests.is_missing(CYCLE + 5)


def test_a_user_without_behaviors_has_a_request(served: Served, samples: Samples) -> None:
    pool = CandidatePool(served.histories, samples, 5)
    requests = Requests.draw(served, [Visitor(0, 0), Visitor(2, 3), Visitor(4, 30)], pool, 4, Traffic("uniform", 0, 1))
    score = served.scorer(gemm)
    assert {(r.key, int(r.short.mask.sum())) for r in map(requests.__getitem__, range(40))} == {(0, 0), (2, 3), (4, 8)}
    for number in range(8):
        assert torch.isfinite(score(requests[number])).all()


def test_a_missing_record_is_served_by_the_fallback(requests: Requests) -> None:
    seen: list[tuple[str, int]] = []
    server = server_of(
        "x",
        requests,
        (lambda r: seen.append(("own", r.key)), lambda r: seen.append(("none", r.key))),  # type: ignore[arg-type, return-value]
    )
    for number in range(200):
        server.serve(number)
    kinds = [kind for kind, _ in seen]
    assert kinds == ["none" if requests.missing[n] else "own" for n in range(200)]
    assert 20 < kinds.count("none") < 80


def test_the_empty_fallback_knows_the_newest_behaviors_and_no_other(
    requests: Requests, served: Served, visitors: list[Visitor], lrea_run: Run
) -> None:
    """It equals the score of a user whose whole history is the short sequence: an empty long one, counters of S."""
    score = without_record(served, gemm, "empty", visitors)
    S = lrea_run.recipe.data.short
    for number in range(20):
        request = requests[number]
        user = next(v for v in visitors if v.key == request.key)
        start = int(served.histories.offsets[user.key]) + max(0, user.length - S)
        rows = np.arange(start, start + min(S, user.length))
        columns = {name: column[rows] for name, column in served.histories.columns.items()}
        alone = Histories(np.array([0, len(rows)]), served.histories.time[rows], columns)
        with torch.inference_mode():
            record = served.maker.make(Known(alone, np.array([0]), np.array([len(rows)])))
            scorer = served.scorer(gemm)
            candidates = scorer.candidates(request)
            interest = scorer.cached_interest(record, candidates)
            expected = scorer.logits(request, candidates, record.past, interest)
        torch.testing.assert_close(score(request), expected, rtol=1e-6, atol=1e-7)
    assert not torch.allclose(score(requests[0]), served.scorer(gemm)(requests[0]), atol=1e-4)


def test_a_record_made_in_the_request_is_the_stored_one(
    requests: Requests, served: Served, visitors: list[Visitor]
) -> None:
    score, own = without_record(served, gemm, "summarize", visitors), served.scorer(gemm)
    for number in range(20):
        assert torch.equal(score(requests[number]), own(requests[number]))


@pytest.mark.parametrize("scoring", [itself, natively] if path_of("auto") else [itself], ids=lambda f: f.__name__)
def test_threads_side_by_side_give_the_same_logits(requests: Requests, served: Served, scoring: Scoring) -> None:
    scores = scores_by_state(served, gemm, requests, scoring)
    for how, score in scores.items():
        alone = [score(requests[number]) for number in range(60)]
        found: dict[int, torch.Tensor] = {}
        lock = threading.Lock()

        def serve(number: int, score=score, found=found, lock=lock) -> None:
            logits = score(requests[number])
            with lock:
                found[number] = logits

        server = replace(server_of("x", requests, (score, score)), serve=serve)
        with Workers(4, lambda: torch.set_num_threads(1)) as workers:
            workers.open(server, np.zeros(60), 30.0)
        assert all(torch.equal(found[number], alone[number]) for number in range(60)), how


def test_the_bytes_of_requests_are_those_of_their_records(requests: Requests, cache: Cache) -> None:
    sizes = record_sizes(requests, cache.store)
    index = {int(row["key"]): int(row["size"]) for row in cache.store.index}
    for number in range(300):
        assert sizes[number] == (0 if requests.is_missing(number) else index[requests[number].key])


def test_a_result_has_all_rows(bench: LoadBench) -> None:
    servers = ["gemm", *bench.gates]
    assert servers == (["gemm", "native"] if path_of("auto") else ["gemm"])
    assert bench.native == path_of("auto") or "torch alone: " in bench.native
    assert [(r.server, r.clients) for r in bench.closed] == [(name, n) for name in servers for n in (1, 2)]
    assert [row.scaling is None for row in bench.closed] == [True, False] * len(servers)
    assert [(r.server, r.rate, r.seconds) for r in bench.open] == [(name, 50.0, 0.2) for name in servers]
    assert list(bench.capacity) == servers
    capacity = bench.capacity["gemm"]
    assert capacity.rate is not None
    assert any(trial.rate == capacity.rate and trial.keeps(500.0) for trial in capacity.trials)
    states = [row.how for row in bench.states]
    assert states == ["warm", *(["cold"] if bench.drops_pages else []), "empty", "summarize"]
    by_state = {row.how: row for row in bench.states}
    assert by_state["warm"].logit_max == by_state["warm"].logit_rms == 0
    assert 0 < by_state["empty"].logit_rms <= by_state["empty"].logit_max
    assert by_state["summarize"].logit_max < 1e-4
    assert (by_state["empty"].record_bytes, by_state["warm"].record_bytes > 1000) == (0, True)
    if bench.drops_pages and by_state["cold"].disk_bytes is not None:
        assert by_state["cold"].disk_bytes >= by_state["cold"].record_bytes
        assert by_state["warm"].disk_bytes == 0
    assert bench.gate.passed
    assert bench.record_bytes < by_state["warm"].record_bytes
    assert torch.get_num_threads() == 1


def test_json_has_latencies_only_in_the_file(bench: LoadBench) -> None:
    shown, kept = bench.to_dict(), bench.to_dict(latencies=True)
    json.dumps(shown, allow_nan=False)
    assert "latencies_ms" not in json.dumps(shown)
    for row, own in zip(kept["closed"], bench.closed, strict=True):
        assert row["latency"]["latencies_ms"] == [round(ms or 0, 3) for ms in own.latency.latencies_ms]
    assert len(kept["open"][0]["latency"]["latencies_ms"]) == bench.open[0].requests
    assert all("latencies_ms" in row["latency"] for row in kept["capacity"]["gemm"]["trials"])


def test_a_busy_machine_has_no_scaling(lrea_run: Run, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "run_gate", lambda *_: GateResult(True, 0, 1, "", 8, 0, 0))
    monkeypatch.setattr(Meter, "others", lambda _: 99.0)
    settings = replace(SETTINGS, rate=None, slo_ms=None, seconds=0.1)
    busy = load_bench(lrea_run, cache, settings, "gemm", Silent())
    assert busy.withheld is not None
    assert {row.scaling for row in busy.closed} == {None}
    assert (busy.open, busy.capacity) == ([], {})


def test_no_time_is_taken_where_the_gate_fails(lrea_run: Run, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise GateFailed("no")

    monkeypatch.setattr(module, "run_gate", fail)
    monkeypatch.setattr(Workers, "closed", lambda *_: pytest.fail("a time was taken"))
    with pytest.raises(GateFailed):
        load_bench(lrea_run, cache, SETTINGS, "gemm", Silent())


def test_cold_records_need_a_system_that_drops_pages(
    lrea_run: Run, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PageCache, "drops", lambda _: False)
    with pytest.raises(UserError, match="--cold"):
        load_bench(lrea_run, cache, replace(SETTINGS, records="cold"), "gemm", Silent())


def test_a_cold_request_reads_the_disk(lrea_run: Run, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "run_gate", lambda *_: GateResult(True, 0, 1, "", 8, 0, 0))
    dropped: list[int] = []
    drop = PageCache.drop
    monkeypatch.setattr(PageCache, "drop", lambda pages: (dropped.append(1), drop(pages))[1])
    settings = replace(SETTINGS, rate=None, slo_ms=None, seconds=0.1, records="cold")
    try:
        bench = load_bench(lrea_run, cache, settings, "gemm", Silent())
    except UserError as error:
        pytest.skip(error.message)
    assert len(dropped) >= sum(row.requests for row in bench.closed)


@pytest.mark.parametrize(("clients", "counts"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (8, [1, 2, 4, 8])])
def test_clients_double_up_to_all(clients: int, counts: list[int]) -> None:
    assert client_counts(clients) == counts


def test_the_picture_is_drawn_where_there_are_rates(bench: LoadBench, tmp_path) -> None:
    path = tmp_path / "load.png"
    assert not draw(path, replace(bench, capacity={}))
    few = replace(bench.capacity["gemm"], trials=bench.capacity["gemm"].trials[:2])
    assert not draw(path, replace(bench, capacity={"gemm": few}))
    assert not path.exists()
    assert draw(path, bench)
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(path_of("auto") is None, reason="no native request: install a C++ compiler, then lrea anew")
def test_the_native_request_is_gated(lrea_run: Run, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "GATE_USERS", 3)
    right = NativeScorer.__call__
    monkeypatch.setattr(NativeScorer, "__call__", lambda self, request: right(self, request) * 1.001 + 1e-4)
    with pytest.raises(GateFailed, match="native"):
        load_bench(lrea_run, cache, SETTINGS, "gemm", Silent())
