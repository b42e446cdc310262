"""Products written as Python literals, one a line: `asin` and `categories[0][-1]`, without running anything.

Nearly every line is understood by regular expressions in SQL that follow the grammar of a printed dict from its first
brace to its last: they accept a line only where the key stands at the top level, and where its text occurs once, so
that what is taken out of the line is that key's value and nothing inside a description. `ast.literal_eval` reads the
others. Both give the same values.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lrea_cli.prepare.sources.blocks import LINE, Block, Lines
from lrea_cli.prepare.sources.json_lines import read_lines
from lrea_cli.prepare.sources.rawfile import RawFile
from lrea_cli.prepare.sql import literal

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

NOT_LITERAL = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)


@dataclass(frozen=True)
class LiteralProducts:
    """A form of text: each row has `is_literal`, `item` and `category` (text or NULL).

    Args:
        threads: that may parse.
    """

    threads: int = 1

    def blocks(self, file: RawFile, size: int) -> Iterator[Block]:
        """The rows of a file, about `size` bytes at a time.

        Raises:
            UserError: the file is empty, truncated or not what its name says.
        """
        yield from read_lines(file, size, self.threads, _products)


def by_literal_eval(line: str) -> tuple[bool, str | None, str | None]:
    """One line the slow way: whether it is a literal, its `asin` and `categories[0][-1]`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes such as \d, which mean themselves
            value = ast.literal_eval(line.strip())
    except NOT_LITERAL:
        return False, None, None
    if not isinstance(value, dict):
        return True, None, None
    first = _first(value.get("categories"))
    return True, _text(value.get("asin")), _text(first[-1]) if isinstance(first, list) and first else None


def fast_sql() -> str:
    """SQL for __line, item and category of the table `lines`, NULL where a line is not understood at sight."""
    once = " AND ".join(f"_line.replace({literal(key)}, '').length() = _line.length() - {len(key)}" for key in KEYS)
    whole = " AND ".join(f"regexp_full_match(_line, {literal(pattern)})" for pattern in (WITH_ITEM, WITH_CATEGORIES))
    item = f"regexp_extract(_line, {literal(ITEM)}, 1)"
    category = f"regexp_extract(_line, {literal(CATEGORIES)}, ['single', 'double'])"
    return (
        f"SELECT {LINE}, _understood, CASE WHEN _understood THEN {item} END AS item, "
        f"CASE WHEN _understood THEN {category}.single || {category}.double END AS category "
        f"FROM (SELECT {LINE}, _line, {once} AND {whole} AS _understood "
        f"FROM (SELECT {LINE}, rtrim(text, chr(13) || chr(10)) AS _line FROM lines))"
    )


def _products(db: duckdb.DuckDBPyConnection, lines: Lines) -> pa.Table:
    import pyarrow as pa

    rows = db.sql(f"SELECT {LINE}, _understood AS is_literal, item, category FROM ({fast_sql()})").to_arrow_table()
    others = rows[LINE].to_numpy()[~rows["is_literal"].to_numpy()].tolist()
    if not others:
        return rows
    slow = [(line, *by_literal_eval(lines.text(line))) for line in others]
    read = pa.table(dict(zip(rows.column_names, map(list, zip(*slow, strict=True)), strict=True)), rows.schema)
    return pa.concat_tables([rows.filter(rows["is_literal"]), read]).sort_by(LINE)


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else None


def _text(value: object) -> str | None:
    """A string with a question mark for what has no UTF-8: half of a surrogate pair."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else None


def _lists(element: str) -> str:
    return rf"\[(?:{element}(?:, {element})*)?\]"


def _dicts(value: str) -> str:
    return rf"\{{(?:{_ANY}: {value}(?:, {_ANY}: {value})*)?\}}"


_ESCAPE = r"\\(?:[\\'\"abfnrtv]|x[0-9a-fA-F]{2}|u[0-9a-cefA-CEF][0-9a-fA-F]{3})"
_ANY = rf"(?:'(?:[^'\\\x00-\x1f]|{_ESCAPE})*'|\"(?:[^\"\\\x00-\x1f]|{_ESCAPE})*\")"
_PLAIN = r"(?:'[^'\\\x00-\x1f]*'|\"[^\"\\\x00-\x1f]*\")"
_NUMBER = r"-?(?:0|[1-9][0-9]{0,15})(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?"
_ATOM = rf"(?:{_ANY}|{_NUMBER}|None|True|False)"
_VALUE = rf"(?:{_ATOM}|{_lists(_ATOM)}|{_lists(_lists(_ANY))}|{_dicts(f'(?:{_ATOM}|{_lists(_ANY)})')})"
_PAIR = rf"'[^'\\\x00-\x1f]*': {_VALUE}"

KEYS = ("'asin': ", "'categories': ")
ITEM = r"'asin': '([^'\\\x00-\x1f]*)'"
CATEGORIES = rf"'categories': \[\[(?:{_PLAIN}, )*(?:'(?P<single>[^'\\\x00-\x1f]*)'|\"(?P<double>[^\"\\\x00-\x1f]*)\")\]"
WITH_ITEM = rf"\{{(?:{_PAIR}, )*'asin': '[^'\\\x00-\x1f]*'(?:, {_PAIR})*\}}"
WITH_CATEGORIES = (
    rf"\{{(?:{_PAIR}, )*'categories': \[\[{_PLAIN}(?:, {_PLAIN})*\](?:, {_lists(_ANY)})*\](?:, {_PAIR})*\}}"
)
