"""Delimited text as blocks of rows, with the line number of every row, good or bad: the one call of pyarrow's parser.

What it takes care of, so that no source has to: rows with a wrong number of columns, stray quotes, escaped quotes,
empty lines, numbers that are none, and what `rawfile.py` does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lrea_cli.console.counts import counted
from lrea_cli.console.terminal import clean
from lrea_cli.errors import UserError
from lrea_cli.prepare.reading.blocks import LINE, Block, Lines, numbered
from lrea_cli.prepare.reading.rawfile import RawFile, unreadable
from lrea_cli.prepare.sql import strict_integer

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.csv import InvalidRow

DELIMITERS = ("\t", "::", ",", ";", "|")
"""One of which is taken where no option names it."""

SPELLED = {"\\t": "\t", "tab": "\t", "space": " "}
"""Words for delimiters that a command line does not show; the last one of each is what messages write."""

PIECE_BYTES = 1 << 21
STAND_INS = "\x1f\x1e\x1d\x1c\x01\x02\x03\x04"
"""Control characters, one of which stands for a delimiter of several characters."""

Handler = Callable[["InvalidRow"], str]
PLAIN = b"0123456789-,\nabcdefghijklmnopqrstuvwyz"
"""A block of these bytes alone has no quote, space, sign +, or hexadecimal 0x, which the fast parser would read
otherwise than `strict_integer`."""

QUOTED_CHARACTERS = 200


@dataclass(frozen=True)
class Separation:
    """How values stand apart in a line.

    Args:
        delimiter: one or more characters.
        quoted: values may stand in double quotes.
        backslash: it escapes the character after it.
    """

    delimiter: str = ","
    quoted: bool = True
    backslash: bool = False


COMMAS = Separation()

PLAIN_COMMAS = Separation(quoted=False)


def read_csv(
    data: bytes,
    names: Sequence[str],
    separation: Separation,
    threads: bool = False,
    integers: Sequence[str] = (),
    handler: Handler | None = None,
) -> pa.Table:
    """Parse whole lines of UTF-8: text, but for `integers`.

    Args:
        names: of the columns; none: f0, f1, .. as many as the first line has.
        handler: is asked about lines with a wrong number of columns.

    Raises:
        pa.ArrowInvalid: a line has a wrong number of columns and there is no handler, or is too long for one thread.
    """
    import pyarrow as pa
    from pyarrow import csv

    data, delimiter = _one_character(data, separation.delimiter)
    known = names or [f"f{n}" for n in range(data.count(delimiter.encode()) + 1)]
    rows = csv.read_csv(
        pa.BufferReader(data),
        csv.ReadOptions(
            use_threads=threads,
            block_size=PIECE_BYTES if threads else len(data) + 1,
            column_names=names or None,
            autogenerate_column_names=not names,
        ),
        csv.ParseOptions(
            delimiter=delimiter,
            quote_char='"' if separation.quoted else False,
            escape_char="\\" if separation.backslash else False,
            ignore_empty_lines=False,
            invalid_row_handler=handler,
        ),
        csv.ConvertOptions(
            column_types={name: pa.int64() if name in integers else pa.string() for name in known},
            null_values=[],
            strings_can_be_null=False,
        ),
    )
    in_values = separation.quoted and delimiter != separation.delimiter and b'"' in data
    return _restored(rows, delimiter, separation.delimiter) if in_values else rows


def _one_character(data: bytes, delimiter: str) -> tuple[bytes, str]:
    """Put a character that the text does not hold in the place of a delimiter that pyarrow does not take."""
    if len(delimiter.encode()) == 1:
        return data, delimiter
    free = next((c for c in STAND_INS if c.encode() not in data), None)
    if free is None:
        raise UserError(
            f"The text holds the delimiter '{delimiter}' and too many control characters.",
            "Export it with a delimiter of one character.",
        )
    return data.replace(delimiter.encode(), free.encode()), free


def _restored(rows: pa.Table, stand_in: str, delimiter: str) -> pa.Table:
    """The same, with the delimiter where it stood inside a quoted value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    options = pc.ReplaceSubstringOptions(stand_in, delimiter)
    columns = [pc.call_function("replace_substring", [column], options) for column in rows.columns]
    return pa.table(columns, rows.column_names)


@dataclass(frozen=True)
class Delimited:
    """The form of delimited text.

    Args:
        names: of all columns, in order.
        has_header: the first line is not data.
        separation: how values stand apart; quoted values may not go on in the next line.
        integers: columns that hold 64-bit integers, NULL where the text is none; all others are text.
    """

    names: tuple[str, ...]
    has_header: bool = False
    separation: Separation = COMMAS
    integers: tuple[str, ...] = ()

    @property
    def columns(self) -> dict[str, str]:
        """Name of a column -> its SQL identifier in the blocks."""
        return numbered(self.names)

    @property
    def _integers(self) -> tuple[str, ...]:
        return tuple(self.columns[name] for name in self.integers)

    def blocks(self, file: RawFile, size: int, threads: int) -> Iterator[Block]:
        for lines in file.lines(size):
            if lines.first == 1 and self.has_header:
                lines = Lines(lines.data[lines.data.find(b"\n") + 1 or len(lines.data) :], 2)
            if lines.data:
                yield self._block(file, lines, threads)

    def _block(self, file: RawFile, lines: Lines, threads: int) -> Block:
        if self.integers and (rows := self._parse_plain(lines, threads)):
            return Block(rows, lines.text, text_bytes=len(lines.data))
        if self.separation.quoted and not self.separation.backslash:
            self._check_escapes(file, lines)
        rows, malformed = self._parse(file, lines, threads)
        rows = _as_integers(rows, self._integers) if self.integers else rows
        return Block(rows, lines.text, malformed, len(lines.data))

    def _parse_plain(self, lines: Lines, threads: int) -> pa.Table | None:
        """The fast way: integers are parsed as such; None where a row is not as it should be."""
        import numpy as np
        import pyarrow as pa

        if self.separation.delimiter != "," or lines.data.translate(None, PLAIN):
            return None
        names = [f"c{n}" for n in range(len(self.names))]
        try:
            rows = read_csv(lines.data, names, self.separation, threads > 1, self._integers)
        except pa.ArrowInvalid:
            return None
        if rows.num_rows != lines.count:
            return None
        return rows.append_column(LINE, pa.array(np.arange(rows.num_rows) + lines.first))

    def _parse(self, file: RawFile, lines: Lines, threads: int) -> tuple[pa.Table, list[int]]:
        """Every column as text, and the lines with a wrong number of columns."""
        import numpy as np
        import pyarrow as pa

        malformed: list[int] = []

        def skip(row: InvalidRow) -> str:
            malformed.append(row.number)  # None where several threads parse
            return "skip"

        rows, names = None, [f"c{n}" for n in range(len(self.names))]
        if threads > 1:
            with suppress(pa.ArrowInvalid):  # a line is longer than what one thread takes at once
                rows = read_csv(lines.data, names, self.separation, threads=True, handler=skip)
        if rows is None or malformed:
            malformed.clear()
            try:
                rows = read_csv(lines.data, names, self.separation, handler=skip)
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


def _as_integers(rows: pa.Table, names: tuple[str, ...]) -> pa.Table:
    """The same rows with these columns of text as integers, NULL where the text is none."""
    import duckdb

    columns = [f"{strict_integer(name)} AS {name}" if name in names else name for name in rows.column_names]
    with duckdb.connect(config={"threads": 1}) as db:
        db.register("as_text", rows)
        return db.sql(f"SELECT {', '.join(columns)} FROM as_text").to_arrow_table()
