"""The gate through which raw rows enter DuckDB: each is kept, or counted under the reason why it cannot be used.

read = kept + rejected, always. Rows of a wrong form stop the run early; of what is rejected, the first lines of each
reason are kept as they stand in the file.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lrea_cli.console.counts import counted
from lrea_cli.console.progress import Progress, ignore
from lrea_cli.console.terminal import clean
from lrea_cli.dataset.fields import SourceFile
from lrea_cli.errors import LreaError, UserError
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.sources.blocks import LINE, ROWS_AT_MOST, Block, joined, read_ahead
from lrea_cli.prepare.sources.hints import Hint, Refused, advice
from lrea_cli.prepare.sources.rawfile import RawFile
from lrea_cli.prepare.sources.text import UTF8
from lrea_cli.prepare.sql import identifier, literal

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

REJECTED_PER_REASON = 1_000
TEXT_CAP = 500
FEW = 100
"""So many rows of a wrong form stop no run, unless none is allowed: in a small file they are no share to speak of."""

QUOTED = 3
LOST_KEPT, LOST_SHOWN = 20, 3
INCOMING = "incoming"


class ReadsRows(Protocol):
    """A raw file, of text or Parquet."""

    path: Path

    @property
    def source(self) -> SourceFile: ...

    @property
    def content(self) -> str:
        """A hash of what it holds, unpacked; empty where it was not read to its end."""
        ...


class TextForm(Protocol):
    """How text becomes rows: `Delimited`, `JsonLines`, .."""

    def blocks(self, file: RawFile, size: int) -> Iterator[Block]:
        """The rows of a file, about `size` bytes at a time."""
        ...


class Rejected(NamedTuple):
    """A row that cannot be used."""

    file: str
    line: int
    reason: str
    text: str


class Began(NamedTuple):
    """Where a file begins: its first `source_row`, which is `lines_before` and its line."""

    source_row: int
    lines_before: int
    file: str


@dataclass
class Lost:
    """Values of a field that are there and could not be read: how many, and some of the first."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    @property
    def first_values(self) -> list[str]:
        """The first different ones."""
        return list(dict.fromkeys(self.first))[:LOST_SHOWN]


@dataclass(frozen=True)
class Judge:
    """How a block's columns become rows of a table.

    Args:
        cast: name -> SQL over the block's columns. reason: SQL over those names: NULL, or why the row cannot be used.
        values: column of the table -> SQL over those names.
        remedy: what to do where rows have a wrong form.
        unwanted: reasons that say nothing against the form of the file: the protocol leaves such rows out.
        nanoseconds: SQL over those names: the time beyond the whole second, which orders events inside it.
        lost: field -> one of those names: the text of a value that is there and could not be read, else NULL.
        shown: reason -> one of those names: the text of the value that the reason is about.
        hints: reason -> what to do, as the values that were rejected tell; where none does, there is the remedy.
    """

    cast: Mapping[str, str]
    reason: str
    values: Mapping[str, str]
    remedy: str
    unwanted: frozenset[str] = frozenset()
    nanoseconds: str = "0"
    lost: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, str] = field(default_factory=dict)
    hints: Mapping[str, Hint] = field(default_factory=dict)

    @property
    def shown_sql(self) -> str:
        """SQL over `judged`: the text of the value that a row was rejected for, or NULL."""
        cases = " ".join(f"WHEN {literal(reason)} THEN {name}" for reason, name in self.shown.items())
        return f"CASE _reason {cases} END" if cases else "CAST(NULL AS VARCHAR)"

    @property
    def judged(self) -> str:
        """SQL for the block's rows: what was cast, and `_reason`."""
        cast = ", ".join(f"{sql} AS {name}" for name, sql in self.cast.items())
        return f"(SELECT *, {self.reason} AS _reason FROM (SELECT {LINE}, {cast} FROM {INCOMING}))"


def common_folder(files: Sequence[Path]) -> Path | None:
    """The innermost folder that holds all files."""
    parents = {str(path.absolute().parent) for path in files}
    return Path(os.path.commonpath(parents)) if parents else None


