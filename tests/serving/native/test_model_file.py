"""model.bin: what is written is read back, and damaged bytes are refused without a crash."""

from __future__ import annotations

import json
import mmap
import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from lrea_cli.serving.native import abi
from lrea_cli.serving.native.model import NativeError, NativeModel
from lrea_cli.serving.native.model_file import (
    ALIGNMENT,
    DTYPES,
    ENTRY,
    HASHED_BYTES,
    HEADER,
    MAGIC,
    chunks,
    describe,
    fnv1a,
    save_model,
    sections,
    write_model,
)
from tests.serving.native.drawn import PATHS, Shape, draw_model, draw_request, exact_logits, opened

WHOLE = re.escape("This is no whole model.bin.")
needs_library = pytest.mark.skipif(not PATHS, reason=f"there is no native library: {abi.load().reason}")


def read(file: bytes) -> dict[str, np.ndarray]:
    """Named arrays by the layout that lrea.h documents."""
    magic, version, count, size, digest = HEADER.unpack_from(file)
    directory = file[HEADER.size : HEADER.size + count * ENTRY.size]
    assert (magic, version, size) == (MAGIC, 1, len(file))
    assert digest == fnv1a(file[:HASHED_BYTES] + directory)
    named = {}
    for name, dtype, axes, *shape, offset, nbytes in ENTRY.iter_unpack(directory):
        assert offset % ALIGNMENT == 0
        chosen = next(d for d, number in DTYPES.items() if number == dtype)
        array = np.frombuffer(file[offset : offset + nbytes], chosen)
        named[name.rstrip(b"\0").decode()] = array.reshape(shape[:axes])
    return named


def test_every_section_is_read_back() -> None:
    model = draw_model(Shape(profile=2, counters=2, long="buckets"), 3)
    written, found = sections(model), read(write_model(model))
    assert list(found) == list(written)
    for name, array in written.items():
        assert np.array_equal(found[name], array)
    assert np.array_equal(found["item.1"], model.features.tables["field:item1"].weight.detach().numpy())
    assert np.array_equal(found["long.W2"], model.long_scorer.W2.detach().numpy())
    assert found["mlp.0.weight"].shape == (48, 5 * 16 + 2 + 2 * 8 + 1)


def test_the_description_is_json_and_names_the_fields_in_order() -> None:
    model = draw_model(Shape(profile=1, counters=2), 3)
    described = json.loads(json.dumps(describe(model, short=5, long=500)))
    assert [f["name"] for f in described["item_fields"]] == ["item", "item1"]
    assert described["profile_fields"] == [{"name": "user0", "role": "user", "size": 5}]
    assert described["counters"] == ["item", "item1"]
    assert (described["width"], described["hidden"], described["short"], described["long"]) == (16, 32, 5, 500)
    assert [f["name"] for f in described["record"]] == ["keys", "values", "linear"]


def test_a_model_in_training_is_refused() -> None:
    with pytest.raises(ValueError, match="in training mode"):
        write_model(draw_model(Shape(), 1).train())


def test_later_training_does_not_reach_the_file() -> None:
    model = draw_model(Shape(), 1)
    before = write_model(model)
    assert write_model(model) == before
    with torch.no_grad():
        model.mlp[1].weight.mul_(2)
    assert write_model(model) != before


@needs_library
def test_a_mapped_file_is_scored_in_place(tmp_path: Path) -> None:
    model = draw_model(Shape(), 1)
    path = tmp_path / "model.bin"
    with path.open("wb") as saved:
        save_model(model, saved)
    assert path.read_bytes() == write_model(model)
    request = draw_request(model, Shape(), np.random.default_rng(1))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        native = NativeModel(mapped)
        logits = native.logits(request)
        assert np.abs(logits - exact_logits(model, request)[0]).max() < 1e-5
        del native


@needs_library
def test_every_truncation_is_refused() -> None:
    file = write_model(draw_model(Shape(profile=1), 1))
    ends = {*range(2200), *range(2200, len(file), 61), len(file) - 1}
    for end in sorted(ends):
        with pytest.raises(NativeError, match=WHOLE):
            NativeModel(file[:end] or b"\0")
    with pytest.raises(NativeError, match="instead of"):
        NativeModel(file + b"\0")


