"""The gate lets through what is right, in every dtype, method and variant, and nothing that is not."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import lrea_cli.attention
import lrea_cli.methods.lrea
import lrea_cli.methods.sim
import lrea_cli.methods.twin
from lrea_cli.bench import bench as bench_module
from lrea_cli.bench import compared as compared_module
from lrea_cli.bench import gate as gate_module
from lrea_cli.bench.compared import MOST_ROUNDED, TOLERANCE, asked_after
from lrea_cli.bench.expected import Loops
from lrea_cli.bench.gate import GateResult, run_gate
from lrea_cli.cli import main
from lrea_cli.console.progress import Silent
from lrea_cli.dataset.histories import Histories, open_histories
from lrea_cli.dataset.samples import read_samples
from lrea_cli.errors import GateFailed
from lrea_cli.features import Features
from lrea_cli.kernels import KERNELS, KernelName, ScorerWeights, serving_kernels
from lrea_cli.methods.pseudo_items import PseudoItemMethod
from lrea_cli.methods.top_k import newest
from lrea_cli.oracle import searches as reference_searches
from lrea_cli.recipe.settings import CACHE_DTYPES, COMPRESSOR_NAMES, CacheDtype, Compression, CompressorName
from lrea_cli.records import maker as maker_module
from lrea_cli.records import past as past_module
from lrea_cli.records import store as store_module
from lrea_cli.records.cache import Cache, CacheSettings, compress, open_cache
from lrea_cli.records.format import CHECKSUM, Record
from lrea_cli.records.past import NO_VALUE, Past
from lrea_cli.records.store import INDEX, RecordStore, ResidentRecords
from lrea_cli.runs.checkpoint import Run, open_run, save_checkpoint
from lrea_cli.sequence import Behaviors, CandidateIds, HistoryIds, Ids, PseudoItems
from lrea_cli.serving import scorer as served_module
from lrea_cli.serving.scorer import CandidatePool, RequestScorer, Served, Visitor
from lrea_cli.workspace.home import Workspace, sha256_of
from tests.changed import change_json, changed_cache

CPU = torch.device("cpu")
GATED = 6
BOTH = serving_kernels("cpu")


@pytest.fixture(autouse=True)
def few_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few users of the data and the made histories: enough, and quick."""
    monkeypatch.setattr(gate_module, "GATE_USERS", GATED)


def lengths_of(run: Run, as_of: int | None = None) -> np.ndarray:
    return open_histories(run.dataset).lengths_before(run.dataset.manifest.splits.end if as_of is None else as_of)


def visitors_of(run: Run, cache: Cache) -> list[Visitor]:
    lengths = lengths_of(run, cache.manifest.as_of)
    return [Visitor(int(key), int(lengths[key])) for key in cache.store.keys]


def make_cache(
    run: Run,
    folder: Path,
    dtype: CacheDtype = "float32",
    users: Sequence[int] | None = None,
    compression: Compression | None = None,
) -> Cache:
    workspace = Workspace(folder)
    chosen = None if users is None else np.array(users)
    compress(workspace, run, CacheSettings(dtype, users=chosen, compression=compression), Silent(), "cache")
    return open_cache(workspace, run, "cache")


def gate(run: Run, cache: Cache, kernels: Sequence[KernelName] = ("gemm",), resident: bool = False) -> GateResult:
    histories = open_histories(run.dataset)
    records = ResidentRecords(cache.store, CPU) if resident else cache.store
    pool = CandidatePool(histories, read_samples(run.dataset, "test"), 1)
    visitors = visitors_of(run, cache)
    return run_gate(Served(run, records, cache.manifest.compression, histories), visitors, pool, kernels)


# what is right passes


@pytest.mark.each_once
@pytest.mark.parametrize("dtype", CACHE_DTYPES)
@pytest.mark.parametrize("method", ["lrea", "din"])
def test_a_fresh_cache_of_a_trained_run_passes(
    lrea_run: Run, din_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, dtype: CacheDtype
) -> None:
    run = lrea_run if method == "lrea" else din_run
    monkeypatch.setattr(gate_module, "GATE_USERS", 24)
    found = gate(run, make_cache(run, tmp_path, dtype), BOTH)
    assert found.passed
    assert 0 < found.max_relative_error <= TOLERANCE
    assert found.users >= 24


