"""Files of rows with named columns: Parquet, JSON lines or delimited text, and the columns that their folders name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

from lrea_cli.console.terminal import clean
from lrea_cli.dataset.spelling import BLANKS
from lrea_cli.errors import UserError, nearest
from lrea_cli.prepare.reading.blocks import Block
from lrea_cli.prepare.reading.delimited import DELIMITERS, SPELLED, Delimited, Separation, read_csv
from lrea_cli.prepare.reading.forms import EmptyFile
from lrea_cli.prepare.reading.hints import of_header
from lrea_cli.prepare.reading.intake import Intake
from lrea_cli.prepare.reading.json_lines import JsonRows, is_json_lines, read_keys
from lrea_cli.prepare.reading.parquet import ParquetRows, is_parquet
from lrea_cli.prepare.reading.rawfile import RawFile
from lrea_cli.prepare.sql import literal

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
USUAL_NAMES = ("user", "item", "time")
"""Of columns, where no option says others."""

LONGEST_NAME, MOST_NAMES = 60, 40
"""Of the columns that a message lists."""

UNSAID = Separation("")


@dataclass(frozen=True)
class TextLayout:
    """What options say of delimited text; what they leave open is seen from its first line.

    Args:
        names: of all columns, in order; the first line is then data. Empty = it holds the names.
        separation: its delimiter may be empty: the most frequent in the first line of tab , ; | and ::.
    """

    names: tuple[str, ...] = ()
    separation: Separation = UNSAID

    @classmethod
    def of_options(cls, columns: str | None, delimiter: str | None, quotes: bool, backslash: bool) -> TextLayout:
        """Read `--columns`, `--delimiter`, `--no-quotes` and `--backslash`; UserError: one is impossible."""
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
        return cls(names, Separation(delimiter or "", quotes, backslash))


@dataclass(frozen=True)
class Chosen:
    """Some columns of a file, ready to be read.

    Args:
        values: name -> SQL of the column's values in the rows of the blocks, and its SQL type.
    """

    file: RawFile | ParquetRows
    values: dict[str, tuple[str, str]]
    blocks: Iterator[Block]


@dataclass(frozen=True)
class TabularFile:
    """A file of rows with named columns.

    Args:
        own: the names of the columns in the file.
        folders: columns that its folders name, as in `day=2024-01-01`, and their values.
        delimited: the form of delimited text; None: it is a file of another form.
    """

    path: Path
    own: tuple[str, ...]
    folders: dict[str, str | None]
    _choose: Callable[[Sequence[str]], Chosen]
    delimited: Delimited | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.own, *(name for name in self.folders if name not in self.own))

    def choose(self, wanted: Sequence[str]) -> Chosen:
        """Read some of `names`; UserError: the file and a folder both have one, or it holds no single values."""
        for name in wanted:
            if name in self.own and name in self.folders:
                raise UserError(
                    f"{clean(self.path)} has a column '{clean(name)}', and so has the name of its folder.",
                    "Rename the folder or the column: it is not said which one counts.",
                )
        chosen = self._choose([name for name in wanted if name in self.own])
        for name in set(wanted) - set(self.own):
            value = self.folders[name]
            chosen.values[name] = ("CAST(NULL AS VARCHAR)" if value is None else literal(value), "VARCHAR")
        return chosen


def open_table(path: Path, intake: Intake, layout: TextLayout) -> TabularFile:
    """Open a file by its name and first bytes; UserError: it is empty, damaged, or of no form that is read."""
    folders = folder_columns(path)
    if is_parquet(path):
        _refuse_layout(path, "Parquet", layout)
        rows = ParquetRows(path, intake.progress, intake.first_bytes)
        check_unique(path, rows.names)
        return TabularFile(
            path, rows.names, folders, lambda wanted: Chosen(rows, rows.values(wanted), rows.blocks(wanted))
        )

    def of_text(form: Delimited | JsonRows) -> Chosen:
        file, values = intake.text(path), {name: (sql, "VARCHAR") for name, sql in form.columns.items()}
        return Chosen(file, values, form.blocks(file, intake.options.block_bytes, intake.options.thread_count))

    if is_json_lines(path, intake.text(path).start()):
        _refuse_layout(path, "JSON", layout)
        names = read_keys(intake.text(path))
        return TabularFile(path, names, folders, lambda wanted: of_text(JsonRows(tuple(wanted))))
    names, separation = read_header(intake.text(path), layout)
    form = Delimited(names, not layout.names, separation)
    return TabularFile(path, names, folders, lambda _: of_text(form), form)


def folder_columns(path: Path) -> dict[str, str | None]:
    """Columns in the names of a file's folders, as Hive writes them: day=2024-01-01."""
    pairs = (part.split("=", 1) for part in path.parent.parts if "=" in part)
    return {unquote(name): None if value == NO_VALUE else unquote(value) for name, value in pairs if name}


def _refuse_layout(path: Path, form: str, layout: TextLayout) -> None:
    for option, given in (
        ("--columns", layout.names),
        ("--delimiter", layout.separation.delimiter),
        ("--no-quotes", not layout.separation.quoted),
        ("--backslash", layout.separation.backslash),
    ):
        if given:
            raise UserError(f"{clean(path)} is {form}: {option} means nothing there.", f"Leave {option} out.")


def check_columns(path: Path, existing: Iterable[str], wanted: Mapping[str, str]) -> None:
    """Raise a UserError where a wanted column (name -> what to do then) is missing, with the nearest and all names."""
    names = list(existing)
    for column, remedy in wanted.items():
        if column not in names:
            raise UserError(
                f"{clean(path)} has no column '{column}'{clean(nearest(column, names))}. It has: {_listed(names)}.",
                remedy,
            )


def _listed(names: list[str]) -> str:
    """The first columns of a file, as a message may show them."""
    short = [
        name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}.." for name in shown_names(names)[:MOST_NAMES]
    ]
    return clean(", ".join(short) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""))


def read_header(file: RawFile, layout: TextLayout = TextLayout()) -> tuple[tuple[str, ...], Separation]:
    """The names of the columns, and how values stand apart; UserError: there is no line, or two have one name."""
    line = file.start().partition(b"\n")[0]
    if not line.strip():
        mend = "The first line must hold the names of the columns; or name them with --columns."
        raise EmptyFile(file.path, "has no header line", mend)
    delimiter = layout.separation.delimiter or max(DELIMITERS, key=lambda d: line.count(d.encode()))
    separation = replace(layout.separation, delimiter=delimiter)
    names = layout.names or tuple(name.strip(BLANKS) for name in _values(line, separation))
    check_unique(file.path, names, "" if layout.names else of_header(names, USUAL_NAMES))
    return names, separation


def check_unique(path: Path, names: Sequence[str], hint: str = "") -> None:
    """Raise a UserError where two columns have one name; several may have none, since no option can name these."""
    if repeated := sorted({name for name in names if name and names.count(name) > 1}):
        message = f"{clean(path)} has more than one column named '{clean(repeated[0])}'."
        raise UserError(message, hint or "Rename one of them.")


def shown_names(names: Sequence[str]) -> list[str]:
    """The names of all columns as a message has them: one without a name by its place."""
    return [name or f"column {number} (no name)" for number, name in enumerate(names, 1)]


def _values(line: bytes, separation: Separation) -> tuple[str, ...]:
    """One line's values, read as those of all lines are."""
    import pyarrow as pa

    try:
        row = read_csv(line + b"\n", (), separation)
    except pa.ArrowInvalid:  # a quote that is never closed
        return tuple(line.decode().split(separation.delimiter))
    return tuple(row.slice(0, 1).to_pylist()[0].values())
