"""Amazon book reviews, edition of 2014, as MIMN and SIM prepared them. Traps: docs/data.md.

Negatives are drawn from all reviews up to the end of the target's day; the published code draws from those of all time,
which lets a popularity that is still to come tell a negative.

Products are written as Python literals, one a line, and nothing of them is run: `ast.literal_eval` refuses what is no
literal: calls, names, parentheses nested 200 deep, numbers of more than 4,300 digits. Only one thread of a process can
run it, so that processes share the lines.
"""

from __future__ import annotations

import ast
import multiprocessing
import signal
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from lrea_cli.prepare.reading.blocks import LINE, Block, Lines
from lrea_cli.prepare.reading.intake import TextForm
from lrea_cli.prepare.reading.rawfile import RawFile
from lrea_cli.prepare.sources.amazon import AmazonReviews
from lrea_cli.prepare.sources.base import Sampling

if TYPE_CHECKING:
    import pyarrow as pa

NOT_LITERAL = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)
LINES_AT_ONCE = 1_000
"""Of a process; fewer than this start none."""

Product = tuple[bool, str | None, str | None]
"""Whether a line is a literal, its `asin` and its `categories[0][-1]`."""


class LiteralProducts:
    """A form of text: each row has `valid`, `item` and `category` (text or NULL); processes parse, not threads."""

    def blocks(self, file: RawFile, size: int, threads: int) -> Iterator[Block]:
        spawn = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold
        with ProcessPoolExecutor(threads, spawn, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
            for lines in file.lines(size):
                yield Block(_rows(lines, pool), lines.text, text_bytes=len(lines.data))


@dataclass(frozen=True)
class AmazonBooksSim(AmazonReviews):
    """Amazon book reviews of 1996 to 2014, split by user as MIMN and SIM published it."""

    name: ClassVar[str] = "amazon-books-sim"
    file_names: ClassVar[tuple[str, ...]] = ("reviews_Books_5.json", "reviews_Books.json", "ratings_Books.csv")
    where_to_get: ClassVar[str] = (
        "reviews_Books_5.json.gz (8,898,041 reviews), reviews_Books.json.gz (22,507,155) or ratings_Books.csv, and "
        "meta_Books.json.gz, from https://jmcauley.ucsd.edu/data/amazon/; they are read without unpacking"
    )
    columns: ClassVar[tuple[str, ...]] = ("user", "item", "rating", "time")
    remedy: ClassVar[str] = (
        "Reviews of 2014 are JSON lines with reviewerID, asin and unixReviewTime, or a CSV without header with the "
        "columns user, item, rating, timestamp; of 2018, with the columns item, user, rating, timestamp: "
        "`lrea prepare amazon-books`."
    )
    meta_remedy: ClassVar[str] = (
        "Products of 2014 are lines in Python's notation with 'asin' and 'categories', a list of lists; lines with a "
        'flat "category" are of 2018: `lrea prepare amazon-books`.'
    )
    category: ClassVar[str] = "coalesce(category, '')"  # so that the first line of an item stays, whatever it says
    category_kind: ClassVar[str] = "VARCHAR"
    product_form: ClassVar[TextForm] = LiteralProducts()
    no_product: ClassVar[str] = "not_a_python_literal"
    sampling: ClassVar[Sampling] = Sampling(negatives="popularity", targets="user", splits="users")
    warnings: ClassVar[tuple[str, ...]] = (
        "Splits are random by user, as published: reviews written after a test request train, and vocabularies and "
        "counters see the test period. Compare these numbers with published ones, not with those of a split by time.",
    )


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
