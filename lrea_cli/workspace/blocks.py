"""Files that are read in parts: a hash for each 64 KiB, compared when the block is first touched.

`BLOCKS` lies beside the files of a dataset and holds one xxh3-64 (little-endian) a block, file after file in the order
of their names; the manifest has its SHA-256 and the size of every file. No byte reaches a reader before its block is
known to be as it was written, headers and footers included.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xxhash

from lrea_cli.console.counts import counted
from lrea_cli.errors import DamagedArtifact
from lrea_cli.workspace.kinds import BLOCKS

BLOCK_BITS = 16
BLOCK = 1 << BLOCK_BITS
"""Bytes of a block: a smaller one makes the first touch of a user cheaper, and the file of hashes larger."""

SUFFIXES = (".npy", ".parquet")
"""Of the files that have hashes of blocks."""


def blocks_of(size: int) -> int:
    """How many blocks a file of this size has."""
    return -(-size // BLOCK)


class Blocks:
    """The blocks of one file, each compared with its hash once.

    Args:
        hashes: (blocks,) uint64; None = of a dataset that is still being made, nothing to compare.
        size: of the file as it was written, bytes; None = not known.

    Raises:
        DamagedArtifact: the file is missing or has another size.
    """

    def __init__(self, path: Path, hashes: np.ndarray | None, size: int | None, remedy: str) -> None:
        self.path, self.remedy, self._hashes = path, remedy, hashes
        try:
            with path.open("rb") as file:
                self.size = os.fstat(file.fileno()).st_size
                self.memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if self.size else b""
        except OSError as error:
            raise DamagedArtifact(f"{path} cannot be read: {error.strerror}.", remedy) from error
        if size is not None and self.size != size:
            raise DamagedArtifact(f"{path} has {counted(self.size, 'byte')}; {size:,} were written.", remedy)
        self._right = np.zeros(blocks_of(self.size), bool)
        self.all_right = hashes is None or not self.size

    def touch(self, blocks: np.ndarray) -> None:
        """Raise `DamagedArtifact` where a block is not as it was written; threads may do so at the same time."""
        if self.all_right:
            return
        new = blocks[~self._right[blocks]]
        for number in np.unique(new).tolist():
            self._compare(number)
        if len(new):
            self.all_right = bool(self._right.all())

    def touch_one(self, block: int) -> None:
        """The same for one block."""
        if not self._right[block]:
            self.touch(np.array([block]))

    def touch_bytes(self, start: int, stop: int) -> None:
        """The same for the blocks of bytes start .. stop - 1."""
        if not self.all_right and stop > start:
            self.touch(np.arange(start >> BLOCK_BITS, blocks_of(stop)))

    def release(self) -> None:
        """Let go of the pages that were read: they stay in the page cache, and are no memory of this process."""
        if isinstance(self.memory, mmap.mmap) and hasattr(self.memory, "madvise"):
            self.memory.madvise(mmap.MADV_DONTNEED)

    def _compare(self, number: int) -> None:
        assert self._hashes is not None
        start = number << BLOCK_BITS
        with memoryview(self.memory) as view:
            digest = xxhash.xxh3_64_intdigest(view[start : start + BLOCK])
        if digest != self._hashes[number]:
            stop = min(start + BLOCK, self.size)
            raise DamagedArtifact(
                f"{self.path} is damaged or was changed after it was written, between bytes {start:,} and {stop:,}.",
                self.remedy,
            )
        self._right[number] = True


@dataclass(frozen=True)
class DatasetFiles:
    """The files of a dataset; what is read of them has been compared with its hash.

    Args:
        sizes: bytes of each file, as the manifest has them; empty while the dataset is being made.
        hashes: for each file that is read in parts (blocks,) uint64.
    """

    folder: Path
    sizes: Mapping[str, int] = field(default_factory=dict)
    hashes: Mapping[str, np.ndarray] = field(default_factory=dict)
    remedy: str = ""

    def blocks(self, name: str) -> Blocks:
        """The blocks of the named file, such as `histories/time.npy`.

        Raises:
            DamagedArtifact: the manifest does not know such a file, the file is missing, or has another size.
        """
        path = self.folder / name
        if self.sizes and name not in self.hashes:
            raise DamagedArtifact(f"{path} is not among the files of the dataset.", self.remedy)
        return Blocks(path, self.hashes.get(name), self.sizes.get(name), self.remedy)


def open_files(folder: Path, sizes: Mapping[str, int], sha256: str, remedy: str) -> DatasetFiles:
    """The files of a finished dataset; `sha256` is that of `BLOCKS`.

    Raises:
        DamagedArtifact: the hashes are missing or not as they were written.
    """
    path = folder / BLOCKS
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DamagedArtifact(f"{path} cannot be read: {error.strerror}.", remedy) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DamagedArtifact(f"{path} is damaged or was changed after it was written.", remedy)
    names = hashed_names(sizes)
    ends = np.cumsum([blocks_of(sizes[name]) for name in names])
    parts = np.split(np.frombuffer(data, "<u8"), ends[:-1])
    return DatasetFiles(folder, sizes, dict(zip(names, parts, strict=True)), remedy)


def write_blocks(folder: Path, names: list[str]) -> None:
    """Write `BLOCKS` for files that lie in the folder."""
    with (folder / BLOCKS).open("wb") as out:
        for name in hashed_names(names):
            with (folder / name).open("rb") as file:
                while part := file.read(BLOCK):
                    out.write(xxhash.xxh3_64_intdigest(part).to_bytes(8, "little"))


def hashed_names(names: Mapping[str, int] | list[str]) -> list[str]:
    """The files that have hashes of blocks, in the order of `BLOCKS`."""
    return sorted(name for name in names if name.endswith(SUFFIXES))