@needs_library
def test_every_changed_byte_of_header_and_directory_is_refused() -> None:
    file = write_model(draw_model(Shape(profile=1), 1))
    count = HEADER.unpack_from(file)[2]
    rng = np.random.default_rng(0)
    for position in range(HEADER.size + count * ENTRY.size):
        damaged = bytearray(file)
        damaged[position] ^= int(rng.integers(1, 256))
        with pytest.raises(NativeError, match=WHOLE):
            NativeModel(bytes(damaged))


def mend_hash(file: bytearray) -> None:
    directory = bytes(file[HEADER.size : HEADER.size + HEADER.unpack_from(file)[2] * ENTRY.size])
    file[HASHED_BYTES : HASHED_BYTES + 8] = fnv1a(bytes(file[:HASHED_BYTES]) + directory).to_bytes(8, "little")


@needs_library
def test_a_section_that_ends_past_the_file_is_refused() -> None:
    file = bytearray(write_model(draw_model(Shape(), 1)))
    at = HEADER.size + 2 * ENTRY.size + 104  # the offset of the first table
    assert len(file) % ALIGNMENT == 0
    for offset in (len(file), len(file) - ALIGNMENT, 2**64 - ALIGNMENT):
        file[at : at + 8] = offset.to_bytes(8, "little")
        mend_hash(file)
        with pytest.raises(NativeError, match=re.escape("Section item.0 exceeds the file.")):
            NativeModel(bytes(file))


@needs_library
@pytest.mark.parametrize("seed", range(200))
def test_a_forged_directory_is_refused_or_harmless(seed: int) -> None:
    """Whoever damages a file may also mend its hash: the numbers alone must keep the reader inside the bytes."""
    rng = np.random.default_rng(seed)
    file = bytearray(write_model(draw_model(Shape(profile=1, fields=1), 1)))
    count = HEADER.unpack_from(file)[2]
    entry = HEADER.size + int(rng.integers(count)) * ENTRY.size
    width = int(rng.choice([4, 8]))
    at = entry + 64 + width * int(rng.integers(0, 56 // width))
    odd = [0, 1, 2, 3, 5, 63, 64, 2**31 - 1, 2**31, 2**32 - 1, len(file), len(file) - 1]
    odd += [2**32, 2**61, 2**62 + 1, 2**63, 2**64 - 64, 2**64 - 1]
    file[at : at + width] = (int(odd[rng.integers(len(odd))]) % 2 ** (8 * width)).to_bytes(width, "little")
    mend_hash(file)
    with suppress(NativeError):
        NativeModel(bytes(file))


WRONG_SETTINGS = [
    *[(0, 0), (0, 2), (0, -1), (1, 1), (1, -1), (2, 0), (2, 7), (3, 8), (3, 2**40), (4, 0), (4, 33), (4, -(2**63))],
    *[(5, 0), (5, 2), (6, 0), (6, 1), (6, 3), (6, 10**9), (7, 12), (7, -1), (8, 99)],
]
"""Number of the setting, and a value that the sections contradict."""


@needs_library
@pytest.mark.parametrize(("number", "value"), WRONG_SETTINGS, ids=str)
def test_settings_that_the_sections_contradict_are_refused(number: int, value: int) -> None:
    named = sections(draw_model(Shape(fields=1, d=16), 1))
    named["settings"][number] = value
    with pytest.raises(NativeError, match=WHOLE):
        NativeModel(b"".join(chunks(named)))


@needs_library
def test_what_is_missing_or_of_another_shape_is_named() -> None:
    model = draw_model(Shape(), 1)
    for name in sections(model):
        named = sections(model)
        del named[name]
        with pytest.raises(NativeError, match=f"Section {name} is missing"):
            NativeModel(b"".join(chunks(named)))
        named = sections(model)
        named[name] = named[name][..., :-1].copy()
        with pytest.raises(NativeError, match=WHOLE):
            NativeModel(b"".join(chunks(named)))
    named = sections(model) | {"slope": np.array([1.5], "<f4")}
    with pytest.raises(NativeError, match="slope"):
        NativeModel(b"".join(chunks(named)))


@needs_library
def test_the_sizes_of_a_model_are_known() -> None:
    native = opened(draw_model(Shape(fields=3, profile=2, counters=1, long="buckets"), 1))
    assert (native.item_fields, native.profile_fields, native.counters, native.width) == (3, 2, 1, 24)
    assert native.bucket_rows == 4 * 8
