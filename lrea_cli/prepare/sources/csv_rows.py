"""The one call of pyarrow's CSV parser, and delimiters of several characters, which it does not take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lrea_cli.errors import UserError

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


@dataclass(frozen=True)
class Separation:
    """How values stand apart in a line.

    Args:
        delimiter: one or more characters.
        quoted: values may stand in double quotes.
        backslash: a backslash escapes the character after it.
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
