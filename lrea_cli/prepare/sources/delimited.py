"""Delimited text as blocks of rows, with the line number of every row, good or bad.

What it takes care of, so that no source has to: rows with a wrong number of columns, stray quotes, escaped quotes,
empty lines, numbers that are none, and what `rawfile.py` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lrea_cli.console.counts import counted
from lrea_cli.console.terminal import clean
from lrea_cli.errors import UserError
from lrea_cli.prepare.sources.blocks import LINE, Block, Lines, numbered
from lrea_cli.prepare.sources.csv_rows import COMMAS, Handler, Separation, read_csv
from lrea_cli.prepare.sources.rawfile import RawFile, unreadable

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.csv import InvalidRow

PLAIN = b"0123456789-,\nabcdefghijklmnopqrstuvwyz"
"""A block of these bytes alone has no quote, space, sign +, or hexadecimal 0x, which the fast parser would read
otherwise than `strict_integer`."""

QUOTED_CHARACTERS = 200


@dataclass(frozen=True)
class Delimited:
    """The form of delimited text.

    Args:
        names: of all columns, in order.
        has_header: the first line is not data.
        separation: how values stand apart; quoted values may not go on in the next line.
        integers: columns that hold 64-bit integers, NULL where the text is none; all others are text.
        threads: that may parse.
    """

    names: tuple[str, ...]
    has_header: bool = False
    separation: Separation = COMMAS
    integers: tuple[str, ...] = ()
    threads: int = 2

    @property
    def columns(self) -> dict[str, str]:
        """Name of a column -> its SQL identifier in the blocks."""
        return numbered(self.names)

    @property
    def _integers(self) -> tuple[str, ...]:
        return tuple(self.columns[name] for name in self.integers)

    def blocks(self, file: RawFile, size: int) -> Iterator[Block]:
        for lines in file.lines(size):
            if lines.first == 1 and self.has_header:
                lines = Lines(lines.data[lines.data.find(b"\n") + 1 or len(lines.data) :], 2)
            if lines.data:
                yield self._block(file, lines)

    def _block(self, file: RawFile, lines: Lines) -> Block:
        if self.integers and (rows := self._parse_plain(lines)):
            return Block(rows, lines.text, text_bytes=len(lines.data))
        if self.separation.quoted and not self.separation.backslash:
            self._check_escapes(file, lines)
        rows, malformed = self._parse(file, lines)
        rows = _as_integers(rows, self._integers) if self.integers else rows
        return Block(rows, lines.text, malformed, len(lines.data))

    def _parse_plain(self, lines: Lines) -> pa.Table | None:
        """The fast way: integers are parsed as such; None where a row is not as it should be."""
        import numpy as np
        import pyarrow as pa

        if self.separation.delimiter != "," or lines.data.translate(None, PLAIN):
            return None
        try:
            rows = self._read(lines.data, threads=self.threads > 1, integers=self._integers)
        except pa.ArrowInvalid:
            return None
        if rows.num_rows != lines.count:
            return None
        return rows.append_column(LINE, pa.array(np.arange(rows.num_rows) + lines.first))

    def _parse(self, file: RawFile, lines: Lines) -> tuple[pa.Table, list[int]]:
        """Every column as text, and the lines with a wrong number of columns."""
        import numpy as np
        import pyarrow as pa

        malformed: list[int] = []

        def skip(row: InvalidRow) -> str:
            malformed.append(row.number)  # None where several threads parse
            return "skip"

        rows = None
        if self.threads > 1:
            with suppress(pa.ArrowInvalid):  # a line is longer than what one thread takes at once
                rows = self._read(lines.data, threads=True, handler=skip)
        if rows is None or malformed:
            malformed.clear()
            try:
                rows = self._read(lines.data, handler=skip)
            except pa.ArrowInvalid as error:
                raise unreadable(file.path, error) from error
        if (count := rows.num_rows + len(malformed)) < lines.count:
            raise UserError(  # of all lines up to the next quote one value was made: none may be lost
                f"{clean(file.path)} has {counted(lines.count, 'line')} from line {lines.first:,} on but only "
                f"{counted(count, 'row')}: a quoted value goes on in the next line, or a quote is never closed.",
                "Export it without line breaks in values; where quotes mean nothing, `table` has --no-quotes, where a "
                "backslash escapes them, --backslash.",
            )
        line = np.arange(lines.first, lines.first + count)
        good = np.delete(line, np.array(malformed, np.int64) - 1)
        return rows.append_column(LINE, pa.array(good)), [lines.first + number - 1 for number in malformed]

    def _read(
        self, data: bytes, threads: bool = False, integers: tuple[str, ...] = (), handler: Handler | None = None
    ) -> pa.Table:
        names = [f"c{n}" for n in range(len(self.names))]
        return read_csv(data, names, self.separation, threads, integers, handler)

    def _check_escapes(self, file: RawFile, lines: Lines) -> None:
        r"""Refuse a quote inside a value that a backslash escapes: the value would end there, and another begin."""
        if b'\\"' not in lines.data:
            return
        inside = rb'\\"(?!' + re.escape(self.separation.delimiter.encode()) + rb'|\n|"|\Z)'
        if escaped := re.search(inside, lines.data):
            line = lines.first + lines.data.count(b"\n", 0, escaped.start())
            raise UserError(
                f"{clean(file.path)}, line {line:,}: a backslash stands before a quote inside a value: "
                f"{lines.text(line)[:QUOTED_CHARACTERS]!r}.",
                "If it escapes the quote, `table` has --backslash; where quotes mean nothing, --no-quotes.",
            )


def strict_integer(name: str) -> str:
    """SQL for a 64-bit integer, or NULL: a plain TRY_CAST would also take 1.5 (as 2), 1e3, 1_0 and 0x10."""
    return (
        f"CASE WHEN TRY_CAST({name} AS BIGINT)::VARCHAR = {name} THEN TRY_CAST({name} AS BIGINT) "
        f"WHEN regexp_full_match({name}, '[-+]?[0-9]+') THEN TRY_CAST({name} AS BIGINT) END"
    )


def _as_integers(rows: pa.Table, names: tuple[str, ...]) -> pa.Table:
    """The same rows with these columns of text as integers, NULL where the text is none."""
    import duckdb

    columns = [f"{strict_integer(name)} AS {name}" if name in names else name for name in rows.column_names]
    with duckdb.connect(config={"threads": 1}) as db:
        db.register("as_text", rows)
        return db.sql(f"SELECT {', '.join(columns)} FROM as_text").to_arrow_table()
