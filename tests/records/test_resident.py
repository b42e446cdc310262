"""Records in a device's memory are those on disk, whichever are asked for."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrea_cli.bench import gate as gate_module
from lrea_cli.bench.gate import run_gate
from lrea_cli.console.progress import Silent
from lrea_cli.dataset.histories import open_histories
from lrea_cli.dataset.samples import read_samples
from lrea_cli.errors import UserError
from lrea_cli.kernels import fused, gemm, naive
from lrea_cli.kernels.fused import interpreted
from lrea_cli.recipe.settings import CACHE_DTYPES, CacheDtype
from lrea_cli.records import store as store_module
from lrea_cli.records.cache import CacheSettings, compress, open_cache
from lrea_cli.records.format import RecordFormat
from lrea_cli.records.maker import Known, RecordMaker, layout_of
from lrea_cli.records.past import NO_VALUE, UserRecords
from lrea_cli.records.store import RecordStore, RecordWriter, ResidentRecords
from lrea_cli.runs.checkpoint import Run
from lrea_cli.sequence import Candidates, Empty, PseudoItems
from lrea_cli.serving.many import interest_of_users
from lrea_cli.serving.scorer import CandidatePool, RequestScorer, Served, Visitor
from lrea_cli.workspace.home import Workspace
from tests.conftest import MakeRun
from tests.selection import examples

CPU = torch.device("cpu")
USERS = np.arange(0, 150, 3)

Both = tuple[Run, RecordStore, ResidentRecords]


@pytest.fixture(autouse=True)
def few_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate compares few users of the data, and those that it makes."""
    monkeypatch.setattr(gate_module, "GATE_USERS", 6)


@pytest.fixture(scope="module", params=list(itertools.product(["lrea", "din"], CACHE_DTYPES)), ids="-".join)
def both(request: pytest.FixtureRequest, lrea_run: Run, din_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Both:
    """A cache of every third user, on disk and in memory."""
    method, dtype = request.param
    run = lrea_run if method == "lrea" else din_run
    workspace = Workspace(tmp_path_factory.mktemp("resident"))
    compress(workspace, run, CacheSettings(dtype, users=USERS), Silent(), "cache")
    store = open_cache(workspace, run, "cache").store
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "LOAD_BATCH", 7)
        return run, store, ResidentRecords(store, CPU)


@pytest.mark.every_third
def test_many_users_in_one_call_read_their_records_in_place(both: Both) -> None:
    """`fused` reads the records where they lie, `gemm` copies of them; both are the slow twin's interest."""
    run, store, resident = both
    method, users = run.model.long, USERS[[3, 0, 3, 41]]
    vectors = torch.randn(len(users), 5, method.width, generator=torch.Generator().manual_seed(1))
    shape = vectors.shape[:2]
    candidates = Candidates(vectors, torch.ones(shape, dtype=torch.bool), torch.zeros(shape))
    with torch.inference_mode():
        expected = method.attend(store.fetch(users).summary, candidates, naive)
    kernels = (gemm, *((fused,) if interpreted() else ()))
    for kernel in kernels:
        found = interest_of_users(method, resident, users, candidates, kernel)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
    with pytest.raises(UserError, match="no record of one of these users"):
        interest_of_users(method, resident, [1], candidates, kernels[-1])


@pytest.mark.parametrize("dtype", CACHE_DTYPES)
def test_softmax_reads_copies_of_the_records_whatever_the_kernel(
    make_run: MakeRun, tmp_path: Path, dtype: CacheDtype
) -> None:
    run, workspace, users = make_run(method="lrea", reader="softmax"), Workspace(tmp_path), USERS[[3, 0, 3, 41]]
    compress(workspace, run, CacheSettings(dtype, users=USERS), Silent(), "cache")
    store, method = open_cache(workspace, run, "cache").store, run.model.long
    vectors = torch.randn(len(users), 5, method.width, generator=torch.Generator().manual_seed(1))
    candidates = Candidates(vectors, torch.ones(4, 5, dtype=torch.bool), torch.zeros(4, 5))
    with torch.inference_mode():
        expected = method.attend(store.fetch(users).summary, candidates)
    found = interest_of_users(method, ResidentRecords(store, CPU), users, candidates, fused)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert expected.any()


