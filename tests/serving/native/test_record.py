"""lrea_score_record: a request from the bytes of a record equals torch; other bytes are refused, never a crash."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from lrea_cli.console.progress import Silent
from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.samples import Samples
from lrea_cli.ids import UNKNOWN_ID
from lrea_cli.kernels import naive
from lrea_cli.recipe.settings import CACHE_DTYPES, CacheDtype, Compression
from lrea_cli.records.cache import Cache, CacheSettings, compress, open_cache
from lrea_cli.runs.checkpoint import Run
from lrea_cli.sequence import CandidateIds, HistoryIds
from lrea_cli.serving.native import abi
from lrea_cli.serving.native.model import NativeError, NativeModel, RecordRequest, UnsupportedError
from lrea_cli.serving.native.model_file import write_model
from lrea_cli.serving.native.scorer import NativeScorer
from lrea_cli.serving.scorer import CandidatePool, Request, RequestScorer, Visitor
from lrea_cli.workspace.home import Workspace
from tests.conftest import untrained_run
from tests.serving.native.drawn import PATHS

pytestmark = pytest.mark.skipif(not PATHS, reason=f"there is no native library: {abi.load().reason}")

SERVED = {
    "lrea": {"method": "lrea"},
    "lrea, one-to-one": {"method": "lrea", "short_histories": "exact"},
    "din": {"method": "din"},
    "sdim": {"method": "sdim"},
    "mean": {"method": "mean"},
    "sketch, two layers": {"method": "sketch", "layers": 2},
    "sketch, tokens": {"method": "sketch", "normalize": "tokens"},
    "din-short": {"method": "din-short"},
    "clusters": {"method": "din", "compressor": "clusters"},
}
SUMS = {
    "sketch": {"method": "sketch"},
    "linear": {"method": "linear"},
}
SEARCHED: dict[str, dict[str, Any]] = {
    "sim": {"method": "sim", "k": 6},
    "sim, soft": {"method": "sim", "search": "soft", "k": 6},
    "eta": {"method": "eta", "k": 6},
    "twin": {"method": "twin", "k": 6},
    "lrea, softmax": {"method": "lrea", "reader": "softmax"},
    "sketch, softmax": {"method": "sketch", "reader": "softmax"},
    "clusters, softmax": {"method": "din", "reader": "softmax", "compressor": "clusters"},
}
RECORDS: list[tuple[CacheDtype, tuple[str, ...]]] = [
    ("float32", ("category",)),
    ("float16", ()),
    ("int8", ("item", "category")),
]
"""Dtypes, each with other counters."""
CANDIDATES = (0, 1, 17)
BAD_RECORD = "bytes are no record"


@dataclass(frozen=True)
class Case:
    """A run, a cache of some of its users, and the histories."""

    run: Run
    cache: Cache
    histories: Histories
    samples: Samples

    @property
    def keys(self) -> np.ndarray:
        return self.cache.store.keys

    def native(self) -> NativeModel:
        return NativeModel(write_model(self.run.model))

    def requests(self, count: int, seed: int = 3, own_profiles: bool = False) -> Iterator[Request]:
        """Of a user without a record, of one without behaviors, then of each user; 0 to 5 behaviors are newer."""
        rng, pool = np.random.default_rng(seed), CandidatePool(self.histories, self.samples, seed)
        lengths = np.diff(self.histories.offsets)
        for number, user in enumerate([len(lengths) - 1, int(self.keys[0]), *self.keys.tolist()]):
            length = 0 if number == 1 else int(lengths[user])
            visitor = Visitor(user, length, min(number % 6, length, self.run.recipe.data.short))
            ids = with_unknown(pool.draw(count), rng, own_profiles)
            asked = visitor.request(self.histories, self.run.recipe.data, ids)
            yield replace(asked, short=without_values(asked.short, rng))


def without_values(short: HistoryIds, rng: np.random.Generator) -> HistoryIds:
    """Some newest behaviors lack a value, as some candidates do: that is no match."""
    ids = {}
    for name, column in short.ids.items():
        lost = torch.from_numpy(rng.random(column.shape) < 0.3) & short.mask
        ids[name] = torch.where(lost, torch.full_like(column, UNKNOWN_ID), column)
    return replace(short, ids=ids)


def with_unknown(ids: CandidateIds, rng: np.random.Generator, own_profiles: bool) -> CandidateIds:
    """Some candidates are missing values or ones that the model has not seen; profiles can differ."""
    count = ids.mask.shape[1]

    def changed(column: torch.Tensor, low: int, high: int) -> torch.Tensor:
        drawn = torch.from_numpy(rng.integers(low, high, (1, count)).astype(np.int32))
        return torch.where(torch.from_numpy(rng.random((1, count)) < 0.2), drawn, column)

    items = {name: changed(changed(c, UNKNOWN_ID, UNKNOWN_ID + 1), 10**6, 10**6 + 2) for name, c in ids.ids.items()}
    profile = {name: changed(c, 1, 4) for name, c in ids.profile.items()} if own_profiles else ids.profile
    return replace(ids, ids=items, profile=profile)


Make = Callable[..., Case]


def made_cases(tiny: Workspace, folders: pytest.TempPathFactory, histories: Histories, samples: Samples) -> Make:
    """`make(settings, dtype, counters)`: an untrained run with random weights, and a cache of 13 users, made once."""
    cases: dict[str, Case] = {}

    def made(
        settings: dict[str, Any], dtype: CacheDtype = "float32", counters: tuple[str, ...] = ("category",)
    ) -> Case:
        named = str((settings, dtype, counters))
        if named not in cases:
            home = Workspace(folders.mktemp("case"))
            model = {name: value for name, value in settings.items() if name != "compressor"}
            run = untrained_run(tiny, home, counters, {"embedding_dim": 4, **model})
            compression = Compression(settings["compressor"], 4) if "compressor" in settings else None
            as_of = run.dataset.manifest.splits.test_from
            compress(home, run, CacheSettings(dtype, as_of, np.arange(0, 39, 3), compression), Silent(), "cache")
            cases[named] = Case(run, open_cache(home, run, "cache"), histories, samples)
        return cases[named]

    return made


@pytest.fixture(scope="module")
def make(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory, histories: Histories, samples: Samples) -> Make:
    return made_cases(tiny, tmp_path_factory, histories, samples)


def asked_of(case: Case, request: Request, record: bytes | None, mode: str = "auto") -> RecordRequest:
    """The request in arrays, without the code of `NativeScorer`."""
    items = [f.name for f in case.run.model.features.item_fields]
    used = int(request.short.mask.sum())
    return RecordRequest(
        record,
        case.cache.store.layout.dtype,
        np.array([request.candidates.ids[name][0].numpy() for name in items], np.int32),
        np.array([request.short.ids[name][0, :used].numpy() for name in items], np.int32),
        request.newer,
        np.array([request.candidates.profile[f.name][0].numpy() for f in case.run.model.features.profile_fields]),
        mode,
    )


def blob_of(case: Case, key: int) -> bytes | None:
    return case.cache.store.verified(key)[0] if key in case.cache.store else None


@pytest.mark.each_once
@pytest.mark.parametrize(("dtype", "counters"), RECORDS, ids=str)
@pytest.mark.parametrize("served", SERVED)
def test_logits_from_the_bytes_of_a_record_equal_torch(
    make: Make, served: str, dtype: CacheDtype, counters: tuple[str, ...]
) -> None:
    case = make(SERVED[served], dtype, counters)
    native, slow = case.native(), RequestScorer(case.run.model, case.cache.store, naive)
    largest = 0.0
    for count in CANDIDATES:
        for request in case.requests(count):
            found = native.record_logits(asked_of(case, request, blob_of(case, request.key)))
            assert found.shape == (count,)
            if count:
                expected = slow(request).numpy()
                np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6)
                largest = max(largest, float(np.abs(expected).max()))
    assert largest > 0.1


@pytest.mark.each_once
@pytest.mark.parametrize("served", [*SERVED, *SUMS, *SEARCHED])
@pytest.mark.parametrize("own_profiles", [False, True])
def test_the_native_scorer_equals_torch_for_every_method(make: Make, served: str, own_profiles: bool) -> None:
    for dtype, counters in RECORDS:
        case = make((SERVED | SUMS | SEARCHED)[served], dtype, counters)
        native = NativeScorer(case.run.model, case.cache.store)
        slow = RequestScorer(case.run.model, case.cache.store, naive)
        assert native.path == abi.path_of("auto")
        for count in (1, 17):
            for request in case.requests(count, seed=count, own_profiles=own_profiles):
                np.testing.assert_allclose(native(request), slow(request).numpy(), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("mode", PATHS)
def test_every_mode_reads_records(make: Make, mode: str) -> None:
    case = make(SERVED["lrea"], "int8", ("item", "category"))
    slow = RequestScorer(case.run.model, case.cache.store, naive)
    scorer = NativeScorer(case.run.model, case.cache.store, mode)
    for request in case.requests(17):
        np.testing.assert_allclose(scorer(request), slow(request).numpy(), rtol=2e-5, atol=2e-5)


def status_of(native: NativeModel, asked: RecordRequest) -> str:
    """What the library says of a request, or nothing."""
    try:
        assert native.record_logits(asked).shape == (asked.candidate_ids.shape[1],)
    except NativeError as error:
        return str(error)
    return ""


def one_request(case: Case, count: int = 5) -> tuple[Request, bytes]:
    request = list(case.requests(count))[4]
    blob = blob_of(case, request.key)
    assert blob is not None
    return request, blob


@pytest.mark.each_once
@pytest.mark.parametrize(("dtype", "counters"), RECORDS, ids=str)
@pytest.mark.parametrize("served", SERVED)
def test_every_truncation_and_every_padding_is_refused(
    make: Make, served: str, dtype: CacheDtype, counters: tuple[str, ...]
) -> None:
    case = make(SERVED[served], dtype, counters)
    native = case.native()
    request, blob = one_request(case)
    assert status_of(native, asked_of(case, request, blob)) == ""
    for size in range(0, len(blob), 1 if len(blob) < 3000 else 7):
        assert BAD_RECORD in status_of(native, asked_of(case, request, blob[:size])), size
    for more in (1, 7, 8, 64):
        assert BAD_RECORD in status_of(native, asked_of(case, request, blob + bytes(more))), more


@pytest.mark.parametrize("served", ["lrea", "din", "clusters"])
def test_a_record_in_another_dtype_is_refused(make: Make, served: str) -> None:
    for dtype in CACHE_DTYPES:
        case = make(SERVED[served], dtype)
        request, blob = one_request(case)
        for other in CACHE_DTYPES:
            said = status_of(case.native(), replace(asked_of(case, request, blob), dtype=other))
            assert (BAD_RECORD in said) == (other != dtype), (dtype, other)


def test_a_record_of_another_model_is_refused(make: Make) -> None:
    cases = {name: make(SERVED[name]) for name in ("lrea", "sdim", "din-short")}
    cases |= {"wide": make({"method": "lrea", "embedding_dim": 8}), "counts": make(SERVED["lrea"], counters=())}
    for name, case in cases.items():
        request, _ = one_request(case)
        for other, its in cases.items():
            said = status_of(case.native(), asked_of(case, request, one_request(its)[1]))
            same = other == name or (name, other) == ("sdim", "din-short")  # an empty history has no buckets
            assert (BAD_RECORD in said) != same, (name, other, said)


@pytest.mark.parametrize("served", SERVED)
def test_random_bytes_are_scored_or_refused(make: Make, served: str) -> None:
    """No checksum is compared here, so bytes of a possible record are scored; nothing is read past their end."""
    case = make(SERVED[served], "int8", ("item", "category"))
    native, rng = case.native(), np.random.default_rng(1)
    request, blob = one_request(case)
    said = set()
    for round_ in range(600):
        changed = np.frombuffer(blob, np.uint8).copy()
        low, high = (8, 40) if round_ % 2 else (0, len(blob))
        changed[rng.integers(low, min(high, len(blob)), 1 + round_ % 5)] = rng.integers(0, 256, 1 + round_ % 5)
        said.add(status_of(native, asked_of(case, request, changed.tobytes())))
        said.add(status_of(native, asked_of(case, request, rng.bytes(int(rng.integers(0, 400))))))
    assert {text for text in said if BAD_RECORD not in text} <= {""}


@pytest.mark.parametrize("served", SERVED)
@pytest.mark.parametrize("place", range(4), ids=["length", "rows", "items", "categories"])
def test_sizes_that_no_memory_holds_are_refused(make: Make, served: str, place: int) -> None:
    case = make(SERVED[served], "int8", ("item", "category"))
    request, blob = one_request(case)
    for value in (-1, -(2**31), 2**31 - 1, 2**30, 2**28, 2**24 + 1):
        changed = bytearray(blob)
        changed[8 + 4 * place : 12 + 4 * place] = int(value).to_bytes(4, "little", signed=True)
        said = status_of(case.native(), asked_of(case, request, bytes(changed)))
        free = place == 0 or (served == "din-short" and place == 1)  # no bytes depend on it
        assert (BAD_RECORD in said) == (not free or value < 0), (value, said)


def test_counts_that_no_int32_holds_are_refused(make: Make) -> None:
    """A damaged count and newer matches together: a sum past 2^31 is no number of behaviors."""
    case = make(SERVED["din-short"], counters=("item",))
    request = next(r for r in case.requests(5) if r.newer and r.key in case.cache.store)
    item = request.short.ids["item"][0, 0].numpy()
    ids = {name: torch.from_numpy(np.resize(c[0, :1].numpy(), (1, 5))) for name, c in request.short.ids.items()}
    request = replace(request, candidates=replace(request.candidates, ids=ids))
    head = np.array([1, 0, 1, 0], "<i4").tobytes()
    for count, refused in ((2**31 - 1, True), (5, False), (-100, True)):
        column = [np.array([n, 0], "<i4").tobytes() for n in (item, count)]
        blob = bytes(8) + head[:12] + bytes(4) + b"".join(column) + bytes(8)
        said = status_of(case.native(), asked_of(case, request, blob))
        assert (BAD_RECORD in said) == refused, (count, said)


def test_a_record_has_all_buckets_or_none(make: Make) -> None:
    """Sums of fewer buckets fit their bytes, but the request would read past them."""
    case = make(SERVED["sdim"], counters=())
    request, blob = one_request(case)
    model = case.run.model
    width, all_rows = model.features.width, int(np.frombuffer(blob, "<i4", 1, 12)[0])
    for rows in (0, 1, all_rows - 1, all_rows, all_rows + 1, 2 * all_rows):
        shorter = np.array([0, 0, 9, rows], "<i4").tobytes() + bytes(4 * rows * width) + bytes(8)
        said = status_of(case.native(), asked_of(case, request, shorter))
        assert (BAD_RECORD in said) == (rows not in (0, all_rows)), (rows, said)


@pytest.mark.parametrize("served", [*SUMS, *SEARCHED])
def test_records_of_searched_methods_are_not_supported(make: Make, served: str) -> None:
    case = make((SUMS | SEARCHED)[served])
    request, blob = one_request(case)
    for record in (blob, None):
        with pytest.raises(UnsupportedError):
            case.native().record_logits(asked_of(case, request, record))


def test_a_counter_of_a_field_that_the_model_lacks_is_not_supported(make: Make) -> None:
    case = make(SERVED["lrea"])
    request, blob = one_request(case)
    file = bytearray(write_model(case.run.model))
    entry = file.index(b"record\0")
    place = int.from_bytes(file[entry + 104 : entry + 112], "little")
    file[place + 8 : place + 16] = (-1).to_bytes(8, "little", signed=True)
    with pytest.raises(UnsupportedError):
        NativeModel(bytes(file)).record_logits(asked_of(case, request, blob))


def test_impossible_requests_are_refused(make: Make) -> None:
    case = make(SERVED["lrea"])
    request, blob = one_request(case)
    asked, native = asked_of(case, request, blob), case.native()
    for newer in (-1, asked.short_ids.shape[1] + 1):
        assert "BAD" not in status_of(native, replace(asked, newer=newer))
        assert status_of(native, replace(asked, newer=newer)) != ""
    with pytest.raises(NativeError):
        native.record_logits(replace(asked, candidate_ids=np.full_like(asked.candidate_ids, -1)))