@dataclass
class Intake:
    """Takes blocks of rows into one table of `db`.

    Args:
        max_rejected: the largest share of rows with a wrong form. threads: that may parse.
        block_bytes: of text, parsed at once. bytes_at_once: of text and rows, inserted at once.
        progress: is told the bytes read of raw files.
        encoding: of text. folder: by paths from it files are named. first_bytes: to read of each file; None = all.

    Attributes:
        read: rows so far. lines: of their files, headers counted. wrong: rows with a wrong form.
        rejected: count by reason. files: what was read.
        examples: of rejected rows the first of each reason. began: where each file begins.
        contents: of files that gave rows, with how they were read -> the file's name.
        lost: of kept rows, by field.
        refused: of rejected rows the first values, by reason. hints: of all files, by reason.
    """

    db: duckdb.DuckDBPyConnection
    max_rejected: float = 1.0
    threads: int = 2
    block_bytes: int = 1 << 23
    bytes_at_once: int = 1 << 27
    progress: Progress = ignore
    encoding: str = UTF8
    folder: Path | None = None
    first_bytes: int | None = None
    read: int = 0
    lines: int = 0
    wrong: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    files: list[SourceFile] = field(default_factory=list)
    examples: list[Rejected] = field(default_factory=list)
    began: list[Began] = field(default_factory=list)
    contents: dict[tuple[str, str], str] = field(default_factory=dict)
    lost: dict[str, Lost] = field(default_factory=dict)
    refused: dict[str, list[str]] = field(default_factory=dict)
    hints: dict[str, Hint] = field(default_factory=dict)

    @classmethod
    def of_options(
        cls,
        db: duckdb.DuckDBPyConnection,
        options: PrepareOptions,
        files: Sequence[Path],
        progress: Progress = ignore,
        first_bytes: int | None = None,
    ) -> Intake:
        """An intake for the raw files of one log, as the options say."""
        return cls(
            db,
            options.rejected_share,
            options.thread_count,
            options.block_bytes,
            options.bytes_at_once,
            progress,
            options.text_encoding,
            common_folder(files),
            first_bytes,
        )

    @property
    def kept(self) -> int:
        return self.read - self.rejected.total()

    def beside(self) -> Intake:
        """For another table (a catalog of items): it counts its own rows, files and examples are shared."""
        empty: dict[str, Any] = {name: {} for name in ("contents", "lost", "refused", "hints")}
        return replace(self, read=0, lines=0, wrong=0, rejected=Counter(), began=[], **empty)

    def text(self, path: Path) -> RawFile:
        """A file of text, to be read as the options say."""
        return RawFile(path, self.progress, self.encoding, self.first_bytes)

    def name_of(self, path: Path) -> str:
        """A file's name, with the folders that tell it from others of that name."""
        path = path.absolute()
        if self.folder is None or not path.is_relative_to(self.folder):
            return clean(path.name)
        return clean(path.relative_to(self.folder).as_posix())

    def create(self, table: str, columns: Mapping[str, str]) -> None:
        """An empty table with `source_row` and the given columns (name -> SQL type)."""
        typed = "".join(f", {identifier(name)} {kind}" for name, kind in columns.items())
        self.db.execute(f"CREATE TABLE {table} (source_row BIGINT{typed})")

    def take(self, file: ReadsRows, blocks: Iterator[Block], judge: Judge, into: str) -> None:
        """Take the rows of one file; `source_row` goes on from the lines of the files before.

        Raises:
            UserError: the file cannot be read, too many rows have a wrong form, or another file held the same rows.
        """
        import pyarrow as pa

        before, rows_before, name = self.lines, self.read, self.name_of(file.path)
        self.hints |= judge.hints
        for together in read_ahead(joined(blocks, self.bytes_at_once)):
            if self.read == rows_before:
                self.began.append(Began(before + together[0].first, before, name))
            self.db.register(INCOMING, pa.concat_tables([block.rows for block in together]))
            try:
                self._take(name, before, together, judge, into)
            finally:
                self.db.unregister(INCOMING)
            self.lines = before + together[-1].last
            if self.kept or self.read > FEW:
                self._check_wrong(judge)
        if self.read > rows_before:
            self._check_new(file, name, judge)
        self.files.append(replace(file.source, name=name))

    def take_text(self, path: Path, form: TextForm, judge: Judge, into: str) -> None:
        """Take the rows of one text file, plain or packed.

        Raises:
            UserError: as `take`.
        """
        file = self.text(path)
        self.take(file, form.blocks(file, self.block_bytes), judge, into)

    def require_some(self, files: Iterable[Path], remedy: str) -> None:
        """Refuse what gave no row.

        Raises:
            UserError: naming the first rejected row, and what to do, as the rejected values tell; else `remedy`.
        """
        if not self.kept:
            names = ", ".join(clean(path) for path in list(files)[:3])
            said = f"No row of {names} can be used.{_quote(self._own_examples()[:1])}"
            raise UserError(said, self._advice(self.rejected) or remedy)

    def reject_later(self, reason: str, count: int, rows: str) -> None:
        """Count rows that were kept at first.

        Args:
            rows: SQL for `source_row` and `text` of all of them.
        """
        if not count:
            return
        self.rejected[reason] += count
        first = (
            f"SELECT source_row % {ROWS_AT_MOST} AS line, text FROM ({rows}) ORDER BY line LIMIT {REJECTED_PER_REASON}"
        )
        for source_row, text in self.db.execute(first).fetchall():
            began = self.began[bisect_right(self.began, source_row, key=lambda b: b.source_row) - 1]
            self.examples.append(Rejected(began.file, source_row - began.lines_before, reason, text[:TEXT_CAP]))

    def check_published(self, published: Mapping[str, int]) -> None:
        """Compare counts with what is known of the file.

        Raises:
            LreaError: they differ.
        """
        counts = {name: self.kept if name == "kept" else self.rejected[name] for name in published}
        if counts != dict(published):
            raise LreaError(
                f"The file is the published one, yet counts differ: found {counts}, expected {dict(published)}.",
                "This is a defect of lrea: please report it.",
            )

    def rejected_table(self) -> pa.Table:
        """file, line, reason and text of the examples, in this order."""
        import pyarrow as pa

        kinds = (pa.string(), pa.int64(), pa.string(), pa.string())
        columns = zip(*sorted(self.examples), strict=True) if self.examples else ((), (), (), ())
        return pa.table(
            {name: pa.array(c, kind) for name, c, kind in zip(Rejected._fields, columns, kinds, strict=True)}
        )

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

    def _check_new(self, file: ReadsRows, name: str, judge: Judge) -> None:
        """Refuse a file whose rows were taken already from another one."""
        if not file.content:
            return
        key = (file.content, judge.judged)
        if key in self.contents:
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

    def _own_examples(self) -> list[Rejected]:
        """Those of this table's files, which `beside` shares with others."""
        names = {began.file for began in self.began}
        return sorted(r for r in self.examples if r.file in names)

    def _check_wrong(self, judge: Judge) -> None:
        if self.wrong > max(self.max_rejected * self.read, FEW if self.max_rejected else 0):
            bad = [r for r in self._own_examples() if r.reason not in judge.unwanted]
            what_to_do = self._advice(set(self.rejected) - judge.unwanted) or judge.remedy
            without = f" To leave such rows out: --max-rejected {ceil(100 * self.wrong / self.read)}%."
            raise UserError(
                f"{self.wrong:,} of the first {counted(self.read, 'row')} cannot be used: more than --max-rejected "
                f"{self.max_rejected:.2%}.{_quote(bad[:QUOTED])}",
                what_to_do + (without if self.kept else ""),
            )

    def _advice(self, reasons: Iterable[str]) -> str:
        values = {reason: list(dict.fromkeys(self.refused.get(reason, ()))) for reason in reasons}
        return advice(self.hints, {r: Refused(self.rejected[r], self.read, some) for r, some in values.items()})


def _quote(rows: Iterable[Rejected]) -> str:
    return "".join(f" {clean(file)}, line {line}: {reason}: {text!r}." for file, line, reason, text in rows)