@settings(max_examples=examples(40))
@given(keys=st.lists(st.sampled_from(USERS.tolist()), min_size=1, max_size=9))
def test_any_keys_give_what_the_store_gives(both: Both, keys: list[int]) -> None:
    run, store, resident = both
    expected, found = store.fetch(keys), resident.fetch(keys)
    assert isinstance(found.summary, PseudoItems)
    stored = {"float32": torch.float32, "float16": torch.float16, "int8": torch.float32}
    assert found.summary.keys.dtype == stored[store.layout.dtype]
    assert found.past.values
    assert_same(store.layout, found, expected)
    with torch.inference_mode():
        interest, twin = (
            run.model.long.attend(each.summary, some_candidates(run, len(keys))) for each in (found, expected)
        )
    torch.testing.assert_close(interest, twin)


def assert_same(layout: RecordFormat, found: UserRecords, expected: UserRecords) -> None:
    """What the store reads, bit by bit; and where all records are wider, nothing stands past it."""
    assert torch.equal(found.summary.rows, expected.summary.rows)
    for field in layout.fields:
        rows, twin = getattr(found.summary, field.name), getattr(expected.summary, field.name)
        assert rows.dtype == twin.dtype
        assert torch.equal(rows[:, : twin.shape[1]], twin)
        assert not rows[:, twin.shape[1] :].any()
    assert torch.equal(found.past.length, expected.past.length)
    assert tuple(found.past.values) == tuple(expected.past.values) == layout.counters
    for name, values in expected.past.values.items():
        width, counts = values.shape[1], expected.past.counts[name]
        assert torch.equal(found.past.values[name][:, :width], values)
        assert torch.equal(found.past.counts[name][:, :width], counts)
        assert (found.past.values[name][:, width:] == NO_VALUE).all()
        assert not found.past.counts[name][:, width:].any()


@pytest.mark.each_once
@pytest.mark.parametrize("dtype", CACHE_DTYPES)
@pytest.mark.parametrize("batch", [1, 2, 3, 100])
@pytest.mark.parametrize("longest_last", [True, False])
def test_batches_of_any_width_and_order_are_loaded(
    make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: CacheDtype, batch: int, longest_last: bool
) -> None:
    """Keys and counters get wider with a later batch, or narrower."""
    run = make_run(method="din", match_counters=("item", "category"))
    histories = open_histories(run.dataset)
    known = np.array([0, 1, 12, 9, 30, 20, 48]) if longest_last else np.array([48, 9, 0, 30, 1, 0, 20])
    users = np.argsort(np.diff(histories.offsets))[-len(known) :]
    maker, layout = RecordMaker.of(run, None, dtype), layout_of(run.model, dtype)
    with torch.inference_mode(), RecordWriter(tmp_path, layout) as writer:
        maker.write(writer, np.arange(len(known)), Known(histories, users, known))
    monkeypatch.setattr(store_module, "LOAD_BATCH", batch)
    with RecordStore(tmp_path, layout, run.model.long.summary_type) as store:
        resident = ResidentRecords(store, CPU)
        for keys in (range(len(known)), [6, 0, 6], [1], [2, 5]):
            assert_same(layout, resident.fetch(list(keys)), store.fetch(list(keys)))
        assert resident.fetch([0, 6, 1]).past.length.tolist() == known[[0, 6, 1]].tolist()
        assert 0 in resident
        assert len(known) not in resident


def test_the_records_of_din_are_ragged(both: Both) -> None:
    run, store, resident = both
    rows = {store.read(int(k)).rows for k in USERS}
    assert 0 in rows
    assert len(rows) > (3 if run.recipe.model.method == "din" else 1)
    assert len(resident.keys) == len(USERS)


@pytest.mark.parametrize("keys", [[1], [0, 149], [3, -1], [10_000]])
def test_a_user_without_a_record_is_refused(both: Both, keys: list[int]) -> None:
    with pytest.raises(UserError, match="no record") as caught:
        both[2].fetch(keys)
    assert "lrea compress" in caught.value.remedy


