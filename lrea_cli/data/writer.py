"""Writes what `layout.py` names, from the tables of a preparation."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from lrea_cli.data.layout import SPLITS
from lrea_cli.data.schema import Field
from lrea_cli.data.sql import count, literal
from lrea_cli.data.vocabulary import names, quoted, table

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

EVENTS_PER_FILE = 1 << 25
BATCH_ROWS = 1 << 20


def write_vocabularies(db: duckdb.DuckDBPyConnection, folder: Path, fields: Sequence[Field]) -> None:
    """vocab/<field>.parquet and vocab/user.parquet; raw values as text, of a numeric field its smallest and largest."""
    (folder / "vocab").mkdir()
    for field in fields:
        if field.numeric:
            query = f"SELECT id, concat(min(value), ' to ', max(value)) AS value FROM {table(field)} GROUP BY id"
        else:
            query = f"SELECT id, CAST(value AS VARCHAR) AS value FROM {table(field)}"
        _copy(db, f"{query} ORDER BY id", folder / "vocab" / f"{field.name}.parquet")
    users = "SELECT user_id AS user, CAST(user AS VARCHAR) AS value FROM users ORDER BY user_id"
    _copy(db, users, folder / "vocab" / "user.parquet")


def write_events(db: duckdb.DuckDBPyConnection, folder: Path, items: Sequence[Field]) -> None:
    """events/*.parquet: behaviors with the raw values of their item fields, sorted by (user, time, source_row).

    Of a numeric field the number of its quantile: the raw one is not kept.
    """
    folder.mkdir()
    users = count(db, "SELECT count(*) FROM users")
    parts = max(1, -(-count(db, "SELECT sum(behaviors) FROM starts") // EVENTS_PER_FILE))
    raw = [f for f in items if not f.numeric]
    columns = ", ".join(f"v{raw.index(f)}.value AS {quoted(f)}" if f in raw else f"e.{quoted(f)}" for f in items)
    joins = "".join(f" LEFT JOIN {table(f)} AS v{n} ON e.{quoted(f)} = v{n}.id" for n, f in enumerate(raw))
    for part in range(parts):
        first, last = part * users // parts, (part + 1) * users // parts
        query = (
            f"SELECT u.user, {columns}, e.time, e.source_row FROM events AS e JOIN users AS u USING (user_id){joins} "
            f"WHERE e.is_behavior AND e.user_id >= {first} AND e.user_id < {last}"
        )
        _copy(db, query, folder / f"part-{part:05d}.parquet")


def write_histories(db: duckdb.DuckDBPyConnection, folder: Path, items: Sequence[Field]) -> None:
    """histories/*.npy: streamed from the sorted events; no column is ever whole in memory."""
    folder.mkdir()
    rows = count(db, "SELECT sum(behaviors) FROM starts")
    kinds = {"time": np.dtype(np.int64)} | {f.name: np.dtype(np.int32) for f in items}
    with ExitStack() as stack:
        files = {name: stack.enter_context(_npy(folder / f"{name}.npy", kind, rows)) for name, kind in kinds.items()}
        last_user = 0
        query = f"SELECT user_id, time, {names(items)} FROM events WHERE is_behavior"
        for batch in db.sql(query).to_arrow_reader(BATCH_ROWS):
            user, *columns = (column.to_numpy() for column in batch.columns)
            if len(user) and (user[0] < last_user or (np.diff(user) < 0).any()):
                raise RuntimeError("events were not read back in their order")
            for (name, kind), column in zip(kinds.items(), columns, strict=True):
                files[name].write(column.astype(kind, copy=False).data)
            last_user = user[-1] if len(user) else last_user
    start = db.sql("SELECT start FROM starts ORDER BY user_id").fetchnumpy()["start"]
    np.save(folder / "offsets.npy", np.append(start, rows).astype(np.int64))


def write_samples(db: duckdb.DuckDBPyConnection, folder: Path, fields: Sequence[Field]) -> None:
    """<split>.parquet; requests are numbered through all splits in the order of `samples`."""
    same = " AND ".join(f"{name} = lag({name}) OVER ()" for name in ("_split", "user_id", "time"))
    opened = f"SELECT *, CASE WHEN {same} THEN 0 ELSE 1 END AS _opens FROM samples"
    running = "sum(_opens) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
    numbered = f"SELECT *, CAST({running} - 1 AS BIGINT) AS request_id FROM ({opened})"
    for split in SPLITS:
        query = (
            f"SELECT request_id, user_id AS user, time, history_length, {names(fields)}, label "
            f"FROM ({numbered}) WHERE _split = {SPLITS.index(split)}"
        )
        _copy(db, query, folder / f"{split}.parquet")


def write_rejected(folder: Path, rejected: pa.Table) -> None:
    """rejected.parquet."""
    import pyarrow.parquet as pq

    pq.write_table(rejected, folder / "rejected.parquet", compression="zstd")


def _npy(path: Path, kind: np.dtype, rows: int) -> BinaryIO:
    """A one-dimensional .npy file, open behind its header."""
    file = path.open("wb")
    np.lib.format.write_array_header_1_0(
        file, {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": (rows,)}
    )
    return file


def _copy(db: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    db.execute(f"COPY ({query}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)")
