"""The bytes of one record: what is written is read back, and nothing else ever is."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
import torch
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lrea_cli.errors import LreaError
from lrea_cli.recipe.settings import CACHE_DTYPES
from lrea_cli.records.format import CHECKSUM, DamagedRecord, RecordFormat
from lrea_cli.sequence import Empty, PseudoItems, RecordField

D, R = 3, 4
FIELDS = (
    RecordField("keys", (D,), "rows"),
    RecordField("values", (D,), "rows"),
    RecordField("linear", (D,), D + 1, "float32"),
)
KEYS = st.integers(-(2**63), 2**63 - 1)
FIT_32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
FIT_BOTH = st.floats(-60_000, 60_000, width=16)

every_dtype = pytest.mark.parametrize("dtype", CACHE_DTYPES)


def example(layout: RecordFormat, rows: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = [((R if f.rows == "rows" else f.rows), *f.shape) for f in layout.fields]
    kinds = [layout.dtype if f.dtype == "cache" else "float32" for f in layout.fields]
    return [rng.normal(size=shape).astype(kind) for shape, kind in zip(shapes, kinds, strict=True)]


@every_dtype
@given(data=st.data(), key=KEYS, rows=st.integers(0, R))
def test_what_is_packed_is_unpacked(dtype: str, data: st.DataObject, key: int, rows: int) -> None:
    layout = RecordFormat(FIELDS, dtype)
    written = [
        data.draw(arrays(dtype, (R, D), elements=FIT_BOTH)),
        data.draw(arrays(dtype, (R, D), elements=FIT_BOTH)),
        data.draw(arrays("float32", (D + 1, D), elements=FIT_32)),
    ]
    blob = layout.pack(key, rows, written)
    assert len(blob) == layout.bytes_of(rows)
    found = layout.unpack(blob, key, "here")
    assert found.rows == rows
    expected = [written[0][:rows], written[1][:rows], written[2]]
    for array, twin in zip(found.arrays, expected, strict=True):
        assert (array.dtype, array.shape) == (twin.dtype, twin.shape)
        assert array.tobytes() == twin.tobytes()


@every_dtype
def test_layout_survives_its_manifest(dtype: str) -> None:
    layout = RecordFormat(FIELDS, dtype)
    assert RecordFormat.from_dict(layout.to_dict()) == layout


def test_size_counts_header_aligned_fields_and_checksum() -> None:
    assert RecordFormat(FIELDS, "float32").bytes_of(2) == 16 + 24 + 24 + 48 + 8
    assert RecordFormat(FIELDS, "float16").bytes_of(1) == 16 + 8 + 8 + 48 + 8
    assert RecordFormat((), "float32").bytes_of(0) == 16 + 8


@every_dtype
def test_a_flipped_bit_anywhere_is_refused(dtype: str) -> None:
    layout = RecordFormat(FIELDS, dtype)
    blob = layout.pack(7, 2, example(layout, 2))
    for bit in range(8 * len(blob)):
        damaged = bytearray(blob)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamagedRecord, match="shard 3"):
            layout.unpack(bytes(damaged), 7, "shard 3")


def test_a_record_cut_or_grown_is_refused() -> None:
    layout = RecordFormat(FIELDS, "float32")
    blob = layout.pack(7, 2, example(layout, 2))
    for wrong in [*(blob[:size] for size in range(len(blob))), blob + b"\0", blob + blob]:
        with pytest.raises(DamagedRecord):
            layout.unpack(wrong, 7, "here")


@given(key=KEYS, other=KEYS)
def test_another_key_is_refused(key: int, other: int) -> None:
    layout = RecordFormat(FIELDS, "float32")
    blob = layout.pack(key, 1, example(layout, 1))
    if key != other:
        with pytest.raises(DamagedRecord, match=f"record of {key}, not of {other}") as caught:
            layout.unpack(blob, other, "here", "lrea compress --run one")
        assert caught.value.remedy == "lrea compress --run one"


@pytest.mark.parametrize("rows", [0, 1, 3, -1])
def test_rows_that_do_not_fit_the_size_are_refused_though_the_checksum_is_right(rows: int) -> None:
    layout = RecordFormat(FIELDS, "float32")
    body = layout.pack(7, 2, example(layout, 2))[: -CHECKSUM.size]
    body = HEADER.pack(7, rows, 0) + body[HEADER.size :]
    with pytest.raises(DamagedRecord):
        layout.unpack(body + CHECKSUM.pack(xxhash.xxh3_64_intdigest(body)), 7, "here")


@pytest.mark.parametrize("sealed", [True, False])
def test_overflow_in_float16_is_refused_with_a_remedy(sealed: bool) -> None:
    layout = RecordFormat(FIELDS, "float16")
    written = [a.astype("float32") for a in example(layout, 2)]
    written[1][1, 2] = 70_000.0
    if sealed:
        written = [torch.from_numpy(a).half().numpy() for a in written]
    with pytest.raises(LreaError, match="'values' of record 7 does not fit float16") as caught:
        layout.pack(7, 2, written)
    assert "--dtype float32" in caught.value.remedy
    layout.pack(7, 1, written)  # the row is not in use


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    layout = RecordFormat(FIELDS, "float32")
    written = example(layout, 2)
    written[2][-1, 0] = bad
    with pytest.raises(LreaError, match="'linear'"):
        layout.pack(7, 2, written)


def test_fields_of_fixed_rows_are_whole_in_every_record_and_keep_float32() -> None:
    layout = RecordFormat(FIELDS, "float16")
    written = example(layout, 0)
    record = layout.unpack(layout.pack(1, 0, written), 1, "here")
    assert [a.shape for a in record.arrays] == [(0, D), (0, D), (D + 1, D)]
    assert [a.dtype for a in record.arrays] == [np.float16, np.float16, np.float32]
    np.testing.assert_array_equal(record.arrays[2], written[2])


def test_an_empty_record_is_a_header_and_a_checksum() -> None:
    layout = RecordFormat((), "float16")
    record = layout.unpack(layout.pack(5, 0, []), 5, "here")
    assert astuple(record) == (0, ())
    summary = layout.summary_of([record, record], Empty)
    assert isinstance(summary, Empty)
    assert summary.rows.tolist() == [0, 0]


@every_dtype
def test_a_batch_of_ragged_records_is_zero_past_each_ones_rows(dtype: str) -> None:
    layout = RecordFormat(FIELDS, dtype)
    sizes = (2, 0, R)
    written = [example(layout, rows, seed) for seed, rows in enumerate(sizes)]
    records = [layout.unpack(layout.pack(k, rows, written[k]), k, "here") for k, rows in enumerate(sizes)]
    summary = layout.summary_of(records, PseudoItems)
    assert isinstance(summary, PseudoItems)
    assert summary.rows.tolist() == list(sizes)
    assert summary.keys.shape == (3, R, D)
    for position, rows in enumerate(sizes):
        for tensor, array in ((summary.keys, written[position][0]), (summary.values, written[position][1])):
            np.testing.assert_array_equal(tensor[position, :rows], array[:rows])
            assert not tensor[position, rows:].any()
        assert summary.linear is not None
        np.testing.assert_array_equal(summary.linear[position], written[position][2])


def test_a_batch_of_records_without_rows_is_one_zero_row_wide() -> None:
    layout = RecordFormat(FIELDS, "float32")
    record = layout.unpack(layout.pack(1, 0, example(layout, 0)), 1, "here")
    summary = layout.summary_of([record], PseudoItems)
    assert isinstance(summary, PseudoItems)
    assert summary.keys.shape == (1, 1, D)
    assert not summary.keys.any()
