"""The store on disk: every record is found by its key in any shard, and no damage is served."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lrea_cli.errors import UserError
from lrea_cli.records import store as store_module
from lrea_cli.records.format import DamagedRecord, RecordFormat
from lrea_cli.records.past import NO_VALUE, Past, UserRecords
from lrea_cli.records.store import INDEX, RecordStore, RecordWriter
from lrea_cli.sequence import PseudoItems, RecordField, _mapped

D = 2
FIELDS = (RecordField("keys", (D,), "rows"), RecordField("values", (D,), "rows"))
LAYOUT = RecordFormat(FIELDS, "float32", ("category",))


def records_of(rows: list[int], seed: int = 0) -> UserRecords:
    """A batch of records with the given rows, and as many counted values."""
    generator = torch.Generator().manual_seed(seed)
    most = max(1, *rows)
    used = torch.arange(most) < torch.tensor(rows)[:, None]
    keys, values = (torch.randn(len(rows), most, D, generator=generator) * used[..., None] for _ in range(2))
    counts = (torch.randint(1, 9, used.shape, generator=generator) * used).int()
    seen = torch.arange(2, most + 2).expand(used.shape).int().where(used, NO_VALUE)
    past = Past(10 * torch.tensor(rows), {"category": seen}, {"category": counts})
    return UserRecords(PseudoItems(keys, values, rows=torch.tensor(rows)), past)


def size_of(rows: int) -> int:
    return LAYOUT.bytes_of({"rows": rows, "category_values": rows})


def part_of(records: UserRecords, part: slice | list[int]) -> UserRecords:
    return _mapped(records, lambda tensor: tensor[part])


def write(folder: Path, keys: list[int], rows: list[int]) -> UserRecords:
    records = records_of(rows)
    with RecordWriter(folder, LAYOUT) as writer:
        middle = len(keys) // 2
        for part in (slice(0, middle), slice(middle, None)):
            writer.add(keys[part], part_of(records, part))
    return records


def assert_same(found: UserRecords, written: UserRecords, positions: list[int]) -> None:
    """Equal rows, counters, lengths and padding, whatever the width."""
    expected = part_of(written, positions)
    assert isinstance(found.summary, PseudoItems)
    assert isinstance(expected.summary, PseudoItems)
    width = found.summary.keys.shape[1]
    assert torch.equal(found.summary.rows, expected.summary.rows)
    assert torch.equal(found.past.length, expected.past.length)
    for a, b, fill in (
        (found.summary.keys, expected.summary.keys, 0),
        (found.summary.values, expected.summary.values, 0),
        (found.past.values["category"], expected.past.values["category"], NO_VALUE),
        (found.past.counts["category"], expected.past.counts["category"], 0),
    ):
        assert torch.equal(a, b[:, :width])
        assert (b[:, width:] == fill).all()


@given(data=st.data(), keys=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=8, unique=True))
def test_any_batch_of_keys_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, keys: list[int]
) -> None:
    rows = data.draw(st.lists(st.integers(0, 5), min_size=len(keys), max_size=len(keys)))
    positions = data.draw(st.lists(st.integers(0, len(keys) - 1), min_size=1, max_size=9))
    folder = tmp_path_factory.mktemp("store")
    records = write(folder, keys, rows)
    with RecordStore(folder, LAYOUT, PseudoItems) as store:
        assert len(store.keys) == len(keys)
        found = store.fetch([keys[p] for p in positions])
        assert_same(found, records, positions)


def test_the_index_is_sorted_by_key(tmp_path: Path) -> None:
    write(tmp_path, [9, 2, 40, -3], [1, 2, 3, 0])
    assert np.load(tmp_path / INDEX)["key"].tolist() == [-3, 2, 9, 40]


@pytest.mark.parametrize("size", [1, 64, 100, 200])
def test_many_shards_hold_what_one_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(store_module, "SHARD_BYTES", size)
    keys, rows = list(range(12, 0, -1)), [0, 3, 1, 2, 5, 4, 0, 1, 2, 3, 4, 5]
    records = write(tmp_path, keys, rows)
    shards = sorted(tmp_path.glob("records-*.bin"))
    assert len(shards) > 3
    largest = size_of(max(rows))
    assert all(p.stat().st_size <= max(size, largest) for p in shards)
    with RecordStore(tmp_path, LAYOUT, PseudoItems) as store:
        found = store.fetch(keys)
        assert_same(found, records, list(range(12)))


@pytest.mark.parametrize("key", [-1, 3, 5, 100])
def test_a_missing_key_is_the_users_mistake(tmp_path: Path, key: int) -> None:
    write(tmp_path, [2, 4, 6], [1, 1, 1])
    with RecordStore(tmp_path, LAYOUT, PseudoItems) as store:
        with pytest.raises(UserError, match=f"no record of {key}") as caught:
            store.read(key)
        assert "lrea compress" in caught.value.remedy


def test_damage_on_disk_names_the_shard_and_leaves_the_others_readable(tmp_path: Path) -> None:
    write(tmp_path, [1, 2, 3], [2, 2, 2])
    shard = tmp_path / "records-00000.bin"
    blob = bytearray(shard.read_bytes())
    blob[size_of(2) + 20] ^= 4
    shard.write_bytes(blob)
    with RecordStore(tmp_path, LAYOUT, PseudoItems, "lrea compress --run one") as store:
        with pytest.raises(DamagedRecord, match=r"records-00000\.bin") as caught:
            store.fetch([1, 2])
        assert caught.value.remedy == "lrea compress --run one"
        store.fetch([1, 3])


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b[:-9], lambda b: b + b"\0", lambda b: b""])
def test_a_shard_of_another_size_is_refused_when_the_store_is_opened(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    write(tmp_path, [1, 2], [2, 2])
    shard = tmp_path / "records-00000.bin"
    whole = shard.read_bytes()
    shard.write_bytes(change(whole))
    with pytest.raises(DamagedRecord, match=rf"{len(whole)} were written") as caught:
        RecordStore(tmp_path, LAYOUT, PseudoItems, "lrea compress --run one")
    assert caught.value.remedy == "lrea compress --run one"


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_shard_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: int) -> None:
    monkeypatch.setattr(store_module, "SHARD_BYTES", 1)
    write(tmp_path, [1, 2], [2, 2])
    (tmp_path / f"records-0000{lost}.bin").unlink()
    with pytest.raises(DamagedRecord, match=f"records-0000{lost}.bin cannot be read"):
        RecordStore(tmp_path, LAYOUT, PseudoItems)


def test_a_record_of_another_cache_is_refused_though_its_own_checksum_is_right(tmp_path: Path) -> None:
    """Of the same key and size, so that the index alone can tell."""
    for seed, name in enumerate(("mine", "other")):
        (tmp_path / name).mkdir()
        with RecordWriter(tmp_path / name, LAYOUT) as writer:
            writer.add([1, 2], records_of([2, 2], seed))
    size = size_of(2)
    shard = tmp_path / "mine" / "records-00000.bin"
    shard.write_bytes(shard.read_bytes()[:size] + (tmp_path / "other" / "records-00000.bin").read_bytes()[size:])
    with RecordStore(tmp_path / "mine", LAYOUT, PseudoItems) as store:
        store.read(1)
        with pytest.raises(DamagedRecord, match="the record of 2 was changed after it was written"):
            store.read(2)


def test_records_that_changed_places_between_shards_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "SHARD_BYTES", 1)
    write(tmp_path, [1, 2], [2, 2])
    first, second = (tmp_path / f"records-0000{n}.bin" for n in (0, 1))
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    with RecordStore(tmp_path, LAYOUT, PseudoItems) as store, pytest.raises(DamagedRecord):
        store.read(1)


def test_a_writer_that_fails_leaves_no_index(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), RecordWriter(tmp_path, LAYOUT) as writer:  # noqa: PT012
        writer.add([1], records_of([2]))
        raise RuntimeError
    assert not (tmp_path / INDEX).exists()