@pytest.mark.parametrize("method", ["lrea", "din", "din-short", "sim"])
def test_an_empty_store_has_records_of_nobody(make_run, tmp_path: Path, method: str) -> None:
    run = make_run(method=method)
    layout = layout_of(run.model, "float32")
    with RecordWriter(tmp_path, layout):
        pass
    with RecordStore(tmp_path, layout, run.model.long.summary_type) as store:
        found = ResidentRecords(store, CPU)
        assert len(found.keys) == 0
        assert len(found.fetch([]).summary.rows) == 0
        with pytest.raises(UserError, match="no record"):
            found.fetch([0])


def test_records_that_keep_nothing_are_only_counted(make_run, tmp_path: Path) -> None:
    run = make_run(method="din-short")
    workspace = Workspace(tmp_path)
    compress(workspace, run, CacheSettings(users=USERS), Silent(), "cache")
    found = ResidentRecords(open_cache(workspace, run, "cache").store, CPU).fetch([3, 0]).summary
    assert isinstance(found, Empty)
    assert found.rows.tolist() == [0, 0]


@pytest.mark.each_once
@pytest.mark.parametrize("dtype", CACHE_DTYPES)
@pytest.mark.parametrize(
    "settings",
    [
        {"method": "sim", "k": 6},
        {"method": "sim", "k": 6, "search": "soft"},
        {"method": "eta", "k": 6},
        {"method": "sdim"},
        {"method": "twin", "k": 6},
        {"method": "sketch"},
        {"method": "sketch", "reader": "softmax"},
        {"method": "linear"},
    ],
    ids=lambda s: "-".join(map(str, s.values())),
)
def test_records_of_searches_are_those_on_disk(make_run, tmp_path: Path, settings: dict, dtype: CacheDtype) -> None:
    """Every field in its own dtype; and what is past a record's rows is no behavior."""
    run = make_run(**settings)
    workspace = Workspace(tmp_path)
    compress(workspace, run, CacheSettings(dtype, users=USERS), Silent(), "cache")
    store = open_cache(workspace, run, "cache").store
    resident = ResidentRecords(store, CPU)
    for keys in (USERS[:9].tolist(), USERS[[5, 5, 1]].tolist(), [int(USERS[-1])]):
        expected, found = store.fetch(keys), resident.fetch(keys)
        assert_same(store.layout, found, expected)
        asked = some_candidates(run, len(keys))
        with torch.inference_mode():
            interest, twin = (run.model.long.attend(each.summary, asked) for each in (found, expected))
        torch.testing.assert_close(interest, twin)
    assert_gate_and_routes(run, store, resident)


def test_the_gate_and_the_timed_routes_run_on_resident_records(both: Both) -> None:
    """What a GPU runs, on the CPU: the same fetch, gate and calls."""
    assert_gate_and_routes(*both)


def some_candidates(run: Run, requests: int) -> Candidates:
    """Three for each request, with the categories and at the time of real ones."""
    vectors = torch.randn(requests, 3, run.model.features.width, generator=torch.Generator().manual_seed(1))
    mask, ids = torch.ones(requests, 3, dtype=torch.bool), torch.arange(3, dtype=torch.int32).expand(requests, 3)
    return Candidates(vectors, mask, ids, ids + 2, torch.full((requests,), run.dataset.manifest.splits.end))


def assert_gate_and_routes(run: Run, store: RecordStore, resident: ResidentRecords) -> None:
    histories, known = (
        open_histories(run.dataset),
        open_histories(run.dataset).lengths_before(run.dataset.manifest.splits.end),
    )
    visitors = [Visitor(int(user), int(known[user])) for user in USERS]
    pool = CandidatePool(histories, read_samples(run.dataset, "test"), 0)
    found = run_gate(Served(run, resident, None, histories), visitors, pool, ("naive", "gemm"))
    assert found.passed
    ids = pool.draw(6)
    with torch.inference_mode():
        for user in visitors[:5]:
            request = user.request(histories, run.recipe.data, ids)
            on_disk, in_memory = (RequestScorer(run.model, records, gemm)(request) for records in (store, resident))
            torch.testing.assert_close(in_memory, on_disk)
