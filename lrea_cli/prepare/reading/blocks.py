"""What every reader of raw files yields: some thousand rows at a time, each with the number of its line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import pyarrow as pa

LINE = "__line"
WRONG_COLUMNS = "wrong_number_of_columns"
ROWS_AT_MOST = 1 << 33
"""Of one log: a `source_row` is nanoseconds inside a second times this, and the row's number."""

T = TypeVar("T")


@dataclass(frozen=True)
class Block:
    """Some rows of one file.

    Args:
        rows: the columns, named as `numbered` names them, and `__line` (int64, from 1).
        text: the raw text of a line of the block, for what cannot be used.
        malformed: lines that make no row.
        text_bytes: of the raw text, which is kept for `text`.
        fault: the reason why the malformed lines make no row.
    """

    rows: pa.Table
    text: Callable[[int], str]
    malformed: list[int] = field(default_factory=list)
    text_bytes: int = 0
    fault: str = WRONG_COLUMNS

    @property
    def nbytes(self) -> int:
        """Of memory."""
        return self.rows.nbytes + self.text_bytes

    @property
    def first(self) -> int:
        """The number of the first line."""
        return min([*self.malformed[:1], *(self.rows[LINE][:1].to_pylist())])

    @property
    def last(self) -> int:
        """The number of the last line."""
        return max([*self.malformed[-1:], *(self.rows[LINE][-1:].to_pylist())])

    @property
    def count(self) -> int:
        """Rows read, usable or not."""
        return self.rows.num_rows + len(self.malformed)


@dataclass(frozen=True)
class Lines:
    """The whole lines of a block of text; `first` is the number of the first one."""

    data: bytes
    first: int

    @cached_property
    def count(self) -> int:
        return self.data.count(b"\n") + (not self.data.endswith(b"\n"))

    @cached_property
    def table(self) -> pa.Table:
        """Each line as it is, its end among it, as `text`, and its number."""
        import numpy as np
        import pyarrow as pa

        ends = np.flatnonzero(np.frombuffer(self.data, np.uint8) == ord("\n")) + 1
        offsets = np.unique(np.concatenate([[0], ends, [len(self.data)]])).astype(np.int32)
        text = pa.StringArray.from_buffers(self.count, pa.py_buffer(offsets), pa.py_buffer(self.data))
        return pa.table({"text": text, LINE: np.arange(self.first, self.first + self.count)})

    def text(self, line: int) -> str:
        """One line without its end."""
        return self.table["text"][line - self.first].as_py().rstrip("\n")


def numbered(names: Iterable[str]) -> dict[str, str]:
    """Column of a file -> its SQL identifier in a block: c0, c1, ..; no name that a file chose reaches SQL."""
    return {name: f"c{n}" for n, name in enumerate(names)}


def joined(blocks: Iterator[Block], size: int) -> Iterator[list[Block]]:
    """Neighbors: lists of `size` bytes, or somewhat more; the first ones are smaller, so that nobody waits for them."""
    together: list[Block] = []
    enough = size // 16
    for block in blocks:
        together.append(block)
        if sum(b.nbytes for b in together) >= enough:
            yield together
            together, enough = [], min(2 * enough, size)
    if together:
        yield together


def read_ahead(blocks: Iterator[T]) -> Iterator[T]:
    """The same, while the next one is made in another thread."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, blocks, end)
        while (block := coming.result()) is not end:
            coming = pool.submit(next, blocks, end)
            yield block  # type: ignore[misc]