@pytest.mark.each_once
@pytest.mark.parametrize("dtype", CACHE_DTYPES)
@pytest.mark.parametrize(
    "settings",
    [
        {"method": "lrea", "form": "absorbed"},
        {"method": "lrea", "decomp_columns": "free"},
        {"method": "lrea", "short_histories": "exact"},
        {"method": "lrea", "form": "absorbed", "decomp_columns": "free", "short_histories": "exact"},
        {"method": "lrea", "rank": 1},
        {"method": "lrea", "rank": 40},
        {"method": "din"},
        {"method": "mean"},
        {"method": "din-short"},
        {"method": "lrea", "hidden": (5,)},
        {"method": "lrea", "hidden": (6, 5, 4)},
        {"method": "mean", "match_counters": ("item", "category")},
        {"method": "sim", "k": 6},
        {"method": "sim", "k": 6, "search": "soft"},
        {"method": "sim", "k": 6, "search": "soft", "target_attention": "din"},
        {"method": "sim", "k": 6, "target_attention": "din", "match_counters": ("item", "category")},
        {"method": "eta", "k": 6},
        {"method": "eta", "k": 6, "target_attention": "din", "m": 13},
        {"method": "eta", "k": 64},
        {"method": "sdim"},
        {"method": "sdim", "m": 12, "tau": 1},
        {"method": "twin", "k": 6},
        {"method": "twin", "k": 1, "heads": 1},
        {"method": "twin-v2", "k": 4, "most_members": 3},
        {"method": "twin-v2", "k": 64, "most_members": 8},
        {"method": "category"},
        {"method": "category", "shared_rows": 0},
        {"method": "category", "shared_rows": 3, "half_life": 5},
        {"method": "sketch"},
        {"method": "sketch", "temperature": 0.01},
        {"method": "sketch", "layers": 2},
        {"method": "sketch", "normalize": "tokens"},
        {"method": "sketch", "reader": "softmax"},
        {"method": "sketch", "reader": "softmax", "layers": 2, "heads": 2},
        {"method": "sketch", "reader": "softmax", "normalize": "tokens", "heads": 1},
        {"method": "linear"},
        {"method": "vq"},
        {"method": "vq", "codes": 5, "heads": 1},
        {"method": "lrea", "reader": "softmax", "heads": 2},
        {"method": "lrea", "reader": "softmax", "heads": 1, "decomp_columns": "free", "short_histories": "exact"},
        {"method": "din", "reader": "softmax", "heads": 4},
        {"method": "mean", "reader": "softmax"},
        {"method": "lrea", "scorer_hidden": 8},
        {"method": "din", "scorer_hidden": 5},
        {"method": "sim", "k": 6, "target_attention": "din", "scorer_hidden": 16},
    ],
    ids=lambda s: "-".join(map(str, s.values())),
)
def test_every_variant_passes(make_run, tmp_path: Path, settings: dict[str, object], dtype: CacheDtype) -> None:
    run = make_run(**settings)
    found = gate(run, make_cache(run, tmp_path, dtype), BOTH)
    assert found.passed
    assert found.candidates == found.users * gate_module.GATE_CANDIDATES
    assert found.skipped <= (2 if settings.get("search") == "soft" or settings["method"] in ("twin", "twin-v2") else 0)


@pytest.mark.each_once
@pytest.mark.parametrize("dtype", CACHE_DTYPES)
@pytest.mark.parametrize("name", COMPRESSOR_NAMES)
def test_every_compressor_passes(din_run: Run, tmp_path: Path, name: CompressorName, dtype: CacheDtype) -> None:
    cache = make_cache(din_run, tmp_path, dtype, compression=Compression(name, 5))
    assert gate(din_run, cache, BOTH).passed


@pytest.mark.each_once
@pytest.mark.parametrize("dtype", CACHE_DTYPES)
@pytest.mark.parametrize("name", COMPRESSOR_NAMES)
def test_every_compressor_of_a_softmax_run_passes(make_run, tmp_path: Path, name: CompressorName, dtype: CacheDtype):
    run = make_run(method="din", reader="softmax", heads=2)
    assert gate(run, make_cache(run, tmp_path, dtype, compression=Compression(name, 5)), BOTH).passed


def test_records_in_memory_pass(lrea_run: Run, tmp_path: Path) -> None:
    assert gate(lrea_run, make_cache(lrea_run, tmp_path), resident=True).passed


def nearly_cancelling(run: Run, by: float) -> Run:
    """The run with a bias that puts all hidden values below 0: there a x + g |x| takes two large halves apart."""
    with torch.no_grad():
        run.model.long.attention.b.sub_(by)
    save_checkpoint(run.model, run.checkpoint)
    return run


