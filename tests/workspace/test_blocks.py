"""Hashes of blocks: what is touched is compared, what is not costs nothing, and nothing damaged is ever seen."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xxhash

from lrea_cli.errors import DamagedArtifact
from lrea_cli.workspace import blocks as blocks_module
from lrea_cli.workspace.blocks import BLOCK, BLOCKS, Blocks, DatasetFiles, blocks_of, open_files, write_blocks

SIZES = {"a.npy": BLOCK, "deep/b.parquet": 2 * BLOCK + 1, "c.npy": 5, "empty.npy": 0, "z.html": 9}


def content(name: str) -> bytes:
    return np.random.default_rng(SIZES[name]).bytes(SIZES[name])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    for name in SIZES:
        (tmp_path / name).write_bytes(content(name))
    write_blocks(tmp_path, list(SIZES))
    return tmp_path


def opened(folder: Path) -> DatasetFiles:
    return open_files(folder, SIZES, hashlib.sha256((folder / BLOCKS).read_bytes()).hexdigest(), "lrea prepare")


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def everything(files: DatasetFiles, name: str) -> bytes:
    return read(files.blocks(name), 0, SIZES[name])


def read(blocks: Blocks, start: int, stop: int) -> bytes:
    """As readers do: compared first."""
    blocks.touch_bytes(start, stop)
    return bytes(blocks.memory[start:stop])


@pytest.mark.parametrize(("size", "count"), [(0, 0), (1, 1), (BLOCK, 1), (BLOCK + 1, 2), (3 * BLOCK, 3)])
def test_a_file_has_as_many_blocks_as_it_fills(size: int, count: int) -> None:
    assert blocks_of(size) == count


def test_there_is_a_hash_for_each_block_file_after_file(folder: Path) -> None:
    long = content("deep/b.parquet")
    parts = [content("a.npy"), content("c.npy"), long[:BLOCK], long[BLOCK : 2 * BLOCK], long[2 * BLOCK :]]
    expected = [xxhash.xxh3_64_intdigest(part) for part in parts]
    assert np.frombuffer((folder / BLOCKS).read_bytes(), "<u8").tolist() == expected


def test_what_was_written_is_read(folder: Path) -> None:
    for name in ("a.npy", "deep/b.parquet", "c.npy", "empty.npy"):
        assert everything(opened(folder), name) == content(name)


@pytest.mark.parametrize("place", [0, BLOCK - 1, BLOCK, 2 * BLOCK - 1, 2 * BLOCK])
def test_a_changed_byte_is_refused_where_its_block_is_touched_and_nowhere_else(folder: Path, place: int) -> None:
    path = folder / "deep/b.parquet"
    flip(path, place)
    for block in range(3):
        blocks = opened(folder).blocks("deep/b.parquet")
        start, stop = block * BLOCK, min((block + 1) * BLOCK, SIZES["deep/b.parquet"])
        if block == place // BLOCK:
            with pytest.raises(DamagedArtifact, match="damaged or was changed") as error:
                read(blocks, start, start + 1)
            assert str(path) in error.value.message
            assert f"{start:,} and {stop:,}" in error.value.message
            assert error.value.remedy == "lrea prepare"
        else:
            assert read(blocks, start, stop) == content("deep/b.parquet")[start:stop]
    with pytest.raises(DamagedArtifact):
        everything(opened(folder), "deep/b.parquet")


def test_a_read_across_the_end_of_a_block_compares_both(folder: Path) -> None:
    flip(folder / "deep/b.parquet", BLOCK)
    blocks = opened(folder).blocks("deep/b.parquet")
    assert read(blocks, BLOCK - 1, BLOCK) == content("deep/b.parquet")[BLOCK - 1 : BLOCK]
    with pytest.raises(DamagedArtifact):
        read(blocks, BLOCK - 1, BLOCK + 1)


@pytest.mark.parametrize("change", [-1, 1])
def test_another_size_is_refused_when_the_file_is_opened(folder: Path, change: int) -> None:
    path = folder / "deep/b.parquet"
    path.write_bytes(path.read_bytes()[:change] if change < 0 else path.read_bytes() + b"x")
    with pytest.raises(DamagedArtifact, match=r"131,073 were written"):
        opened(folder).blocks("deep/b.parquet")


def test_a_missing_file_and_one_that_the_manifest_does_not_know_are_refused(folder: Path) -> None:
    (folder / "a.npy").unlink()
    with pytest.raises(DamagedArtifact, match=r"a\.npy cannot be read"):
        opened(folder).blocks("a.npy")
    (folder / "new.npy").write_bytes(b"x")
    with pytest.raises(DamagedArtifact, match=r"new\.npy is not among the files"):
        opened(folder).blocks("new.npy")


@pytest.mark.parametrize("how", ["flip", "cut", "lose"])
def test_damaged_hashes_are_refused(folder: Path, how: str) -> None:
    right = hashlib.sha256((folder / BLOCKS).read_bytes()).hexdigest()
    if how == "flip":
        flip(folder / BLOCKS, 9)
    elif how == "cut":
        (folder / BLOCKS).write_bytes((folder / BLOCKS).read_bytes()[:-8])
    else:
        (folder / BLOCKS).unlink()
    with pytest.raises(DamagedArtifact, match=BLOCKS):
        open_files(folder, SIZES, right, "")


def test_a_block_is_hashed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[int] = []
    digest = xxhash.xxh3_64_intdigest
    monkeypatch.setattr(
        blocks_module.xxhash, "xxh3_64_intdigest", lambda part: (hashed.append(len(part)), digest(part))[1]
    )
    blocks = opened(folder).blocks("deep/b.parquet")
    assert hashed == []  # opening costs nothing that grows with the file
    for _ in range(2):
        blocks.touch(np.array([1, 1, 2, 1]))
    blocks.touch_bytes(BLOCK, 2 * BLOCK)
    blocks.touch_bytes(7, 7)
    blocks.touch_one(2)
    assert sorted(hashed) == [1, BLOCK]
    assert not blocks.all_right
    blocks.touch_one(0)
    assert len(hashed) == 3
    assert blocks.all_right


def test_a_wrong_block_stays_wrong(folder: Path) -> None:
    flip(folder / "deep/b.parquet", 0)
    blocks = opened(folder).blocks("deep/b.parquet")
    for _ in range(2):
        with pytest.raises(DamagedArtifact):
            blocks.touch(np.array([0]))
        with pytest.raises(DamagedArtifact):
            blocks.touch_one(0)


def test_threads_see_the_same(folder: Path) -> None:
    flip(folder / "deep/b.parquet", 2 * BLOCK)
    blocks = opened(folder).blocks("deep/b.parquet")

    def read(block: int) -> bool:
        try:
            blocks.touch(np.array([block]))
        except DamagedArtifact:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, [0, 1, 2] * 40)) == [True, True, False] * 40


def test_a_dataset_that_is_being_made_is_read_without_hashes(folder: Path) -> None:
    assert everything(DatasetFiles(folder), "a.npy") == content("a.npy")
    blocks = DatasetFiles(folder).blocks("a.npy")
    blocks.touch(np.array([0]))
    blocks.release()
