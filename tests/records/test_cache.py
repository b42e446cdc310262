"""Caches: the records of the users asked for, as known at one instant, of this version of the run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lrea_cli.bench.expected import reference_model, twin_of
from lrea_cli.console.progress import Silent
from lrea_cli.dataset.histories import Histories, open_histories
from lrea_cli.errors import LreaError, UserError
from lrea_cli.oracle.model import Long, as_int8
from lrea_cli.recipe.settings import CACHE_DTYPES, METHOD_NAMES, CacheDtype
from lrea_cli.records.cache import CacheSettings, compress, dense_users, find_cache, open_cache
from lrea_cli.records.format import DamagedRecord, RecordFormat
from lrea_cli.records.manifest import CACHES, CacheManifest
from lrea_cli.records.past import Past, UserRecords
from lrea_cli.records.store import INDEX
from lrea_cli.runs.checkpoint import Run, open_run
from lrea_cli.sequence import HistoryIds, PseudoItems
from lrea_cli.workspace.claims import FINISHED
from lrea_cli.workspace.home import Artifact, Workspace
from tests.changed import change_json

CPU = torch.device("cpu")


def make(
    workspace: Workspace,
    run: Run,
    name: str = "cache",
    dtype: CacheDtype = "float32",
    as_of: int | None = None,
    users: np.ndarray | None = None,
) -> CacheManifest:
    return compress(workspace, run, CacheSettings(dtype, as_of, users), Silent(), name)


def name_of(cache: Artifact | None) -> str | None:
    return None if cache is None else cache.name


def known_long(run: Run, histories: Histories, user: int, as_of: int) -> np.ndarray:
    """(n, D) float64: the long part of what `user` did strictly before `as_of`, newest first, by a loop."""
    ref, settings = reference_model(run), run.recipe.data
    start, end = int(histories.offsets[user]), int(histories.offsets[user + 1])
    places = [p for p in range(start, end) if histories.time[p] < as_of][::-1]
    places = places[settings.short : settings.short + settings.long]
    rows = [ref.vector({f: int(c[p]) for f, c in histories.columns.items()}, ref.item_fields) for p in places]
    return np.array(rows).reshape(len(rows), run.model.features.width)


def moment(histories: Histories, length: int) -> tuple[int, int]:
    """A user, and the first instant at which exactly so many behaviors of that user are known."""
    for user in range(histories.users):
        times = histories.time[histories.offsets[user] : histories.offsets[user + 1]]
        if len(times) > length and times[length] > times[length - 1]:
            return user, int(times[length - 1]) + 1
    pytest.fail(f"no user with {length} behaviors")


def rewritten(workspace: Workspace, run: Run, seed: int) -> Run:
    """The run as trained anew under its name: only its manifest changes."""
    change_json(run.artifact.path / "run.json", note=seed)
    return open_run(workspace, run.name, None, CPU)


@pytest.fixture
def own_run(workspace_copy: Workspace) -> Run:
    """`tiny-lrea` in a workspace that may be changed."""
    return open_run(workspace_copy, "tiny-lrea", None, CPU)


def test_every_user_has_a_record(lrea_run: Run, tmp_path: Path) -> None:
    info = make(Workspace(tmp_path), lrea_run)
    cache = open_cache(Workspace(tmp_path), lrea_run, "cache")
    assert cache.store.keys.tolist() == list(range(lrea_run.dataset.manifest.users))
    rows = [cache.store.read(int(k)).rows for k in cache.store.keys]
    assert (info.run, info.cache, info.users, info.rank) == ("tiny-lrea", "cache", len(rows), max(rows))
    shards = sum(p.stat().st_size for p in cache.artifact.path.glob("records-*.bin"))
    assert info.bytes_per_user == cache.manifest.bytes_per_user == shards / len(rows)
    assert shards == sum(cache.store.layout.bytes_of(cache.store.read(int(k)).sizes) for k in cache.store.keys)
    assert (cache.manifest.as_of, cache.manifest.dtype) == (lrea_run.dataset.manifest.splits.end, "float32")
    assert cache.manifest.ms_per_user == info.ms_per_user


def kept_of(run: Run, E: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keys and values of the slow twin."""
    record = twin_of(run, reference_model(run), None).record(Long(E, np.zeros(len(E), np.int64)), 0)
    return record["keys"], record["values"]


