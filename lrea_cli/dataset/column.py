"""A column of the store of histories: a memory-mapped .npy file, of which each block is compared before it is seen."""

from __future__ import annotations

import io
from typing import Any, Self

import numpy as np
from numpy.lib import format as npy

from lrea_cli.errors import DamagedArtifact
from lrea_cli.workspace.blocks import BLOCK_BITS, Blocks


class Column:
    """One-dimensional numbers that are read by place, slice or index; the array beneath is never handed out unread.

    `column[place]`, `column[start:stop]` and `column[index]` compare the blocks that they touch; `np.asarray(column)`
    compares and reads all of it.

    Args:
        values: (n,) numbers of a power of two of bytes. blocks: of their file; None = they are in memory.
        offset: bytes of the file before them.
    """

    def __init__(self, values: np.ndarray, blocks: Blocks | None = None, offset: int = 0) -> None:
        self._values, self._blocks = values, blocks
        self._lead = offset // values.itemsize  # the header, in numbers
        self._bits = BLOCK_BITS - values.itemsize.bit_length() + 1  # place >> bits = block

    @classmethod
    def map(cls, blocks: Blocks) -> Self:
        """Map a .npy file; reads nothing but its first block.

        Raises:
            DamagedArtifact: that block is not as it was written, or the file is no column.
        """
        blocks.touch_bytes(0, min(blocks.size, 1))
        head = io.BytesIO(bytes(blocks.memory[:4096]))
        try:
            if npy.read_magic(head) != (1, 0):
                raise ValueError("another version of the format")
            shape, _, kind = npy.read_array_header_1_0(head)
            if len(shape) != 1 or kind not in (np.dtype("<i4"), np.dtype("<i8")):
                raise ValueError(f"{kind} of shape {shape}")
            if head.tell() + shape[0] * kind.itemsize != blocks.size:
                raise ValueError(f"{shape[0]:,} numbers announced")
        except ValueError as error:
            raise DamagedArtifact(f"{blocks.path} is no column of whole numbers: {error}.", blocks.remedy) from error
        return cls(np.frombuffer(blocks.memory, kind, shape[0], head.tell()), blocks, head.tell())

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, key: Any) -> Any:
        """The number at a place, the numbers of a slice, or those at an array of places (of any shape) or of a mask."""
        if self._blocks is not None and not self._blocks.all_right:
            size = len(self._values)
            if isinstance(key, slice):
                if places := range(size)[key]:
                    low, high = sorted((places[0], places[-1]))
                    self._touch_ranges(self._blocks, np.array([low]), np.array([high]))
            elif not isinstance(key, (int, np.integer)):
                self._touch_places(self._blocks, np.asarray(key))
            elif -size <= key < size:
                self._blocks.touch_one((int(key) % size + self._lead) >> self._bits)
        return self._values[key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self[:], dtype, copy=copy)

    def windows(self, last: np.ndarray, kept: np.ndarray, index: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The numbers at `index`, 0 outside the mask; as `column[index]`, but the blocks are found from the ends alone.

        Args:
            last: (B,) place of each row's first number; it goes down from there. kept: (B,) numbers of each row.
            index: (B, width) last - 0, 1, 2, ..; any place in the column where masked. mask: (B, width).
        """
        if not len(self._values):
            return np.zeros(index.shape, self._values.dtype)
        if self._blocks is not None and not self._blocks.all_right:
            rows = kept > 0
            self._touch_ranges(self._blocks, last[rows] - kept[rows] + 1, last[rows])
        values = np.take(self._values, index)
        values[~mask] = 0
        return values

    def release(self) -> None:
        """See `Blocks.release`."""
        if self._blocks is not None:
            self._blocks.release()

    def _touch_places(self, blocks: Blocks, key: np.ndarray) -> None:
        if key.dtype == bool:
            key = np.flatnonzero(key)
        if key.size:
            places = key if key.min() >= 0 else np.where(key < 0, key + len(self._values), key)
            if places.min() < 0 or places.max() >= len(self._values):
                return  # numpy says which
            blocks.touch(((places + self._lead) >> self._bits).ravel())

    def _touch_ranges(self, blocks: Blocks, first: np.ndarray, last: np.ndarray) -> None:
        """Touch what holds the places first[i] .. last[i]."""
        low, high = (first + self._lead) >> self._bits, (last + self._lead) >> self._bits
        blocks.touch(concatenated(low, high - low + 1)[1])


def concatenated(starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of ranges starts[i] .. starts[i] + lengths[i] - 1 one after another: the i of each number, and the number."""
    owner = np.repeat(np.arange(len(lengths)), lengths)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return owner, np.asarray(starts)[owner] + within
