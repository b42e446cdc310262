"""The gate through which raw rows enter DuckDB: each is kept, or counted under the reason why it cannot be used."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lrea_cli.console.progress import Progress, ignore
from lrea_cli.console.terminal import clean
from lrea_cli.dataset.fields import SourceFile
from lrea_cli.errors import UserError
from lrea_cli.prepare.reading.blocks import LINE, ROWS_AT_MOST, Block, joined, read_ahead
from lrea_cli.prepare.reading.judge import INCOMING, REJECTED_PER_REASON, TEXT_CAP, Account, Judge, Lost, Rejected
from lrea_cli.prepare.reading.parquet import ParquetRows
from lrea_cli.prepare.reading.rawfile import RawFile
from lrea_cli.prepare.sql import identifier

if TYPE_CHECKING:
    import duckdb

LOST_KEPT = 20


class TextForm(Protocol):
    """How text becomes rows: `Delimited`, `JsonLines`, .."""

    def blocks(self, file: RawFile, size: int, threads: int) -> Iterator[Block]:
        """The rows of a file, about `size` bytes of text at a time; UserError where it cannot be read in this form."""
        ...


def common_folder(files: Sequence[Path]) -> Path | None:
    """The innermost folder that holds all files."""
    return Path(os.path.commonpath([path.absolute().parent for path in files])) if files else None


@dataclass
class Intake(Account):
    """Takes blocks of rows into one table of `db`.

    Args:
        progress: is told the bytes read of raw files.
        folder: by paths from it files are named.
        first_bytes: to read of each file; None = all.

    Attributes:
        lines: of the files so far, headers counted.
        files: what was read.
        contents: of files that gave rows, with how they were read -> the file's name.
    """

    db: duckdb.DuckDBPyConnection
    progress: Progress = ignore
    folder: Path | None = None
    first_bytes: int | None = None
    lines: int = 0
    files: list[SourceFile] = field(default_factory=list)
    contents: dict[tuple[str, str], str] = field(default_factory=dict)

    def beside(self) -> Intake:
        """For another table (a catalog of items): it counts its own rows, files and examples are shared."""
        where = (self.db, self.progress, self.folder, self.first_bytes)
        return Intake(*where, files=self.files, examples=self.examples, options=self.options)

    def text(self, path: Path) -> RawFile:
        """A file of text, to be read as the options say."""
        return RawFile(path, self.progress, self.options.text_encoding, self.first_bytes)

    def name_of(self, path: Path) -> str:
        """A file's name, with the folders that tell it from others of that name."""
        path = path.absolute()
        if self.folder is None or not path.is_relative_to(self.folder):
            return clean(path.name)
        return clean(path.relative_to(self.folder).as_posix())

    def create(self, table: str, columns: Mapping[str, str]) -> None:
        """Create an empty table with `source_row` and the given columns (name -> SQL type)."""
        typed = "".join(f", {identifier(name)} {kind}" for name, kind in columns.items())
        self.db.execute(f"CREATE TABLE {table} (source_row BIGINT{typed})")

    def take(self, file: RawFile | ParquetRows, blocks: Iterator[Block], judge: Judge, into: str) -> None:
        """Take the rows of one file; `source_row` goes on from the lines of the files before.

        Raises:
            UserError: the file cannot be read, too many rows have a wrong form, or another file held the same rows.
        """
        import pyarrow as pa

        before, rows_before, name = self.lines, self.read, self.name_of(file.path)
        self.hints |= {reason: hint for reason, (_, hint) in judge.hints.items()}
        for together in read_ahead(joined(blocks, self.options.bytes_at_once)):
            self.began.setdefault(name, before)
            self.db.register(INCOMING, pa.concat_tables([block.rows for block in together]))
            try:
                self._take(name, before, together, judge, into)
            finally:
                self.db.unregister(INCOMING)
            self.lines = before + together[-1].last
            self.check_wrong(judge)
        if self.read > rows_before:
            self._check_new(file, name, judge)
        self.files.append(replace(file.source, name=name))

    def take_text(self, path: Path, form: TextForm, judge: Judge, into: str) -> None:
        """Take the rows of one text file, plain or packed; it raises as `take` does."""
        file = self.text(path)
        self.take(file, form.blocks(file, self.options.block_bytes, self.options.thread_count), judge, into)

    def reject_later(self, reason: str, count: int, rows: str) -> None:
        """Count rows that were kept at first; `rows` is SQL for `source_row` and `text` of all of them."""
        if not count:
            return
        self.rejected[reason] += count
        first = (
            f"SELECT source_row % {ROWS_AT_MOST} AS line, text FROM ({rows}) ORDER BY line LIMIT {REJECTED_PER_REASON}"
        )
        began = list(self.began.items())
        for line, text in self.db.execute(first).fetchall():
            file, before = began[bisect_left(began, line, key=lambda pair: pair[1]) - 1]
            self.examples.append(Rejected(file, line - before, reason, text[:TEXT_CAP]))

    def _take(self, name: str, before: int, blocks: list[Block], judge: Judge, into: str) -> None:
        columns = ", ".join(map(identifier, judge.values))
        row = f"({judge.nanoseconds}) * {ROWS_AT_MOST} + {before} + {LINE}"
        inserted = self.db.execute(
            f"INSERT INTO {into} (source_row, {columns}) "
            f"SELECT {row}, {', '.join(judge.values.values())} FROM {judge.judged} WHERE _reason IS NULL"
        ).fetchall()[0][0]
        if judge.lost:
            self._count_lost(judge)
        rejected: list[tuple[str, int, list[int], list[str] | None]] = []
        if inserted < sum(block.rows.num_rows for block in blocks):
            shown = f"arg_min(left({judge.shown_sql}, {TEXT_CAP}), {LINE}, {REJECTED_PER_REASON})"
            rejected = self.db.execute(
                f"SELECT _reason, count(*), min({LINE}, {REJECTED_PER_REASON}), coalesce({shown}, []) "
                f"FROM {judge.judged} WHERE _reason IS NOT NULL GROUP BY _reason ORDER BY _reason"
            ).fetchall()
        if malformed := [line for block in blocks for line in block.malformed]:
            rejected.append((blocks[0].fault, len(malformed), malformed, None))
        starts = [block.first for block in blocks]
        for reason, count, lines, values in rejected:
            first = lines[: max(0, REJECTED_PER_REASON - self.rejected[reason])]
            texts = [blocks[bisect_right(starts, n) - 1].text(n)[:TEXT_CAP] for n in first]
            self.examples += [Rejected(name, n, reason, text) for n, text in zip(first, texts, strict=True)]
            self.refused.setdefault(reason, []).extend((texts if values is None else values)[: len(first)])
            self.rejected[reason] += count
            self.wrong += count if reason not in judge.unwanted else 0
        self.read += sum(block.count for block in blocks)

    def _check_new(self, file: RawFile | ParquetRows, name: str, judge: Judge) -> None:
        """Refuse a file whose rows were taken already from another one."""
        key = (file.content, judge.judged)
        if file.content and key in self.contents:
            raise UserError(
                f"{clean(self.contents[key])} and {clean(name)} hold the same rows.",
                "Name one of them with --raw, or move one away.",
            )
        self.contents[key] = name

    def _count_lost(self, judge: Judge) -> None:
        columns = ", ".join(f"count({x}), arg_min({x}, {LINE}, {LOST_KEPT})" for x in judge.lost.values())
        counts = self.db.execute(f"SELECT {columns} FROM {judge.judged} WHERE _reason IS NULL").fetchall()[0]
        for name, count, first in zip(judge.lost, counts[::2], counts[1::2], strict=True):
            lost = self.lost.setdefault(name, Lost())
            lost.count += count
            lost.first += (first or [])[: LOST_KEPT - len(lost.first)]
