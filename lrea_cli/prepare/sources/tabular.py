"""Any file of rows with named columns: Parquet, JSON lines or delimited text, and the columns its folders name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from lrea_cli.console.terminal import clean
from lrea_cli.errors import UserError
from lrea_cli.prepare.sources.blocks import Block
from lrea_cli.prepare.sources.delimited import Delimited
from lrea_cli.prepare.sources.header import TextLayout, read_header
from lrea_cli.prepare.sources.intake import Intake
from lrea_cli.prepare.sources.json_lines import JsonRows, is_json_lines, read_keys
from lrea_cli.prepare.sources.parquet import ParquetRows, is_parquet
from lrea_cli.prepare.sources.rawfile import RawFile
from lrea_cli.prepare.sql import literal

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Chosen:
    """Some columns of a file, ready to be read.

    Args:
        file: as the intake knows it.
        values: name -> SQL of the column's values in the rows of the blocks, and its SQL type.
    """

    file: RawFile | ParquetRows
    values: dict[str, tuple[str, str]]
    blocks: Iterator[Block]


@dataclass(frozen=True)
class TabularFile:
    """A file of rows with named columns.

    Args:
        path: of the file.
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
        """Read some columns, all of which are among `names`.

        Raises:
            UserError: a column stands both in the file and in the name of a folder, or holds no single values.
        """
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
    """Open a file by its name and its first bytes, and see its columns.

    Raises:
        UserError: it is empty, damaged, or of no form that is read.
    """
    folders = folder_columns(path)
    if is_parquet(path):
        _refuse_layout(path, "Parquet", layout)
        rows = ParquetRows(path, intake.progress, intake.first_bytes)
        return TabularFile(
            path, rows.names, folders, lambda wanted: Chosen(rows, rows.values(wanted), rows.blocks(wanted))
        )

    def of_text(form: Delimited | JsonRows) -> Chosen:
        file, values = intake.text(path), {name: (sql, "VARCHAR") for name, sql in form.columns.items()}
        return Chosen(file, values, form.blocks(file, intake.block_bytes))

    if is_json_lines(path, intake.text(path).start()):
        _refuse_layout(path, "JSON", layout)
        names = read_keys(intake.text(path))
        return TabularFile(path, names, folders, lambda wanted: of_text(JsonRows(tuple(wanted), intake.threads)))
    names, separation = read_header(intake.text(path), layout)
    form = Delimited(names, not layout.names, separation, threads=intake.threads)
    return TabularFile(path, names, folders, lambda _: of_text(form), form)


def folder_columns(path: Path) -> dict[str, str | None]:
    """Columns in the names of a file's folders, as Hive writes them: day=2024-01-01."""
    pairs = (part.split("=", 1) for part in path.parent.parts if "=" in part)
    return {unquote(name): None if value == NO_VALUE else unquote(value) for name, value in pairs if name}


def _refuse_layout(path: Path, form: str, layout: TextLayout) -> None:
    for option, given in (
        ("--columns", layout.names),
        ("--delimiter", layout.delimiter),
        ("--no-quotes", not layout.quoted),
        ("--backslash", layout.backslash),
    ):
        if given:
            raise UserError(f"{clean(path)} is {form}: {option} means nothing there.", f"Leave {option} out.")
