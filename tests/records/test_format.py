"""The bytes of one record: what is written is read back, and nothing else ever is."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lrea_cli.errors import LreaError
from lrea_cli.int8 import rounded_to
from lrea_cli.recipe.settings import CACHE_DTYPES, CacheDtype
from lrea_cli.records.format import CHECKSUM, DamagedRecord, Record, RecordFormat
from lrea_cli.records.past import NO_VALUE, Past, UserRecords
from lrea_cli.sequence import Empty, PseudoItems, RecordField

D, R, M = 3, 4, 3
FIELDS = (
    RecordField("keys", (D,), "rows"),
    RecordField("values", (D,), "rows"),
    RecordField("linear", (D,), D + 1, "wide"),
)
COUNTERS = ("category", "item")
KEYS = st.integers(-(2**63), 2**63 - 1)
SIZES = st.fixed_dictionaries(
    {"rows": st.integers(0, R), "category_values": st.integers(0, M), "item_values": st.integers(0, M)}
)
FIT_ALL = st.floats(-60_000, 60_000, width=16)

every_dtype = pytest.mark.parametrize("dtype", CACHE_DTYPES)


def sizes_of(rows: int, categories: int = 2, items: int = 1) -> dict[str, int]:
    return {"rows": rows, "category_values": categories, "item_values": items}


def example(layout: RecordFormat, sizes: dict[str, int], seed: int = 0) -> Record:
    """A record with more rows in its arrays than are in use, where their number is not fixed."""
    rng, found = np.random.default_rng(seed), {}
    for column in layout.columns:
        most = column.rows if isinstance(column.rows, int) else max(R, M)
        numbers = 9 * rng.normal(size=(most, *column.shape))
        found[column.name] = (np.abs(numbers) + 1 if column.dtype == "int32" else numbers).astype(column.dtype)
    return Record(int(rng.integers(2**31)), sizes, found)


def with_row(record: Record, column: str, value: float) -> Record:
    """The second row of a column ends with another number."""
    array = record.arrays[column].copy()
    array[1, ..., -1] = value
    return replace(record, arrays={**record.arrays, column: array})


@every_dtype
@given(key=KEYS, sizes=SIZES, seed=st.integers(0, 99))
def test_what_is_packed_is_unpacked(dtype: CacheDtype, key: int, sizes: dict[str, int], seed: int) -> None:
    layout = RecordFormat(FIELDS, dtype, COUNTERS)
    written = example(layout, sizes, seed)
    blob = layout.pack(key, written)
    assert len(blob) == layout.bytes_of(sizes)
    found = layout.unpack(blob, key, "here")
    assert (found.length, found.sizes, found.rows) == (written.length, sizes, sizes["rows"])
    assert list(found.arrays) == [c.name for c in layout.columns]
    for column in layout.columns:
        array, twin = found.arrays[column.name], written.arrays[column.name][: column.count(sizes)]
        assert (array.dtype, array.shape) == (twin.dtype, twin.shape)
        assert array.tobytes() == twin.tobytes()
    assert layout.pack(key, found) == blob


@every_dtype
@given(data=st.data())
def test_a_record_that_was_read_is_written_as_the_same_bytes(dtype: CacheDtype, data: st.DataObject) -> None:
    """Sealed, written, read, sealed and written again."""
    layout = RecordFormat(FIELDS, dtype, COUNTERS)
    rows = data.draw(st.integers(0, R))
    numbers = [torch.from_numpy(data.draw(arrays("float32", (1, n, D), elements=FIT_ALL))) for n in (R, R, D + 1)]
    values = torch.tensor([[2, 9, NO_VALUE]], dtype=torch.int32)
    counts = torch.tensor([[4, 1, 0]], dtype=torch.int32)
    past = Past(torch.tensor([7]), dict.fromkeys(COUNTERS, values), dict.fromkeys(COUNTERS, counts))

    def sealed(keys: torch.Tensor, values: torch.Tensor, linear: torch.Tensor, past: Past) -> UserRecords:
        parts = zip(FIELDS, (keys, values, linear), strict=True)
        kept = {f.name: rounded_to(f.stored(dtype), tensor) for f, tensor in parts}
        return UserRecords(PseudoItems(**kept, rows=torch.tensor([rows])), past)

    (written,) = layout.records_of(sealed(*numbers, past))
    blob = layout.pack(3, written)
    read = layout.users(layout.stacked([layout.unpack(blob, 3, "here")]), PseudoItems)
    assert isinstance(read.summary, PseudoItems)
    assert read.summary.linear is not None
    (again,) = layout.records_of(sealed(read.summary.keys, read.summary.values, read.summary.linear, read.past))
    assert layout.pack(3, again) == blob
    assert read.past.values["item"].tolist() == [[2, 9]]
    assert read.past.counts["item"].tolist() == [[4, 1]]


@every_dtype
def test_layout_survives_its_manifest(dtype: CacheDtype) -> None:
    for counters in ((), COUNTERS):
        layout = RecordFormat(FIELDS, dtype, counters)
        assert RecordFormat.from_dict(layout.to_dict()) == layout


def test_size_counts_header_aligned_columns_and_checksum() -> None:
    assert RecordFormat(FIELDS, "float32").bytes_of({"rows": 2}) == 16 + 24 + 24 + 48 + 8
    assert RecordFormat(FIELDS, "float16").bytes_of({"rows": 1}) == 16 + 8 + 8 + 48 + 8
    assert RecordFormat(FIELDS, "int8").bytes_of({"rows": 3}) == 16 + 2 * (16 + 8) + (16 + 8) + 8
    assert RecordFormat((), "float32").bytes_of({"rows": 0}) == 16 + 8
    counted = RecordFormat(FIELDS, "float32", ("category",))
    assert counted.bytes_of({"rows": 2, "category_values": 3}) == 24 + 24 + 24 + 48 + 16 + 16 + 8
    assert RecordFormat((), "float32", COUNTERS).bytes_of(sizes_of(0, 0, 2)) == 24 + 0 + 0 + 8 + 8 + 8


def test_the_head_is_key_length_and_sizes_in_little_endian() -> None:
    layout = RecordFormat(FIELDS, "int8", COUNTERS)
    written = example(layout, sizes_of(4, 3, 2))
    assert struct.unpack_from("<qiiii", layout.pack(-5, written)) == (-5, written.length, 4, 3, 2)


@every_dtype
def test_a_flipped_bit_anywhere_is_refused(dtype: CacheDtype) -> None:
    layout = RecordFormat(FIELDS, dtype, COUNTERS)
    blob = layout.pack(7, example(layout, sizes_of(2)))
    for bit in range(8 * len(blob)):
        damaged = bytearray(blob)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamagedRecord, match="shard 3"):
            layout.unpack(bytes(damaged), 7, "shard 3")


@every_dtype
def test_a_record_cut_or_grown_is_refused(dtype: CacheDtype) -> None:
    layout = RecordFormat(FIELDS, dtype, COUNTERS)
    blob = layout.pack(7, example(layout, sizes_of(2)))
    for wrong in [*(blob[:size] for size in range(len(blob))), blob + b"\0", blob + blob]:
        with pytest.raises(DamagedRecord):
            layout.unpack(wrong, 7, "here")


@given(key=KEYS, other=KEYS)
def test_another_key_is_refused(key: int, other: int) -> None:
    layout = RecordFormat(FIELDS, "float32", COUNTERS)
    blob = layout.pack(key, example(layout, sizes_of(1)))
    if key != other:
        with pytest.raises(DamagedRecord, match=f"record of {key}, not of {other}") as caught:
            layout.unpack(blob, other, "here", "lrea compress --run one")
        assert caught.value.remedy == "lrea compress --run one"


@pytest.mark.parametrize("place", [12, 16, 20], ids=["rows", "categories", "items"])
@pytest.mark.parametrize("size", [0, 9, 2**30, -9])
def test_sizes_that_do_not_fit_the_bytes_are_refused_though_the_checksum_is_right(place: int, size: int) -> None:
    layout = RecordFormat(FIELDS, "float32", COUNTERS)
    body = bytearray(layout.pack(7, example(layout, sizes_of(4, 4, 4)))[: -CHECKSUM.size])
    struct.pack_into("<i", body, place, size)
    with pytest.raises(DamagedRecord):
        layout.unpack(bytes(body) + CHECKSUM.pack(xxhash.xxh3_64_intdigest(body)), 7, "here")


@pytest.mark.parametrize("sealed", [True, False])
def test_overflow_in_float16_is_refused_with_a_remedy(sealed: bool) -> None:
    layout = RecordFormat(FIELDS, "float16")
    record = example(layout, {"rows": 2})
    wide = {name: a.astype("float32") for name, a in record.arrays.items()}
    written = with_row(replace(record, arrays=wide), "values", 70_000.0)
    if sealed:
        halves = {name: torch.from_numpy(a).half().numpy() for name, a in written.arrays.items()}
        written = replace(written, arrays=halves)
    with pytest.raises(LreaError, match="'values' of record 7 does not fit float16") as caught:
        layout.pack(7, written)
    assert "--dtype float32" in caught.value.remedy
    layout.pack(7, replace(written, sizes={"rows": 1}))  # the row is not in use


@pytest.mark.parametrize("largest", [1e7, 3e38, float("inf"), float("nan")])
@pytest.mark.parametrize("field", [f.name for f in FIELDS])
def test_a_row_that_int8_cannot_hold_is_refused_with_a_remedy(largest: float, field: str) -> None:
    """127 times the largest float16 is 8.3 million."""
    layout = RecordFormat(FIELDS, "int8")
    items = {"keys": torch.ones(1, 2, D), "values": torch.ones(1, 2, D), "linear": torch.ones(1, D + 1, D)}
    for written in (8e6, largest):
        items[field][0, 1, 2] = written
        kept = {name: rounded_to("int8", tensor) for name, tensor in items.items()}
        nothing = Past(torch.tensor([7]), {}, {})
        (record,) = layout.records_of(UserRecords(PseudoItems(**kept, rows=torch.tensor([2])), nothing))
        if written == 8e6:
            layout.pack(7, record)
    with pytest.raises(LreaError, match=rf"'{field}\w*' of record 7 does not fit int8") as caught:
        layout.pack(7, record)
    assert "--dtype float32" in caught.value.remedy


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    layout = RecordFormat(FIELDS, "float32")
    with pytest.raises(LreaError, match="'linear'"):
        layout.pack(7, with_row(example(layout, {"rows": 2}), "linear", bad))


def test_fields_of_fixed_rows_are_whole_in_every_record_and_wide_ones_keep_float32_beside_float16() -> None:
    layout = RecordFormat(FIELDS, "float16")
    written = example(layout, {"rows": 0})
    record = layout.unpack(layout.pack(1, written), 1, "here")
    assert [a.shape for a in record.arrays.values()] == [(0, D), (0, D), (D + 1, D)]
    assert [a.dtype for a in record.arrays.values()] == [np.float16, np.float16, np.float32]
    np.testing.assert_array_equal(record.arrays["linear"], written.arrays["linear"])


def test_an_int8_field_is_followed_by_its_scales() -> None:
    columns = RecordFormat(FIELDS, "int8").columns
    assert [(c.name, c.dtype) for c in columns[::2]] == [("keys", "int8"), ("values", "int8"), ("linear", "int8")]
    assert [(c.name, c.dtype, c.shape) for c in columns[1::2]] == [
        (f"{name}_scale", "float16", ()) for name in ("keys", "values", "linear")
    ]
    assert [c.rows for c in columns] == ["rows"] * 4 + [D + 1] * 2


def test_an_empty_record_is_a_head_and_a_checksum() -> None:
    layout = RecordFormat((), "float16")
    record = layout.unpack(layout.pack(5, Record(3, {"rows": 0}, {})), 5, "here")
    assert record == Record(3, {"rows": 0}, {})
    users = layout.users(layout.stacked([record, record]), Empty)
    assert isinstance(users.summary, Empty)
    assert users.summary.rows.tolist() == [0, 0]
    assert users.past.length.tolist() == [3, 3]


@every_dtype
def test_the_record_of_nobody_is_one_of_no_rows(dtype: CacheDtype) -> None:
    layout = RecordFormat(FIELDS, dtype, COUNTERS)
    users = layout.users(layout.stacked([layout.unpack(layout.pack(1, layout.empty()), 1, "here")]), PseudoItems)
    assert (users.summary.rows.tolist(), users.past.length.tolist()) == ([0], [0])
    assert not any(counts.any() for counts in users.past.counts.values())
    assert isinstance(users.summary, PseudoItems)
    assert users.summary.linear is not None
    assert not users.summary.linear.any()


@every_dtype
def test_a_batch_of_ragged_records_is_filled_past_each_ones_rows(dtype: CacheDtype) -> None:
    layout = RecordFormat(FIELDS, dtype, COUNTERS)
    sizes = [sizes_of(2, 3, 0), sizes_of(0, 0, 1), sizes_of(R, 1, 2)]
    written = [example(layout, size, seed) for seed, size in enumerate(sizes)]
    records = [layout.unpack(layout.pack(k, record), k, "here") for k, record in enumerate(written)]
    users = layout.users(layout.stacked(records), PseudoItems)
    summary, past = users.summary, users.past
    assert isinstance(summary, PseudoItems)
    assert summary.linear is not None
    assert summary.rows.tolist() == [2, 0, R]
    assert past.length.tolist() == [record.length for record in written]
    assert (summary.keys.shape, past.values["category"].shape, past.values["item"].shape) == ((3, R, D), (3, 3), (3, 2))
    for position, record in enumerate(written):

        def exact(field: str, of: Record = record) -> np.ndarray:
            scale = of.arrays[f"{field}_scale"][:, None].astype("float32") if dtype == "int8" else 1
            return of.arrays[field].astype("float32") * scale

        rows = sizes[position]["rows"]
        for field, tensor in (("keys", summary.keys), ("values", summary.values)):
            np.testing.assert_array_equal(tensor[position, :rows], exact(field)[:rows])
            assert not tensor[position, rows:].any()
        np.testing.assert_array_equal(summary.linear[position], exact("linear"))
        for name in COUNTERS:
            used = sizes[position][f"{name}_values"]
            assert past.values[name][position, :used].tolist() == record.arrays[f"{name}_values"][:used].tolist()
            assert past.counts[name][position, :used].tolist() == record.arrays[f"{name}_counts"][:used].tolist()
            assert (past.values[name][position, used:] == NO_VALUE).all()
            assert not past.counts[name][position, used:].any()


@every_dtype
def test_a_batch_of_records_without_rows_is_one_zero_row_wide(dtype: CacheDtype) -> None:
    layout = RecordFormat(FIELDS, dtype, COUNTERS)
    record = layout.unpack(layout.pack(1, example(layout, sizes_of(0, 0, 0))), 1, "here")
    users = layout.users(layout.stacked([record]), PseudoItems)
    assert isinstance(users.summary, PseudoItems)
    assert users.summary.keys.shape == (1, 1, D)
    assert not users.summary.keys.any()
    assert users.past.values["item"].tolist() == [[NO_VALUE]]
