"""Delimited text as a stream, with the line number of every row, good or bad.

What it takes care of, so that no source has to: rows with a wrong number of columns, stray quotes, empty
lines, CRLF, and what `rawfile.py` does. Every column is text; sources cast it in SQL.
"""

from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lrea_cli.data.schema import REJECTED_CAP, SourceFile
from lrea_cli.data.sources.rawfile import CleanBytes, opened, unreadable
from lrea_cli.errors import UserError
from lrea_cli.workspace import sha256_of

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from pyarrow.csv import CSVStreamingReader, InvalidRow

INCOMING = "incoming"
LINE = "__line"
BLOCK_BYTES = 1 << 20
HEADER_BYTES = 1 << 20


@dataclass
class DelimitedFile:
    """One file of delimited text, of which every good row goes once through a SQL statement.

    Args:
        columns: the names of all columns, in order. has_header: the first line is not data.
        delimiter: one character. quoted: values may stand in double quotes (but not go on in the next line).

    Attributes after `run`:
        rows: lines that are data, good or bad. malformed_count: of those, with a wrong number of columns.
        malformed: line number and text of the first `REJECTED_CAP` of them.
        sha256: of the text as it would lie unpacked. source: the file as it lies, which is not read again for its hash
            where it lies unpacked.
    """

    path: Path
    columns: tuple[str, ...]
    has_header: bool = False
    delimiter: str = ","
    quoted: bool = True
    rows: int = 0
    malformed: list[tuple[int, str]] = field(default_factory=list)
    sha256: str = ""
    _packed: bool = False
    _bad_lines: array[int] = field(default_factory=lambda: array("q"))

    @property
    def malformed_count(self) -> int:
        return len(self._bad_lines)

    @property
    def source(self) -> SourceFile:
        return SourceFile(
            self.path.name, self.path.stat().st_size, sha256_of(self.path) if self._packed else self.sha256
        )

    def run(self, db: duckdb.DuckDBPyConnection, sql: str) -> None:
        """Execute a statement that reads `incoming`: the columns as text, and `__line` (BIGINT, from 1).

        Raises:
            UserError: the file is empty, truncated or not what its name says, or a quote swallowed lines.
        """
        with opened(self.path) as raw:
            self._packed = not isinstance(raw, io.BufferedReader)
            content = CleanBytes(raw, self.path)
            failures: list[Exception] = []
            try:
                db.register(INCOMING, self._reader(content, failures))
                try:
                    db.execute(sql)
                finally:
                    db.unregister(INCOMING)
            except Exception as error:
                if content.failure or failures:
                    raise (content.failure or unreadable(self.path, failures[0])) from error
                raise
            self._check_lines(content.newlines)
            self.sha256 = content.sha256.hexdigest()

    def _reader(self, content: CleanBytes, failures: list[Exception]) -> pa.RecordBatchReader:
        import pyarrow as pa

        try:
            stream = self._open_csv(content)
        except pa.ArrowException as error:
            failures.append(error)
            raise
        schema = pa.schema([*((name, pa.string()) for name in self.columns), (LINE, pa.int64())])
        return pa.RecordBatchReader.from_batches(schema, self._numbered(stream, schema, failures))

    def _open_csv(self, content: CleanBytes) -> CSVStreamingReader:
        import pyarrow as pa
        from pyarrow import csv

        return csv.open_csv(
            content,
            # one thread: the parser is not what costs, and only so does it number the bad lines
            csv.ReadOptions(
                use_threads=False,
                block_size=BLOCK_BYTES,
                column_names=self.columns,
                skip_rows=int(self.has_header),
            ),
            csv.ParseOptions(
                delimiter=self.delimiter,
                quote_char='"' if self.quoted else False,
                ignore_empty_lines=False,
                invalid_row_handler=self._note_malformed,
            ),
            csv.ConvertOptions(column_types=dict.fromkeys(self.columns, pa.string())),
        )

    def _numbered(
        self, stream: CSVStreamingReader, schema: pa.Schema, failures: list[Exception]
    ) -> Iterator[pa.RecordBatch]:
        """Add line numbers: a good row's line is its own index plus the bad lines before it."""
        import numpy as np
        import pyarrow as pa

        first_line = 2 if self.has_header else 1
        good = 0
        try:
            for batch in stream:
                bad = np.array(self._bad_lines, dtype=np.int64)
                good_before_bad = bad - first_line - np.arange(len(bad))
                index = np.arange(good, good + batch.num_rows)
                line = first_line + index + np.searchsorted(good_before_bad, index, side="right")
                good += batch.num_rows
                yield pa.RecordBatch.from_arrays([*batch.columns, pa.array(line)], schema=schema)
        except Exception as error:  # duckdb would hide its type: `run` asks here
            failures.append(error)
            raise
        self.rows = good + self.malformed_count

    def _check_lines(self, newlines: int) -> None:
        """A quote that is never closed makes one value of all lines up to the next: none may be lost."""
        if self.rows + self.has_header < newlines:
            raise UserError(
                f"{self.path} has {newlines:,} lines but only {self.rows + self.has_header:,} rows: "
                "a quoted value goes on in the next line, or a quote is never closed.",
                "Export it without line breaks in values, or say --no-quotes where quotes mean nothing.",
            )

    def _note_malformed(self, row: InvalidRow) -> str:
        self._bad_lines.append(row.number)
        if len(self.malformed) < REJECTED_CAP:
            self.malformed.append((row.number, row.text))
        return "skip"


def read_header(path: Path) -> tuple[tuple[str, ...], str]:
    """Return the column names in the first line, and the delimiter: the most frequent there of tab , ; |.

    Raises:
        UserError: the file is empty or unreadable, or two columns have one name.
    """
    with opened(path) as raw:
        start = CleanBytes(raw, path).read(HEADER_BYTES).decode("utf-8", "replace")
    line = start.splitlines()[0] if start.strip() else ""
    if not line.strip():
        raise UserError(f"{path} has no header line.", "The first line must hold the names of the columns.")
    delimiter = max("\t,;|", key=line.count)
    names = tuple(next(csv.reader([line], delimiter=delimiter)))
    repeated = sorted({name for name in names if [n.lower() for n in names].count(name.lower()) > 1})
    if repeated:
        raise UserError(f"{path} has more than one column named '{repeated[0]}'.", "Rename one of them.")
    return names, delimiter
