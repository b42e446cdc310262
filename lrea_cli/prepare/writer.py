"""Writes the files that `layout.py` names, in row groups of one size: neither threads nor memory change a byte."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from lrea_cli.dataset.fields import Field
from lrea_cli.dataset.layout import HISTORIES, SPLITS
from lrea_cli.ids import FIRST_ID
from lrea_cli.prepare.sql import count, identifier
from lrea_cli.prepare.vocabulary import column, names, quoted, table
from lrea_cli.workspace.parquet import parquet_writer

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

EVENTS_PER_FILE = 1 << 25
ROWS_PER_GROUP = 1 << 18
ROWS_READ = 1 << 16


def write_vocabularies(db: duckdb.DuckDBPyConnection, folder: Path, fields: Sequence[Field]) -> None:
    """vocab/<field>.parquet and vocab/user.parquet; raw values as text, of a numeric field its smallest and largest."""
    (folder / "vocab").mkdir()
    for field in fields:
        if field.numeric:
            query = f"SELECT id, concat(min(value), ' to ', max(value)) AS value FROM {table(field)} GROUP BY id"
        else:
            query = f"SELECT id, CAST(value AS VARCHAR) AS value FROM {table(field)}"
        _write_parquet(db, f"{query} ORDER BY id", folder / "vocab" / f"{field.name}.parquet")
    users = "SELECT user_id AS user, CAST(user AS VARCHAR) AS value FROM users ORDER BY user_id"
    _write_parquet(db, users, folder / "vocab" / "user.parquet")


def write_samples(db: duckdb.DuckDBPyConnection, folder: Path, fields: Sequence[Field]) -> None:
    """<split>.parquet; requests are numbered through all splits in the order of `samples`."""
    same = " AND ".join(f"{name} = lag({name}) OVER ()" for name in ("_split", "user_id", "time"))
    opened = f"SELECT *, CASE WHEN {same} THEN 0 ELSE 1 END AS _opens FROM samples"
    running = "sum(_opens) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
    numbered = f"SELECT *, CAST({running} - 1 AS BIGINT) AS request_id FROM ({opened})"
    named = ", ".join(f"{quoted(f)} AS {identifier(f.name)}" for f in fields)
    for split in SPLITS:
        query = (
            f"SELECT request_id, user_id AS user, time, history_length, {named}, label "
            f"FROM ({numbered}) WHERE _split = {SPLITS.index(split)}"
        )
        _write_parquet(db, query, folder / f"{split}.parquet")


def write_behaviors(db: duckdb.DuckDBPyConnection, folder: Path, items: Sequence[Field], memory_mb: int) -> None:
    """histories/*.npy with ids, and events/*.parquet with raw values: one pass over the sorted events."""
    rows = count(db, "SELECT sum(behaviors) FROM starts")
    query = f"SELECT user_id, time, source_row, {names(items)} FROM events WHERE is_behavior"
    histories = folder / HISTORIES
    histories.mkdir()
    with ExitStack() as stack:
        columns = [("time", "time", np.dtype(np.int64)), *((column(f), f.name, np.dtype(np.int32)) for f in items)]
        files = [
            (key, kind, stack.enter_context(_npy(histories / f"{name}.npy", kind, rows))) for key, name, kind in columns
        ]
        events = stack.enter_context(closing(_RawEvents(folder / "events", db, items)))
        db.execute(f"SET memory_limit = '{memory_mb // 2}MB'")  # nothing is sorted here, and the writers need memory
        pool = stack.enter_context(ThreadPoolExecutor(1))
        writing: Future[Any] = pool.submit(int)  # nothing yet
        last_user = 0
        for batch in _even(db.sql(query).to_arrow_reader(ROWS_READ)):
            user = batch["user_id"].to_numpy()
            if user[0] < last_user or (np.diff(user) < 0).any():
                raise RuntimeError("events were not read back in their order")
            last_user = user[-1]
            writing.result()
            writing = pool.submit(events.write, batch)
            for key, kind, file in files:
                file.write(batch[key].to_numpy().astype(kind, copy=False).data)
        writing.result()
    start = db.sql("SELECT start FROM starts ORDER BY user_id").fetchnumpy()["start"]
    np.save(histories / "offsets.npy", np.append(start, rows).astype(np.int64))


class _RawEvents:
    """The files of events/: a user is in one of them, with raw values, or the numbers of quantiles."""

    def __init__(self, folder: Path, db: duckdb.DuckDBPyConnection, items: Sequence[Field]) -> None:
        folder.mkdir()
        self._folder = folder
        self._users = _column(db, "SELECT user FROM users ORDER BY user_id")
        self._values = {
            f.name: _column(db, f"SELECT value FROM {table(f)} ORDER BY id", FIRST_ID) for f in items if not f.numeric
        }
        self._items = tuple(items)
        self._out: pq.ParquetWriter | None = None
        self._part = self._rows = 0

    def close(self) -> None:
        if self._out is not None:
            self._out.close()

    def write(self, batch: pa.Table) -> None:
        """Add rows; where the file is full, the batch's last user begins the next one."""
        raw = self._raw(batch)
        if self._rows + len(raw) > EVENTS_PER_FILE:
            user = batch["user_id"].to_numpy()
            cut = int(np.searchsorted(user, user[-1]))
            self._append(raw.slice(0, cut))
            if cut:
                self.close()
                self._out, self._part, self._rows = None, self._part + 1, 0
            raw = raw.slice(cut)
        self._append(raw)

    def _append(self, raw: pa.Table) -> None:
        if self._out is None:
            self._out = parquet_writer(self._folder / f"part-{self._part:05d}.parquet", raw.schema)
        self._out.write_table(raw)
        self._rows += len(raw)

    def _raw(self, batch: pa.Table) -> pa.Table:
        import pyarrow as pa

        columns = {"user": self._users.take(batch["user_id"])}
        for field in self._items:
            ids, values = batch[column(field)], self._values.get(field.name)
            columns[field.name] = ids if values is None else values.take(ids)
        return pa.table(columns | {name: batch[name] for name in ("time", "source_row")})


def _column(db: duckdb.DuckDBPyConnection, query: str, nulls: int = 0) -> pa.Array:
    """The only column of a query, behind so many missing values."""
    import pyarrow as pa

    reader = db.sql(query).to_arrow_reader(ROWS_READ)
    kind = reader.schema.types[0]
    return pa.concat_arrays([pa.nulls(nulls, kind), *(batch.column(0) for batch in reader)])


def _npy(path: Path, kind: np.dtype, rows: int) -> BinaryIO:
    """A one-dimensional .npy file, open behind its header: no column is ever whole in memory."""
    file = path.open("wb")
    header = {"descr": kind.str, "fortran_order": False, "shape": (rows,)}
    np.lib.format.write_array_header_1_0(file, header)
    return file


def _write_parquet(db: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    reader = db.sql(query).to_arrow_reader(ROWS_READ)
    with parquet_writer(path, reader.schema) as out:
        for batch in _even(reader):
            out.write_table(batch)


def _even(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows, `ROWS_PER_GROUP` at a time, whatever the sizes in which they come."""
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        while rows >= ROWS_PER_GROUP:
            whole = pa.Table.from_batches(held)
            yield whole.slice(0, ROWS_PER_GROUP).combine_chunks()
            held = whole.slice(ROWS_PER_GROUP).to_batches()
            rows -= ROWS_PER_GROUP
    if rows:
        yield pa.Table.from_batches(held).combine_chunks()