def test_an_interest_is_compared_by_the_halves_whose_difference_it_is(
    make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make_cache(run := nearly_cancelling(make_run(method="din"), 50), tmp_path)
    assert 0 < gate(run, cache).max_relative_error <= TOLERANCE
    monkeypatch.setattr(Loops, "_half", lambda *_: 0.0)
    with pytest.raises(GateFailed, match=r"in (interest|full attention)"):
        gate(run, cache)


def test_what_is_served_may_be_off_by_what_rounding_the_model_changes_of_it(
    lrea_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every error needs a reason, this one holds for what float32 does, and for no more."""
    monkeypatch.setattr(compared_module, "TOLERANCE", 1e-9)
    cache = make_cache(lrea_run, tmp_path)
    found = gate(lrea_run, cache)
    assert 1e-9 < found.max_relative_error <= found.limit <= MOST_ROUNDED
    user = spoil(lrea_run, cache, "values", scaled(1 + 2 * MOST_ROUNDED))
    refused(lrea_run, cache, rf"\w+ of user {user} ")
    monkeypatch.setattr(compared_module, "ROUNDINGS", 0.0)
    refused(lrea_run, make_cache(lrea_run, tmp_path / "again"), r"\w+")


@pytest.mark.parametrize("by", [50, 1e6])
def test_no_rounding_excuses_a_wrong_record(
    make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: float
) -> None:
    run = nearly_cancelling(make_run(method="din"), by)
    cache = make_cache(run, tmp_path)
    fetch = RecordStore.fetch

    def wrong(self: RecordStore, keys: Sequence[int]) -> Record:
        record = fetch(self, keys)
        values = record.summary.values.clone()
        values[:, 0] *= 1.01
        return replace(record, summary=replace(record.summary, values=values))

    monkeypatch.setattr(RecordStore, "fetch", wrong)
    with pytest.raises(GateFailed):
        gate(run, cache)


# who is compared


def lengths_compared(run: Run, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Lengths of the users whose interest is asked for, in order."""
    seen: list[int] = []

    class Spy(RequestScorer):
        def logits(self, request, candidates, past, interest):
            seen.append(int(past.length) + request.newer)
            return super().logits(request, candidates, past, interest)

    monkeypatch.setattr(served_module, "RequestScorer", Spy)
    assert gate(run, cache).users == len(seen)
    assert seen.pop() == 48  # of the one whose record is older than the request
    return seen


NEEDED = {0, 1, 9, 14, 15, 48}
"""Empty, one behavior, one long behavior, as many as the rank and one more, full; short = 8, long = 40, rank = 6."""


def plain_users(run: Run, below: int = 10_000) -> list[int]:
    """Users of the data whose length is none of those that the gate asks for."""
    return [u for u, n in enumerate(lengths_of(run).tolist()) if n not in NEEDED and n < below]


def test_empty_one_first_long_and_full_are_made_where_the_data_lacks_them(
    lrea_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = make_cache(lrea_run, tmp_path, users=plain_users(lrea_run))
    seen = lengths_compared(lrea_run, cache, monkeypatch)
    assert len(seen) == GATED + len(NEEDED)
    assert seen[GATED:] == sorted(NEEDED)
    assert not NEEDED & set(seen[:GATED])


def test_users_of_the_data_with_such_lengths_are_taken_first(
    lrea_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    present = NEEDED & set(lengths_of(lrea_run).tolist())
    assert present
    seen = lengths_compared(lrea_run, make_cache(lrea_run, tmp_path), monkeypatch)
    assert set(seen[: len(present)]) == present
    assert seen[GATED:] == sorted(NEEDED - present)
    assert max(lengths_of(lrea_run)) in seen


def test_a_cache_of_few_users_is_compared_whole(lrea_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = plain_users(lrea_run)[:3]
    seen = lengths_compared(lrea_run, make_cache(lrea_run, tmp_path, users=users), monkeypatch)
    assert sorted(seen[:3]) == sorted(lengths_of(lrea_run)[users].tolist())


@pytest.mark.parametrize("method", ["sim", "eta", "twin"])
def test_searches_are_compared_at_k_and_one_more(make_run, method: str) -> None:
    run = make_run(method=method, k=5, rank=9)
    assert gate_module._lengths_needed(run, None) == {0, 1, 9, 13, 14, 48}
    recipe = replace(run.recipe, model=replace(run.recipe.model, k=64))
    assert gate_module._lengths_needed(replace(run, recipe=recipe), None) == {0, 1, 9, 48}


def test_a_compressed_cache_is_compared_at_its_own_rank_and_one_more(
    din_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recipe's rank is 6: it says nothing of `clusters` at 16, whose 17th long row is the first that is merged."""
    cache = make_cache(din_run, tmp_path, compression=Compression("clusters", 16))
    seen = lengths_compared(din_run, cache, monkeypatch)
    assert {8 + 16, 8 + 17} <= set(seen)
    assert gate_module._lengths_needed(din_run, Compression("clusters", 16)) == {0, 1, 9, 24, 25, 48}
    assert gate_module._lengths_needed(din_run, Compression("mean", 1)) == {0, 1, 9, 10, 48}


def test_where_only_the_older_record_has_to_be_made_records_in_memory_pass(
    lrea_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU."""
    longest = int(lengths_of(lrea_run).max())
    monkeypatch.setattr(gate_module, "_lengths_needed", lambda *_: {longest})
    monkeypatch.setattr(gate_module, "records_on", lambda store, device: ResidentRecords(store, device))
    assert gate(lrea_run, make_cache(lrea_run, tmp_path), resident=True).users == GATED + 1


def test_candidates_are_asked_after_all_that_is_known(lrea_run: Run, histories: Histories) -> None:
    pool = CandidatePool(histories, read_samples(lrea_run.dataset, "test"), 1)
    for user in range(20):
        length = int(lengths_of(lrea_run)[user])
        start = int(histories.offsets[user])
        times = histories.time[start : start + length]
        ids = pool.draw(2)
        asked = asked_after(histories, Visitor(user, length), ids)
        assert int(asked.time) == max([int(ids.time), *(times + 1).tolist()])
        assert asked.ids is ids.ids


# searches that are too close to call


@pytest.mark.parametrize(("close", "passes"), [(0.0, True), (1e-5, True), (0.003, True), (0.5, False)])
def test_few_searches_too_close_to_call_are_counted_and_many_refused(
    make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, close: float, passes: bool
) -> None:
    """As if float32 were off by .003 of the largest score, which some gaps are closer than, and then by half of it."""
    run = make_run(method="sim", search="soft", k=6)
    cache = make_cache(run, tmp_path)
    monkeypatch.setattr(reference_searches, "CLOSE", close)
    if passes:
        found = gate(run, cache)
        assert found.passed
        assert (found.skipped > 0) == (close == 0.003)
        assert found.skipped <= 0.1 * found.candidates
    else:
        with pytest.raises(GateFailed, match=r"compared too little: for \d+ of 88 candidates") as caught:
            gate(run, cache)
        assert "another k" in caught.value.remedy


def test_what_is_compared_is_still_refused_where_some_are_skipped(
    make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(method="sim", search="soft", k=6)
    cache = make_cache(run, tmp_path)
    monkeypatch.setattr(reference_searches, "CLOSE", 0.003)
    right = RequestScorer.cached_interest
    monkeypatch.setattr(RequestScorer, "cached_interest", lambda self, *args: 1.0001 * right(self, *args))
    refused(run, cache, "interest of user")


# what is wrong does not


def refused(run: Run, cache: Cache, where: str, kernels: Sequence[KernelName] = ("gemm",)) -> None:
    with pytest.raises(GateFailed, match=rf"relative error .* in (?:{where}).*No time is reported"):
        gate(run, cache, kernels)


def scaled(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda row: row * factor


def another(row: np.ndarray) -> np.ndarray:
    """The next whole number at each place of an int8 row."""
    return np.where(row > 0, row - 1, row + 1).astype(np.int8)


def spoil(run: Run, cache: Cache, field: str, change: Callable[[np.ndarray], np.ndarray]) -> int:
    """Change one row of one column of a compared user's record; return the user."""
    store = cache.store
    wanted = gate_module._lengths_needed(run, cache.manifest.compression)
    compared = gate_module._choose(visitors_of(run, cache), wanted)
    user = next(v.key for v in compared if store.read(v.key).rows > 2)
    record = store.read(user)
    arrays = {name: array.copy() for name, array in record.arrays.items()}
    arrays[field][2] = change(arrays[field][2])
    write_record(cache, user, replace(record, arrays=arrays))
    return user


def write_record(cache: Cache, user: int, record: Record) -> None:
    """Over a record of the same size, its checksums repaired, here and in the index."""
    store = cache.store
    place = int(np.searchsorted(store.keys, user))
    entry = store.index[place]
    shard = store.folder / store_module._shard_name(int(entry["shard"]))
    blob = bytearray(shard.read_bytes())
    start, size = int(entry["offset"]), int(entry["size"])
    packed = store.layout.pack(user, record)
    assert len(packed) == size
    blob[start : start + size] = packed
    shard.write_bytes(blob)
    store.index["checksum"][place] = CHECKSUM.unpack(packed[-CHECKSUM.size :])[0]


def write_as_made(cache: Cache) -> None:
    """Index and manifest as `lrea compress` would have written them, had it made the records of this store."""
    folder = cache.artifact.path
    np.save(folder / INDEX, cache.store.index)
    files = {name: sha256_of(folder / name) for name in cache.artifact.inventory.files}
    change_json(folder / "cache.json", files=files)


@pytest.mark.each_once
@pytest.mark.parametrize("dtype", CACHE_DTYPES)
@pytest.mark.parametrize("field", ["keys", "values"])
def test_one_row_of_one_record_off_by_a_percent(lrea_run: Run, tmp_path: Path, field: str, dtype: CacheDtype) -> None:
    cache = make_cache(lrea_run, tmp_path, dtype)
    user = spoil(lrea_run, cache, field, another if dtype == "int8" else scaled(1.01))
    refused(lrea_run, cache, rf"\w+ of user {user} \(\d+ behaviors\)")


@pytest.mark.parametrize("field", ["keys", "values", "linear"])
def test_one_row_of_one_compressed_record_off_by_a_percent(din_run: Run, tmp_path: Path, field: str) -> None:
    cache = make_cache(din_run, tmp_path, compression=Compression("clusters", 5))
    user = spoil(din_run, cache, field, scaled(1.01))
    refused(din_run, cache, rf"\w+ of user {user} \(\d+ behaviors\)")


@pytest.mark.parametrize("changed", [{"rank": 4}, {"seed": 1}, {"compressor": "random"}])
def test_records_made_by_another_compression(din_run: Run, tmp_path: Path, changed: dict) -> None:
    made = Compression("clusters", 5)
    cache = changed_cache(make_cache(din_run, tmp_path, compression=made), compression=replace(made, **changed))
    refused(din_run, cache, r"\w+")


def test_keys_that_hardly_change_the_interest(lrea_run: Run, tmp_path: Path) -> None:
    cache = make_cache(lrea_run, tmp_path)
    user = spoil(lrea_run, cache, "keys", scaled(1.00005))
    refused(lrea_run, cache, f"keys of user {user} ")


def test_the_linear_half_of_one_record_off_by_a_percent(lrea_run: Run, tmp_path: Path) -> None:
    cache = make_cache(lrea_run, tmp_path)
    user = spoil(lrea_run, cache, "linear", scaled(1.01))
    refused(lrea_run, cache, f"(interest|logit) of user {user} ")


@pytest.mark.each_once
@pytest.mark.parametrize(
    ("settings", "field", "change"),
    [
        ({"method": "sim", "k": 6}, "category", lambda c: c + 1),
        ({"method": "sim", "k": 6}, "vectors", scaled(1.01)),
        ({"method": "sim", "k": 6, "search": "soft"}, "vectors", scaled(1.01)),
        ({"method": "eta", "k": 6}, "codes", lambda codes: ~codes),
        ({"method": "eta", "k": 6}, "codes", lambda codes: codes ^ np.array([1, 0, 0, 0, 0, 0], np.uint8)),
        ({"method": "sdim"}, "sums", scaled(1.01)),
        ({"method": "vq"}, "sums", scaled(1.01)),
        ({"method": "vq"}, "count", lambda count: count + 1),
        ({"method": "vq"}, "code", lambda code: code ^ 1),
        ({"method": "twin", "k": 6}, "time", lambda time: time - 86_400),
        ({"method": "twin", "k": 6}, "time", lambda time: time + 1),
        ({"method": "twin", "k": 6}, "category", lambda c: c + 1),
        ({"method": "twin", "k": 6}, "keys", scaled(1.01)),
        ({"method": "twin", "k": 6}, "values", scaled(1.01)),
        ({"method": "twin-v2", "most_members": 3}, "keys", scaled(1.01)),
        ({"method": "twin-v2", "most_members": 3}, "count", lambda count: count + 1),
        ({"method": "twin-v2", "most_members": 3}, "place", lambda place: place + 1),
        ({"method": "twin-v2", "most_members": 3}, "category", lambda c: c + 1),
        ({"method": "category"}, "category", lambda c: c + 1),
        ({"method": "category"}, "count", lambda c: c + 1),
        ({"method": "category"}, "sums", scaled(1.01)),
        ({"method": "category"}, "shared", scaled(1.01)),
        ({"method": "category"}, "mass", scaled(1.01)),
        ({"method": "category", "half_life": 5}, "recent", scaled(1.01)),
        ({"method": "category", "half_life": 5}, "weight", scaled(1.01)),
        ({"method": "category", "half_life": 5}, "newest", lambda number: number + 1),
        ({"method": "sketch"}, "sums", scaled(1.01)),
        ({"method": "sketch"}, "mass", scaled(1.01)),
        ({"method": "sketch"}, "gram", scaled(1.01)),
        ({"method": "sketch", "reader": "softmax"}, "sums", scaled(1.01)),
        ({"method": "sketch", "reader": "softmax"}, "mass", scaled(1.01)),
        ({"method": "linear"}, "matrix", scaled(1.01)),
    ],
)
@pytest.mark.parametrize("dtype", CACHE_DTYPES)
def test_one_row_of_any_field_of_a_search_that_is_another(
    make_run, tmp_path: Path, settings: dict, field: str, change: Callable, dtype: CacheDtype
) -> None:
    """Found in the field itself, whether or not a candidate's interest shows it."""
    run = make_run(**settings)
    cache = make_cache(run, tmp_path, dtype)
    kept = next(f for f in run.model.long.record if f.name == field).stored(dtype)
    user = spoil(run, cache, field, another if kept == "int8" else change)
    refused(run, cache, rf"(interest|logit|{field}) of user {user} ")


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"method": "sim"}, 5),
        ({"method": "sim", "search": "soft"}, 7),
        ({"method": "eta"}, 7),
        ({"method": "twin"}, 5),
    ],
)
def test_one_behavior_more_or_less_than_k(make_run, tmp_path: Path, settings: dict, found: int) -> None:
    run = make_run(k=6, **settings)
    run.model.long.k = found
    refused(run, make_cache(run, tmp_path), "(interest|logit) of user")


@pytest.mark.parametrize("seconds", [86_400, -86_400])
def test_a_request_of_another_day(make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """The record is right, and the ages that are made of it are not."""
    run = make_run(method="twin", k=6)
    right = Features.candidates

    def moved(self: Features, ids: CandidateIds):
        return right(self, replace(ids, time=ids.time + seconds))

    monkeypatch.setattr(Features, "candidates", moved)
    refused(run, make_cache(run, tmp_path), "(interest|logit) of user")


def test_the_oldest_of_a_category(make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(method="sim", k=2)
    monkeypatch.setattr(lrea_cli.methods.sim, "newest", lambda allowed, k: newest(allowed.flip(-1), k))
    refused(run, make_cache(run, tmp_path), "(interest|logit) of user")


def test_records_of_two_users_exchanged(lrea_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = make_cache(lrea_run, tmp_path)
    fetch = RecordStore.fetch
    monkeypatch.setattr(RecordStore, "fetch", lambda self, keys: fetch(self, self.keys[::-1][np.array(keys)]))
    refused(lrea_run, cache, r"[\w ']+ of user")


def test_a_cache_of_yesterday(din_run: Run, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    compress(workspace, din_run, CacheSettings(as_of=din_run.dataset.manifest.splits.valid_from), Silent(), "cache")
    end = din_run.dataset.manifest.splits.end
    cache = changed_cache(open_cache(workspace, din_run, "cache"), as_of=end)
    refused(din_run, cache, r"(history length|match counter '\w+') of user")


@pytest.mark.parametrize("kernel", BOTH)
def test_a_kernel_scaled_by_a_thousandth(
    lrea_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: KernelName
) -> None:
    cache = make_cache(lrea_run, tmp_path)
    right = KERNELS[kernel]
    monkeypatch.setitem(KERNELS, kernel, lambda *args: 1.001 * right(*args))
    refused(lrea_run, cache, rf".*, {kernel}", BOTH)


@pytest.mark.parametrize(("route", "where"), [("cached_interest", "interest"), ("full_interest", "full attention")])
def test_an_interest_off_by_a_twenty_thousandth(
    lrea_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, route: str, where: str
) -> None:
    """Each is checked by itself, though the logits are right: a wrong thing to beat could be slow."""
    off, interest, logits = 1.00005, getattr(RequestScorer, route), RequestScorer.logits

    def undone(self, request, candidates, past, long_interest):
        return logits(self, request, candidates, past, long_interest / off)

    monkeypatch.setattr(RequestScorer, route, lambda self, *args: off * interest(self, *args))
    if route == "cached_interest":
        monkeypatch.setattr(RequestScorer, "logits", undone)
    refused(lrea_run, make_cache(lrea_run, tmp_path), f"{where} of user")


@pytest.mark.parametrize("calls", [{0}, {7}, set(range(1000))], ids=["first", "one", "all"])
def test_a_kernel_that_gives_no_number(
    lrea_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: set[int]
) -> None:
    cache = make_cache(lrea_run, tmp_path)
    right, number = KERNELS["gemm"], itertools.count()

    def broken(*args):
        return right(*args) * (float("nan") if next(number) in calls else 1.0)

    monkeypatch.setitem(KERNELS, "gemm", broken)
    refused(lrea_run, cache, r"\w+")


def test_a_kernel_that_forgets_the_last_row(lrea_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = make_cache(lrea_run, tmp_path)
    right = KERNELS["naive"]

    def shorter(candidates, keys, values, weights: ScorerWeights, linear):
        return right(candidates, keys[:, :-1], values[:, :-1], weights, linear)

    monkeypatch.setitem(KERNELS, "naive", shorter)
    refused(lrea_run, cache, "interest|full attention|logit", ("naive",))


@pytest.mark.parametrize("method", ["lrea", "din"])
def test_the_scale_of_the_history_lost(
    lrea_run: Run, din_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    for module in (lrea_cli.attention, lrea_cli.methods.lrea):
        monkeypatch.setattr(module, "history_scale", lambda lengths: torch.ones_like(lengths).double())
    run = lrea_run if method == "lrea" else din_run
    refused(run, make_cache(run, tmp_path), r"\w+")


@pytest.mark.parametrize("moved", ["short", "long"])
def test_a_window_shifted_by_one(lrea_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: str) -> None:
    right = Histories.newest

    def shifted(self, users, lengths, skip, count):
        return right(self, users, lengths, skip + int((skip == 0) == (moved == "short")), count)

    monkeypatch.setattr(Histories, "newest", shifted)
    refused(lrea_run, make_cache(lrea_run, tmp_path), "logit" if moved == "short" else r"\w+")


def test_a_counter_off_by_one(make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(method="mean", match_counters=("category",))
    cache = make_cache(run, tmp_path)
    right = Past.matches
    monkeypatch.setattr(Past, "matches", lambda *args: {n: c + 1 for n, c in right(*args).items()})
    refused(run, cache, "logit")


def counting(run: Run, cache: Cache) -> tuple[int, Record]:
    """A compared user of whom some values are counted, and a copy of the record."""
    for visitor in gate_module._choose(visitors_of(run, cache), gate_module._lengths_needed(run, None)):
        record = cache.store.read(visitor.key)
        if record.sizes["category_values"] > 2:
            arrays = {name: array.copy() for name, array in record.arrays.items()}
            return visitor.key, replace(record, arrays=arrays)
    pytest.fail("no user has three categories")


def count_too_high(record: Record) -> Record:
    record.arrays["category_counts"][-1] += 1
    return record


def another_value(record: Record) -> Record:
    record.arrays["category_values"][-1] += 1
    return record


def value_counted_never(record: Record) -> Record:
    record.arrays["category_counts"][-1] = 0
    return record


@pytest.mark.each_once
@pytest.mark.parametrize(
    ("change", "where"),
    [
        (count_too_high, r"match counter 'category'"),
        (another_value, r"match counter 'category'"),
        (value_counted_never, r"match counter 'category'"),
        (lambda record: replace(record, length=record.length + 1), "history length"),
        (lambda record: replace(record, length=record.length - 1), "history length"),
    ],
    ids=["count", "value", "never", "longer", "shorter"],
)
@pytest.mark.parametrize("method", ["mean", "din-short"])
def test_one_number_of_a_records_past_that_is_another(
    make_run, tmp_path: Path, method: str, change: Callable[[Record], Record], where: str
) -> None:
    run = make_run(method=method, match_counters=("category",))
    cache = make_cache(run, tmp_path)
    user, record = counting(run, cache)
    write_record(cache, user, change(record))
    refused(run, cache, f"{where} of user {user} ")


def test_a_record_that_lacks_the_last_value(make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, right = make_run(method="mean", match_counters=("category",)), maker_module.past_of

    def shorter(*arguments) -> Past:
        past = right(*arguments)
        gone = past.values["category"] == past.values["category"].masked_fill(past.counts["category"] == 0, 0).amax()
        counts = past.counts["category"].masked_fill(gone, 0)
        return replace(
            past, values={"category": past.values["category"].masked_fill(gone, NO_VALUE)}, counts={"category": counts}
        )

    monkeypatch.setattr(maker_module, "past_of", shorter)
    refused(run, make_cache(run, tmp_path), "match counter 'category' of user")


def without_newer(self: Past, candidates: Ids, short: HistoryIds, newer: torch.Tensor) -> dict[str, torch.Tensor]:
    return MATCHES(self, candidates, short, torch.zeros_like(newer))


def with_all_of_short(self: Past, candidates: Ids, short: HistoryIds, newer: torch.Tensor) -> dict[str, torch.Tensor]:
    return MATCHES(self, candidates, short, torch.where(newer > 0, short.mask.shape[1], newer))


MATCHES = Past.matches


@pytest.mark.parametrize("wrong", [without_newer, with_all_of_short])
def test_behaviors_that_the_record_does_not_know_are_counted_each_once(
    make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: Callable
) -> None:
    """Only the user whose record is older than the request shows it."""
    run = make_run(method="mean", match_counters=("category",))
    cache = make_cache(run, tmp_path)
    monkeypatch.setattr(CandidatePool, "draw", drawn_from_the_newest(CandidatePool.draw))
    assert gate(run, cache).passed
    monkeypatch.setattr(Past, "matches", wrong)
    refused(run, cache, r"logit of user \d \(48 behaviors\)")


def drawn_from_the_newest(right: Callable) -> Callable:
    """Candidates of all categories, so that some are those of the newest behaviors."""

    def draw(self: CandidatePool, count: int) -> CandidateIds:
        ids, categories = right(self, count), np.unique(self._histories.columns["category"][:])
        newest = self._histories.columns["category"][: 7 * 48]
        common = np.bincount(newest).argsort()[::-1][:count]
        assert len(categories) >= count
        return replace(ids, ids={**ids.ids, "category": torch.from_numpy(common.astype(np.int32))[None]})

    return draw


def test_a_history_shorter_by_the_newer_behaviors(make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, right = make_run(method="mean"), RequestScorer.logits
    cache = make_cache(run, tmp_path)

    def forgetful(self, request, candidates, past, interest):
        return right(self, request, candidates, replace(past, length=past.length - request.newer), interest)

    monkeypatch.setattr(RequestScorer, "logits", forgetful)
    refused(run, cache, r"logit of user \d \(48 behaviors\)")


@pytest.mark.parametrize("field", ["keys", "values", "linear"])
def test_the_scale_of_an_int8_row_lost(lrea_run: Run, tmp_path: Path, field: str) -> None:
    cache = make_cache(lrea_run, tmp_path, "int8")
    user = spoil(lrea_run, cache, f"{field}_scale", lambda scale: np.float16(1))
    refused(lrea_run, cache, rf"\w+ of user {user} ")


def test_the_linear_half_of_an_int8_record_off_by_a_step(lrea_run: Run, tmp_path: Path) -> None:
    cache = make_cache(lrea_run, tmp_path, "int8")
    user = spoil(lrea_run, cache, "linear", another)
    refused(lrea_run, cache, rf"(interest|logit) of user {user} ")


@pytest.mark.parametrize("method", ["sim", "twin", "mean"])
def test_missing_categories_match_nothing_in_what_is_served(
    make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """A third of the log has no category; searches, cross features and counters that match them are refused."""
    right = Histories.open.__func__

    def thinned(cls, folder, item_fields):
        found = right(cls, folder, item_fields)
        category = np.asarray(found.columns["category"])
        return cls(found.offsets, found.time, {**found.columns, "category": np.where(category % 3, category, 1)})

    monkeypatch.setattr(Histories, "open", classmethod(thinned))
    run = make_run(method=method, heads=2, match_counters=("category",) if method == "mean" else ())
    cache = make_cache(run, tmp_path)
    assert gate(run, cache).candidates > 0
    if method == "mean":
        monkeypatch.setattr(past_module, "FIRST_ID", 0)
        cache = make_cache(run, tmp_path / "again")
    else:
        module = {"sim": lrea_cli.methods.sim, "twin": lrea_cli.methods.twin}[method]
        monkeypatch.setattr(module, "same_value", lambda ids, others: ids == others)
    refused(run, cache, "interest|logit|match counter")


def test_the_mask_dropped(din_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unmasked(self: Features, history: HistoryIds):
        vectors = self.item_vectors(history.ids)
        return Behaviors(vectors, torch.ones_like(history.mask), history.ids["item"])

    monkeypatch.setattr(Features, "behaviors", unmasked)
    refused(din_run, make_cache(din_run, tmp_path), r"\w+")


def test_a_seal_in_the_wrong_dtype(lrea_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = PseudoItemMethod.seal

    def coarse(self, summary, dtype: CacheDtype):
        return right(self, right(self, summary, "float16"), dtype)

    monkeypatch.setattr(PseudoItemMethod, "seal", coarse)
    refused(lrea_run, make_cache(lrea_run, tmp_path), r"\w+")


def test_a_model_in_training_mode(lrea_run: Run, tmp_path: Path) -> None:
    cache = make_cache(lrea_run, tmp_path)
    statistics = {name: t.clone() for name, t in lrea_run.model.state_dict().items()}
    lrea_run.model.train()
    try:
        with pytest.raises(ValueError, match="training mode"):
            gate(lrea_run, cache)
    finally:
        lrea_run.model.eval()
        lrea_run.model.load_state_dict(statistics)


@pytest.mark.parametrize(
    "name",
    ["long.W_comp", "long.decomp", "long.attention.W3", "short.w_o", "mlp.1.weight", "mlp.0.running_mean"],
)
def test_weights_in_memory_that_are_not_the_checkpoints(make_run, tmp_path: Path, name: str) -> None:
    run = make_run(method="lrea")
    with torch.no_grad():
        run.model.state_dict()[name].mul_(1.1)
    refused(run, make_cache(run, tmp_path), r"\w+")


@pytest.mark.every_third
@pytest.mark.parametrize(
    ("method", "name"),
    [
        *(("sim", f"attention.{name}") for name in ("W_Q", "W_K", "W_V", "W_O")),
        ("eta", "planes"),
        ("sdim", "planes"),
        ("vq", "codebook"),
        *(("vq", f"attention.{name}") for name in ("W_Q", "W_K", "W_V", "W_O")),
        *(("twin", name) for name in ("attention.W_Q", "attention.W_K", "attention.W_V", "attention.W_O")),
        *(("twin", name) for name in ("age", "place", "same_category")),
    ],
)
def test_weights_of_a_search_that_are_not_the_checkpoints(make_run, tmp_path: Path, method: str, name: str) -> None:
    run = make_run(method=method, k=6)
    weight = run.model.long.state_dict()[name]
    weight.copy_(weight.flip(-1))
    refused(run, make_cache(run, tmp_path), r"\w+ of user")


# what only one of the made histories shows


def test_only_the_full_history_reads_the_last_position(make_run, tmp_path: Path) -> None:
    run = make_run(method="lrea")
    short = plain_users(run, below=48)[:5]
    with torch.no_grad():
        run.model.long.W_comp[-1] *= 1.1
    refused(run, make_cache(run, tmp_path, users=short), r"\w+ of user 5 \(48 behaviors\)")


def test_only_the_empty_history_shows_a_lost_empty_case(
    make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(method="lrea")
    right = Histories.newest

    def never_empty(self, users, lengths, skip, count):
        if skip == 0 and not lengths.any():
            lengths = lengths + 1
        return right(self, users, lengths, skip, count)

    monkeypatch.setattr(Histories, "newest", never_empty)
    users = plain_users(run)[:5]
    refused(run, make_cache(run, tmp_path, users=users), r"logit of user 0 \(0 behaviors\)")


def test_only_one_long_behavior_shows_a_lost_first_one(
    make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(method="mean")
    right = type(run.model.long).summarize

    def at_least_two(self, behaviors) -> PseudoItems:
        found = right(self, behaviors)
        return replace(found, keys=found.keys * (behaviors.lengths > 1)[:, None, None])

    monkeypatch.setattr(type(run.model.long), "summarize", at_least_two)
    users = plain_users(run)[:5]
    refused(run, make_cache(run, tmp_path, users=users), r"\w+ of user 2 \(9 behaviors\)")


def test_a_made_history_is_cut_from_the_log() -> None:
    log = Histories(np.array([0, 3]), np.array([5, 6, 7]), {"item": np.array([2, 3, 4], np.int32)})
    made = gate_module._made_histories(log, [0, 1, 5])
    assert made.offsets[:].tolist() == [0, 0, 1, 6]
    assert made.columns["item"][:].tolist() == [2, 3, 4, 2, 3, 4]
    assert made.time[:].tolist() == [5, 6, 7, 5, 6, 7]


# through the command line


def serve_bench(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, more: str = "--json") -> int:
    """Run it as typed; return the exit code."""
    monkeypatch.setenv("LREA_HOME", str(workspace.home))
    arguments = f"--run tiny-lrea --candidates 5 --seconds 0.1 --kernel gemm --threads 1 --device cpu {more}"
    with pytest.raises(SystemExit) as caught:
        main(["serve-bench", *arguments.split()])
    return int(caught.value.code or 0)


def test_a_failed_gate_ends_the_command_with_3_and_no_result(
    workspace_copy: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = open_run(workspace_copy, "tiny-lrea", None, CPU)
    compress(workspace_copy, run, CacheSettings(), Silent(), "cache")
    assert serve_bench(workspace_copy, monkeypatch) == 0
    assert json.loads(capsys.readouterr().out)["gate"]["passed"] is True
    results = sorted((workspace_copy.home / "bench").iterdir())
    assert len(results) == 1
    cache = open_cache(workspace_copy, run, "cache")
    spoil(run, cache, "keys", scaled(1.01))
    write_as_made(cache)
    assert serve_bench(workspace_copy, monkeypatch) == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "error: The gate failed" in shown.err
    assert "lrea compress" in shown.err
    assert "Traceback" not in shown.err
    assert sorted((workspace_copy.home / "bench").iterdir()) == results


def test_a_changed_record_with_a_repaired_checksum_is_damage_and_no_matter_of_the_gate(
    workspace_copy: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = open_run(workspace_copy, "tiny-lrea", None, CPU)
    compress(workspace_copy, run, CacheSettings(), Silent(), "cache")
    user = spoil(run, open_cache(workspace_copy, run, "cache"), "keys", scaled(1.01))
    assert serve_bench(workspace_copy, monkeypatch) == 2
    assert f"the record of {user} was changed after it was written" in capsys.readouterr().err


def test_a_damaged_record_or_index_ends_the_command_with_2(
    workspace_copy: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = open_run(workspace_copy, "tiny-lrea", None, CPU)
    compress(workspace_copy, run, CacheSettings(), Silent(), "cache")
    folder = workspace_copy.home / "caches" / "cache"
    for name in ("records-00000.bin", INDEX):
        blob = bytearray((folder / name).read_bytes())
        blob[-200] ^= 1
        (folder / name).write_bytes(blob)
        assert serve_bench(workspace_copy, monkeypatch) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "lrea compress" in shown.err
    assert not (workspace_copy.home / "bench").exists()


@pytest.mark.parametrize("skipped", [0, 3])
def test_the_command_says_how_many_searches_were_not_compared(
    workspace_copy: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], skipped: int
) -> None:
    passed = GateResult(True, 1e-7, 10, "logit of user 0", 80, skipped, 0)
    monkeypatch.setattr(bench_module, "run_gate", lambda *_: passed)
    assert serve_bench(workspace_copy, monkeypatch, more="") == 0
    shown = capsys.readouterr()
    assert ("3 of 80 searches are too close to call" in " ".join((shown.out + shown.err).split())) == (skipped > 0)
