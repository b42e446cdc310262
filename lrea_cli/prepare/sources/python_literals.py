"""Products written as Python literals, one a line: `asin` and `categories[0][-1]`, without running anything.

`ast.literal_eval` refuses what is no literal: calls, names, parentheses nested 200 deep, numbers of more than 4,300
digits. Only one thread of a process can run it, so that processes share the lines.
"""

from __future__ import annotations

import ast
import multiprocessing
import signal
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lrea_cli.prepare.sources.blocks import LINE, Block, Lines
from lrea_cli.prepare.sources.rawfile import RawFile

if TYPE_CHECKING:
    import pyarrow as pa

NOT_LITERAL = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)
LINES_AT_ONCE = 1_000
"""Of a process; fewer than this start none."""

Product = tuple[bool, str | None, str | None]
"""Whether a line is a literal, its `asin` and its `categories[0][-1]`."""


@dataclass(frozen=True)
class LiteralProducts:
    """A form of text: each row has `valid`, `item` and `category` (text or NULL).

    Args:
        threads: how many processes may parse.
    """

    threads: int = 1

    def blocks(self, file: RawFile, size: int) -> Iterator[Block]:
        spawn = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold
        with ProcessPoolExecutor(self.threads, spawn, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
            for lines in file.lines(size):
                yield Block(_rows(lines, pool), lines.text, text_bytes=len(lines.data))


def literal_products(lines: Iterable[str]) -> list[Product]:
    """Read each line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes such as \\d, which mean themselves
        return [_product(line) for line in lines]


def _product(line: str) -> Product:
    try:
        value = ast.literal_eval(line.strip())
    except NOT_LITERAL:
        return False, None, None
    if not isinstance(value, dict):
        return True, None, None
    return True, _text(value.get("asin")), _text(_end(_end(value.get("categories"), 0), -1))


def _rows(lines: Lines, pool: ProcessPoolExecutor) -> pa.Table:
    import pyarrow as pa

    texts = lines.table["text"].to_pylist()
    parts = [texts[first : first + LINES_AT_ONCE] for first in range(0, len(texts), LINES_AT_ONCE)]
    products = [product for part in (pool.map if len(parts) > 1 else map)(literal_products, parts) for product in part]
    schema = pa.schema({"valid": pa.bool_(), "item": pa.string(), "category": pa.string()})
    rows = pa.table(list(map(list, zip(*products, strict=True))), schema=schema)
    return rows.add_column(0, LINE, lines.table[LINE])


def _end(value: object, index: int) -> object:
    """The first or the last of a list that has any."""
    return value[index] if isinstance(value, list) and value else None


def _text(value: object) -> str | None:
    """A string with a question mark for what has no UTF-8: half of a surrogate pair."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else None
