"""Columns equal the arrays that were written, and whatever is read of them has been compared with its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrea_cli.dataset.column import Column
from lrea_cli.dataset.histories import Histories
from lrea_cli.errors import DamagedArtifact
from lrea_cli.workspace.blocks import BLOCK, BLOCKS, DatasetFiles, open_files, write_blocks

ROWS = 50_000
HEADER = 128
TIME, ITEM = np.arange(ROWS) * 3, np.arange(ROWS, dtype=np.int32) * 2 + 2
OFFSETS = np.array([0, 10, 10, 20_000, ROWS])


def files(folder: Path) -> DatasetFiles:
    sizes = {str(p.relative_to(folder)): p.stat().st_size for p in folder.rglob("*.npy")}
    if not (folder / BLOCKS).is_file():
        write_blocks(folder, list(sizes))
    return open_files(folder, sizes, hashlib.sha256((folder / BLOCKS).read_bytes()).hexdigest(), "lrea prepare")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "histories").mkdir()
    for name, values in {"offsets": OFFSETS, "time": TIME, "item": ITEM}.items():
        np.save(tmp_path / "histories" / f"{name}.npy", values)
    files(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def time_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("column")
    np.save(folder / "time.npy", TIME)
    files(folder)
    return folder


def time_column(folder: Path, name: str = "time.npy") -> Column:
    return Column.map(files(folder).blocks(name))


def block_of(place: int, itemsize: int) -> int:
    return (HEADER + place * itemsize) // BLOCK


def damage(path: Path, place: int, itemsize: int) -> int:
    """Flip a bit of the number at a place; return the block that it is in."""
    data = bytearray(path.read_bytes())
    data[HEADER + place * itemsize] ^= 4
    path.write_bytes(data)
    return block_of(place, itemsize)


def same(column: Column, key: object) -> bool:
    return bool(np.array_equal(column[key], TIME[key]))  # type: ignore[index]


places = st.integers(-ROWS, ROWS - 1)


@given(
    key=places
    | st.lists(places, max_size=6).map(lambda p: np.array(p, np.int64))
    | st.slices(ROWS)
    | st.sets(st.integers(0, ROWS - 1), max_size=4).map(lambda s: np.isin(np.arange(ROWS), list(s)))
)
def test_a_column_is_read_as_the_array(time_folder: Path, key: object) -> None:
    assert same(time_column(time_folder), key)


def test_shape_type_and_the_whole(time_folder: Path) -> None:
    column = time_column(time_folder)
    assert (len(column), column[:].dtype) == (ROWS, np.int64)
    assert same(column, np.array([[1, 2], [3, -1]]))
    np.testing.assert_array_equal(np.asarray(column), TIME)
    np.testing.assert_array_equal(np.diff(time_column(time_folder)), np.diff(TIME))
    np.testing.assert_array_equal(np.take(time_column(time_folder), [5, 7]), TIME[[5, 7]])
    assert not column[:].flags.writeable


@pytest.mark.parametrize("place", [ROWS, -ROWS - 1])
def test_a_place_outside_is_an_error(time_folder: Path, place: int) -> None:
    for key in (place, np.array([place])):
        with pytest.raises(IndexError):
            time_column(time_folder)[key]


LAST_OF_BLOCK = (BLOCK - HEADER) // 8 - 1
"""The last place of the first block of int64."""


@pytest.mark.parametrize("place", [0, LAST_OF_BLOCK, LAST_OF_BLOCK + 1, ROWS - 1])
@pytest.mark.parametrize(
    "read",
    [
        lambda c, p: c[p],
        lambda c, p: c[np.int64(p)],
        lambda c, p: c[p - ROWS],
        lambda c, p: c[p : p + 1],
        lambda c, p: c[: p + 1],
        lambda c, p: c[p:],
        lambda c, p: c[::-1],
        lambda c, p: c[np.array([p])],
        lambda c, p: c[np.array([[p - ROWS]])],
        lambda c, p: c[np.arange(ROWS) == p],
        lambda c, p: np.asarray(c),
        lambda c, p: np.take(c, [p]),
        lambda c, p: c.windows(np.array([p]), np.array([1]), np.array([[p]]), np.array([[True]])),
        lambda c, p: c.windows(np.array([ROWS - 1]), np.array([ROWS]), np.array([[p]]), np.array([[True]])),
    ],
)
def test_no_way_of_reading_shows_a_damaged_number(
    tmp_path: Path, read: Callable[[Column, int], object], place: int
) -> None:
    np.save(tmp_path / "time.npy", TIME)
    files(tmp_path)
    read(time_column(tmp_path), place)
    damage(tmp_path / "time.npy", place, 8)
    with pytest.raises(DamagedArtifact, match=r"time\.npy is damaged"):
        read(time_column(tmp_path), place)


def test_what_is_not_touched_is_not_compared(folder: Path) -> None:
    block = damage(folder / "histories" / "time.npy", ROWS - 1, 8)
    column = time_column(folder, "histories/time.npy")
    first = next(p for p in range(ROWS) if block_of(p, 8) == block)
    assert same(column, slice(0, first))
    assert same(column, first - 1)
    assert same(column, np.array([0, first - 1]))
    with pytest.raises(DamagedArtifact):
        column[first]


@pytest.mark.parametrize("bit", range(0, 8 * HEADER, 5))
def test_a_changed_header_is_refused(tmp_path: Path, bit: int) -> None:
    np.save(tmp_path / "time.npy", TIME[:4])
    files(tmp_path)
    path = tmp_path / "time.npy"
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    with pytest.raises(DamagedArtifact):
        time_column(tmp_path)


@pytest.mark.parametrize(
    "values", [np.zeros((2, 2), np.int64), np.zeros(3), np.zeros(3, ">i8"), np.zeros(3, np.int16), np.array(7)], ids=str
)
def test_what_is_no_column_of_whole_numbers_is_refused(tmp_path: Path, values: np.ndarray) -> None:
    np.save(tmp_path / "time.npy", values)
    with pytest.raises(DamagedArtifact, match="no column of whole numbers"):
        time_column(tmp_path)


@pytest.mark.parametrize("data", [b"", b"no numpy", b"\x93NUMPY\x02\x00"])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "time.npy").write_bytes(data)
    with pytest.raises(DamagedArtifact, match="no column of whole numbers"):
        time_column(tmp_path)


@pytest.mark.parametrize("change", [lambda b: b[:-8], lambda b: b + bytes(8)])
def test_a_column_that_is_longer_or_shorter_than_it_says_is_refused(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    np.save(tmp_path / "time.npy", TIME)
    (tmp_path / "time.npy").write_bytes(change((tmp_path / "time.npy").read_bytes()))
    with pytest.raises(DamagedArtifact, match="50,000 numbers announced"):
        Column.map(DatasetFiles(tmp_path).blocks("time.npy"))


def test_windows_are_zero_outside_the_mask(time_folder: Path) -> None:
    last, kept, width = np.array([40_000, 7, 3]), np.array([3, 0, 2]), np.arange(3)
    mask = width < kept[:, None]
    for column in (time_column(time_folder), Column(TIME), Column(TIME[:0])):
        found = column.windows(last, kept, np.where(mask, last[:, None] - width, 0), mask)
        expected = np.where(mask, (last[:, None] - width) * 3, 0) if len(column) else np.zeros((3, 3))
        np.testing.assert_array_equal(found, expected)


def test_histories_read_what_was_written(folder: Path) -> None:
    mapped, plain = Histories.open(files(folder), ["item"]), Histories(OFFSETS, TIME, {"item": ITEM})
    users, lengths = np.array([3, 0, 1, 2]), np.array([30_000, 10, 0, 19_000])
    for skip, count in ((0, 64), (64, 500), (29_000, 2_000)):
        found, expected = mapped.newest(users, lengths, skip, count), plain.newest(users, lengths, skip, count)
        for a, b in (
            (found.mask, expected.mask),
            (found.time, expected.time),
            (found.ids["item"], expected.ids["item"]),
        ):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    times = np.array([TIME[40_000], 0, 5, TIME[100]])
    np.testing.assert_array_equal(mapped.known_at(users, times), plain.known_at(users, times))
    np.testing.assert_array_equal(mapped.lengths_before(90_000), [10, 0, 19_990, 10_000])
    mapped.release()


@pytest.mark.parametrize("name", ["time", "item"])
def test_the_newest_behaviors_of_a_user_are_compared(folder: Path, name: str) -> None:
    place = 40_000
    damage(folder / "histories" / f"{name}.npy", place, 8 if name == "time" else 4)
    histories = Histories.open(files(folder), ["item"])
    user, length = np.array([3]), np.array([place - 20_000 + 1])  # its newest is the damaged one
    with pytest.raises(DamagedArtifact, match=rf"{name}\.npy"):
        histories.newest(user, length, 0, 1)
    with pytest.raises(DamagedArtifact, match=rf"{name}\.npy"):
        histories.newest(user, length + 10_000, 9_990, 12)
    histories.newest(np.array([2]), np.array([100]), 0, 64)


@pytest.mark.parametrize(
    "read",
    [
        lambda h: h.known_at(np.array([3]), np.array([TIME[40_000] + 1])),
        lambda h: h.lengths_before(5),
        lambda h: h.time[40_000],
    ],
)
def test_counts_of_known_behaviors_are_compared(folder: Path, read: Callable[[Histories], object]) -> None:
    damage(folder / "histories" / "time.npy", 40_000, 8)
    with pytest.raises(DamagedArtifact):
        read(Histories.open(files(folder), ["item"]))


def test_offsets_are_compared(folder: Path) -> None:
    damage(folder / "histories" / "offsets.npy", 2, 8)
    with pytest.raises(DamagedArtifact, match=r"offsets\.npy"):
        Histories.open(files(folder), ["item"])
