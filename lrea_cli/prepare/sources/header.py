"""The first line of delimited text: the names of its columns, and what separates them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lrea_cli.console.terminal import clean
from lrea_cli.dataset.spelling import BLANKS
from lrea_cli.errors import UserError
from lrea_cli.prepare.sources.csv_rows import DELIMITERS, SPELLED, Separation, read_csv
from lrea_cli.prepare.sources.forms import EmptyFile
from lrea_cli.prepare.sources.hints import of_header
from lrea_cli.prepare.sources.rawfile import RawFile

USUAL_NAMES = ("user", "item", "time")
"""Of columns, where no option says others."""


@dataclass(frozen=True)
class TextLayout:
    """What options say of delimited text; what they leave open is seen from its first line.

    Args:
        names: of all columns, in order; the first line is then data. Empty = it holds the names.
        delimiter: one or more characters; None = the most frequent in the first line of tab , ; | and ::.
        quoted: values may stand in double quotes.
        backslash: a backslash escapes the character after it.
    """

    names: tuple[str, ...] = ()
    delimiter: str | None = None
    quoted: bool = True
    backslash: bool = False

    @classmethod
    def of_options(cls, columns: str | None, delimiter: str | None, quotes: bool, backslash: bool) -> TextLayout:
        """Read the options `--columns`, `--delimiter`, `--no-quotes` and `--backslash`.

        Raises:
            UserError: one is impossible.
        """
        names = tuple(name.strip() for name in columns.split(",")) if columns is not None else ()
        if columns is not None and not any(names):
            raise UserError(f"--columns is '{columns}'.", "Write the names of all columns: --columns user,item,time.")
        if repeated := sorted({name for name in names if name and names.count(name) > 1}):
            raise UserError(f"--columns has '{repeated[0]}' more than once.", "Give each column a name of its own.")
        if delimiter is not None:
            delimiter = SPELLED.get(delimiter, delimiter)
            if not delimiter or any(c in '\r\n"\\' or c.isalnum() for c in delimiter):
                raise UserError(
                    f"--delimiter is '{clean(delimiter)}'.",
                    "Use what stands between values, such as ';', '::' or tab.",
                )
        return cls(names, delimiter, quotes, backslash)


def read_header(file: RawFile, layout: TextLayout | None = None) -> tuple[tuple[str, ...], Separation]:
    """Return the names of the columns, without blanks at their ends, and how values stand apart.

    Raises:
        UserError: the file is empty or unreadable, or two columns have one name.
    """
    layout = layout or TextLayout()
    line = file.start().partition(b"\n")[0]
    if not line.strip():
        mend = "The first line must hold the names of the columns; or name them with --columns."
        raise EmptyFile(file.path, "has no header line", mend)
    delimiter = layout.delimiter or max(DELIMITERS, key=lambda d: line.count(d.encode()))
    separation = Separation(delimiter, layout.quoted, layout.backslash)
    names = layout.names or tuple(name.strip(BLANKS) for name in _values(line, separation))
    check_unique(file.path, names, "" if layout.names else of_header(names, USUAL_NAMES))
    return names, separation


def check_unique(path: Path, names: Sequence[str], hint: str = "") -> None:
    """Refuse two columns of one name; several may have none, since no option can name these.

    Raises:
        UserError: two have one name; `hint`, if any, says what to do.
    """
    if repeated := sorted({name for name in names if name and names.count(name) > 1}):
        message = f"{clean(path)} has more than one column named '{clean(repeated[0])}'."
        raise UserError(message, hint or "Rename one of them.")


def shown_names(names: Sequence[str]) -> list[str]:
    """The names of all columns of a file as a message has them: one without a name by its place."""
    return [name or f"column {number} (no name)" for number, name in enumerate(names, 1)]


def _values(line: bytes, separation: Separation) -> tuple[str, ...]:
    """One line's values, read as those of all lines are."""
    import pyarrow as pa

    try:
        row = read_csv(line + b"\n", (), separation)
    except pa.ArrowInvalid:  # a quote that is never closed
        return tuple(line.decode().split(separation.delimiter))
    return tuple(row.slice(0, 1).to_pylist()[0].values())