@pytest.mark.parametrize("dtype", CACHE_DTYPES)
def test_records_are_those_of_a_loop_over_raw_histories(
    lrea_run: Run, din_run: Run, tmp_path: Path, dtype: CacheDtype
) -> None:
    for run in (lrea_run, din_run):
        histories = open_histories(run.dataset)
        make(Workspace(tmp_path), run, run.name, dtype)
        store = open_cache(Workspace(tmp_path), run, run.name).store
        for user in (0, 5, 7, 66, 149):
            E = known_long(run, histories, user, run.dataset.manifest.splits.end)
            keys, values = kept_of(run, E)
            found, rows = store.fetch([user]).summary, store.read(user).rows
            assert isinstance(found, PseudoItems)
            assert rows == len(keys)
            for kept, exact in ((found.keys, keys), (found.values, values)):
                stored = kept[0, :rows].double().numpy()
                expected = as_int8(exact, stored) if dtype == "int8" else exact.astype("float32").astype(dtype)
                np.testing.assert_allclose(stored, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("known", [5, 6, 7])
def test_a_history_as_long_as_the_rank_is_kept_and_a_longer_one_mixed(make_run, tmp_path: Path, known: int) -> None:
    """`short_histories="exact"` on both sides of its limit, rank = 6."""
    run = make_run(method="lrea", short_histories="exact")
    histories = open_histories(run.dataset)
    user, as_of = moment(histories, 8 + known)
    make(Workspace(tmp_path), run, as_of=as_of, users=np.array([user]))
    E = known_long(run, histories, user, as_of)
    assert len(E) == known
    keys, values = kept_of(run, E)
    found = open_cache(Workspace(tmp_path), run, "cache").store.read(user).arrays
    assert found["keys"].shape == keys.shape == (min(known, 6), 8)
    assert (found["keys"].tobytes() == E.astype(np.float32).tobytes()) == (known <= 6)
    np.testing.assert_allclose(found["keys"], keys, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found["values"], values, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_what_stands_at_masked_positions_reaches_no_record(make_run, method: str) -> None:
    """Ids and times; the second history is empty."""
    mask, model = torch.tensor([[True, True, False, False], [False] * 4]), make_run(method=method).model
    layout, found = RecordFormat(model.long.record, "float32"), []
    nothing = Past(torch.zeros(2, dtype=torch.int64), {}, {})
    for garbage in (0, 9):
        ids = {f.name: torch.where(mask, 5, garbage) for f in model.features.item_fields}
        time = torch.where(mask, 1_600_000_000, garbage)
        summary = model.long.summarize(model.features.behaviors(HistoryIds(ids, mask, time)))
        rows, sealed = summary.rows.tolist(), UserRecords(model.long.seal(summary, "float32"), nothing)
        found.append([layout.pack(user, record) for user, record in enumerate(layout.records_of(sealed))])
    assert found[0] == found[1]
    assert rows[1] == 0


def test_what_happens_at_as_of_is_not_known_yet(din_run: Run, tmp_path: Path) -> None:
    histories = open_histories(din_run.dataset)
    user = int(np.argmax(np.diff(histories.offsets)))
    end = int(histories.offsets[user + 1])
    place = next(p for p in range(end - 30, end) if histories.time[p] > histories.time[p - 1])
    for name, as_of in (("at", int(histories.time[place])), ("after", int(histories.time[place]) + 1)):
        make(Workspace(tmp_path), din_run, name, as_of=as_of, users=np.array([user]))
        expected = known_long(din_run, histories, user, as_of)
        found = open_cache(Workspace(tmp_path), din_run, name)
        assert found.manifest.as_of == as_of
        np.testing.assert_array_equal(found.store.read(user).arrays["keys"], expected.astype(np.float32))
    assert (
        open_cache(Workspace(tmp_path), din_run, "at").store.read(user).arrays["keys"].tobytes()
        != open_cache(Workspace(tmp_path), din_run, "after").store.read(user).arrays["keys"].tobytes()
    )


def test_before_the_first_behavior_all_records_are_empty(din_run: Run, tmp_path: Path) -> None:
    info = make(Workspace(tmp_path), din_run, as_of=0)
    store = open_cache(Workspace(tmp_path), din_run, "cache").store
    records = store.fetch(np.arange(din_run.dataset.manifest.users))
    summary, past = records.summary, records.past
    assert not past.length.any()
    assert din_run.model.match_counters
    assert not any(counts.any() for counts in past.counts.values())
    assert info.rank == 0
    assert isinstance(summary, PseudoItems)
    assert not summary.rows.any()
    assert summary.linear is not None
    assert not summary.linear.any()


def test_a_subset_of_users_gets_records_each_once(lrea_run: Run, tmp_path: Path) -> None:
    everyone, few = Workspace(tmp_path / "all"), Workspace(tmp_path / "few")
    make(everyone, lrea_run)
    assert make(few, lrea_run, users=np.array([9, 3, 9, 140])).users == 3
    store, whole = open_cache(few, lrea_run, "cache").store, open_cache(everyone, lrea_run, "cache").store
    assert store.keys.tolist() == [3, 9, 140]
    for user in (3, 9, 140):
        record, twin = store.read(user), whole.read(user)
        assert (record.length, record.sizes) == (twin.length, twin.sizes)
        for name, array in record.arrays.items():
            # another batch, another order of sums
            np.testing.assert_allclose(array, twin.arrays[name], rtol=1e-6, atol=1e-8)
    with pytest.raises(UserError):
        store.read(4)
    with pytest.raises(LreaError, match="no users"):
        make(few, lrea_run, "none", users=np.array([], np.int64))
    assert [a.name for a in few.all(CACHES)] == ["cache"]


def test_the_same_users_give_the_same_bytes(lrea_run: Run, tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        make(Workspace(tmp_path), lrea_run, name)
        folder = open_cache(Workspace(tmp_path), lrea_run, name).artifact.path
        found.append([p.read_bytes() for p in sorted(folder.glob("*")) if p.name not in ("cache.json", FINISHED)])
    assert found[0] == found[1]


def test_a_value_that_float16_cannot_hold_leaves_no_cache(make_run, tmp_path: Path) -> None:
    run = make_run(method="din")
    with torch.no_grad():
        run.model.features.tables["field:item"].weight.mul_(1e6)
    with pytest.raises(LreaError, match="does not fit float16") as caught:
        make(Workspace(tmp_path), run, dtype="float16")
    assert "--dtype float32" in caught.value.remedy
    assert list((tmp_path / "caches").iterdir()) == []


def test_a_taken_name_is_refused(lrea_run: Run, tmp_path: Path) -> None:
    make(Workspace(tmp_path), lrea_run)
    with pytest.raises(UserError, match="exists already"):
        make(Workspace(tmp_path), lrea_run)


def test_a_cache_of_an_older_run_is_refused_and_not_found(own_run: Run, workspace_copy: Workspace) -> None:
    make(workspace_copy, own_run, "old")
    assert name_of(find_cache(workspace_copy, own_run)) == "old"
    anew = rewritten(workspace_copy, own_run, 1)
    assert find_cache(workspace_copy, anew) is None
    for name in ("old", None):
        with pytest.raises(UserError, match="another version of the run 'tiny-lrea'") as caught:
            open_cache(workspace_copy, anew, name)
        assert "lrea compress" in caught.value.remedy
    make(workspace_copy, anew, "new")
    assert name_of(find_cache(workspace_copy, anew)) == "new"
    assert open_cache(workspace_copy, anew, None).artifact.name == "new"


def test_a_run_of_another_dataset_version_or_with_a_damaged_checkpoint_is_refused(
    own_run: Run, workspace_copy: Workspace
) -> None:
    manifest = own_run.dataset.files.folder / "data.json"
    before = manifest.read_text()
    change_json(manifest, note="prepared anew")
    with pytest.raises(UserError, match="another version of the dataset 'synthetic'") as caught:
        open_run(workspace_copy, "tiny-lrea", None, CPU)
    assert "lrea train" in caught.value.remedy
    manifest.write_text(before)
    open_run(workspace_copy, "tiny-lrea", None, CPU)
    blob = bytearray(own_run.checkpoint.read_bytes())
    blob[-1] ^= 1
    own_run.checkpoint.write_bytes(blob)
    with pytest.raises(UserError, match=r"model\.safetensors is damaged or was changed"):
        open_run(workspace_copy, "tiny-lrea", None, CPU)


def test_the_latest_cache_is_found(own_run: Run, workspace_copy: Workspace) -> None:
    for name in ("b", "a"):
        make(workspace_copy, own_run, name)
        assert name_of(find_cache(workspace_copy, own_run)) == name
        assert open_cache(workspace_copy, own_run, None).artifact.name == name


def test_a_cache_of_another_run_is_refused(lrea_run: Run, din_run: Run, tmp_path: Path) -> None:
    make(Workspace(tmp_path), din_run)
    with pytest.raises(UserError, match="is of the run 'tiny-din', not of 'tiny-lrea'"):
        open_cache(Workspace(tmp_path), lrea_run, "cache")
    assert find_cache(Workspace(tmp_path), lrea_run) is None
    with pytest.raises(UserError, match="no cache of run 'tiny-lrea'"):
        open_cache(Workspace(tmp_path), lrea_run, None)


def test_a_damaged_index_is_refused(lrea_run: Run, tmp_path: Path) -> None:
    make(Workspace(tmp_path), lrea_run)
    file = tmp_path / "caches" / "cache" / INDEX
    blob = bytearray(file.read_bytes())
    blob[-1] ^= 1
    file.write_bytes(blob)
    with pytest.raises(UserError, match=r"index\.npy is damaged or was changed") as caught:
        open_cache(Workspace(tmp_path), lrea_run, "cache")
    assert "lrea compress" in caught.value.remedy


def test_a_damaged_record_is_refused_when_it_is_read(lrea_run: Run, tmp_path: Path) -> None:
    make(Workspace(tmp_path), lrea_run)
    file = tmp_path / "caches" / "cache" / "records-00000.bin"
    blob = bytearray(file.read_bytes())
    blob[len(blob) // 2] ^= 1
    file.write_bytes(blob)
    store = open_cache(Workspace(tmp_path), lrea_run, "cache").store
    with pytest.raises(DamagedRecord):
        store.fetch(store.keys)


def test_raw_user_ids_are_found_in_the_vocabulary(lrea_run: Run) -> None:
    import pyarrow.parquet as pq

    dataset = lrea_run.dataset
    table = pq.read_table(dataset.files.folder / "vocab" / "user.parquet").to_pylist()
    wanted = [table[9], table[2]]
    found = dense_users(dataset, [str(row["value"]) for row in wanted])
    assert found.tolist() == [row["user"] for row in wanted]
    with pytest.raises(UserError, match=r"The dataset lacks 2 users: 'nobody', \.\."):
        dense_users(dataset, ["nobody", str(table[0]["value"]), "no one"])


def test_the_checkpoint_of_another_seed_gives_other_records(make_run, tmp_path: Path) -> None:
    """Records come from the run's weights: nothing of another model is left in them."""
    run = make_run(method="din")
    other = make_run(method="din")
    with torch.no_grad():
        other.model.features.tables["field:category"].weight.add_(1.0)
    found = []
    for number, each in enumerate((run, replace(run, model=other.model))):
        make(Workspace(tmp_path), each, f"cache-{number}", users=np.array([0]))
        found.append(open_cache(Workspace(tmp_path), each, f"cache-{number}").store.read(0).arrays["keys"])
    assert np.abs(found[0] - found[1]).max() > 0.5
