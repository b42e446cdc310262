"""Writes what `layout.py` names, from the tables of a preparation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lrea_cli.data.layout import SPLITS
from lrea_cli.data.schema import Field
from lrea_cli.data.sql import count, literal
from lrea_cli.data.vocabulary import encoded, names, quoted, table

if TYPE_CHECKING:
    import duckdb

EVENTS_PER_FILE = 8_000_000
BATCH_ROWS = 1 << 20
ID_PREFIX = "_id_"


def write_vocabularies(db: duckdb.DuckDBPyConnection, folder: Path, fields: Sequence[Field]) -> None:
    """vocab/<field>.parquet and vocab/user.parquet; raw values as text."""
    (folder / "vocab").mkdir()
    for field in fields:
        _copy(
            db,
            f"SELECT id, CAST(value AS VARCHAR) AS value FROM {table(field)} ORDER BY id",
            folder / "vocab" / f"{field.name}.parquet",
        )
    users = "SELECT user_id AS user, CAST(user AS VARCHAR) AS value FROM users ORDER BY user_id"
    _copy(db, users, folder / "vocab" / "user.parquet")


def write_events(db: duckdb.DuckDBPyConnection, folder: Path, fields: Sequence[Field]) -> None:
    """events/*.parquet (raw values) and histories/*.npy (ids), both sorted by (user, time, source_row)."""
    items = [f for f in fields if f.role == "item"]
    _sort_behaviors(db, items)
    rows = count(db, "SELECT count(*) FROM behaviors")
    users = count(db, "SELECT count(*) FROM users")
    _write_raw(db, folder / "events", items, rows, users)
    _write_histories(db, folder / "histories", items, rows, users)
    db.execute("DROP TABLE behaviors")


def write_samples(db: duckdb.DuckDBPyConnection, folder: Path, fields: Sequence[Field]) -> None:
    """<split>.parquet, sorted by (request_id, item), then by all that is left: the order is unique."""
    for split in SPLITS:
        query = (
            "SELECT request_id, user_id AS user, time, CAST(history_length AS INTEGER) AS history_length, "
            f"{names(fields)}, label FROM samples WHERE _split = {SPLITS.index(split)} "
            f"ORDER BY request_id, {names(fields)}, label"
        )
        _copy(db, query, folder / f"{split}.parquet")


def write_rejected(db: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """rejected.parquet."""
    query = "SELECT file, line, reason, text FROM raw_rejected ORDER BY file, line, reason"
    _copy(db, query, folder / "rejected.parquet")


def _sort_behaviors(db: duckdb.DuckDBPyConnection, items: Sequence[Field]) -> None:
    """`behaviors`: raw values and their ids side by side, sorted once for both forms on disk."""
    raw = ["user", "time", "source_row", *(quoted(f) for f in items)]
    db.execute(
        f"CREATE TABLE behaviors AS {encoded('raw_events', items, raw, ID_PREFIX)} "
        "WHERE r.is_behavior ORDER BY u.user_id, r.time, r.source_row"
    )


def _write_raw(db: duckdb.DuckDBPyConnection, folder: Path, items: Sequence[Field], rows: int, users: int) -> None:
    folder.mkdir()
    parts = max(1, -(-rows // EVENTS_PER_FILE))
    for part in range(parts):
        first, last = part * users // parts, (part + 1) * users // parts
        query = (
            f"SELECT user, {names(items)}, time, source_row FROM behaviors "
            f"WHERE user_id >= {first} AND user_id < {last}"
        )
        _copy(db, query, folder / f"part-{part:05d}.parquet")


def _write_histories(
    db: duckdb.DuckDBPyConnection, folder: Path, items: Sequence[Field], rows: int, users: int
) -> None:
    """Stream the sorted behaviors into memory-mapped columns; no column is ever whole in memory."""
    import numpy as np
    from numpy.lib.format import open_memmap

    folder.mkdir()
    columns = {"time": np.int64} | {f.name: np.int32 for f in items}
    maps = {name: open_memmap(folder / f"{name}.npy", "w+", kind, (rows,)) for name, kind in columns.items()}
    lengths = np.zeros(users, dtype=np.int64)
    ids = ", ".join(f'"{ID_PREFIX}{f.name}"' for f in items)
    start, last_user = 0, 0
    for batch in db.sql(f"SELECT user_id, time, {ids} FROM behaviors").to_arrow_reader(BATCH_ROWS):
        arrays = [column.to_numpy() for column in batch.columns]
        user = arrays[0]
        if len(user) and (user[0] < last_user or (np.diff(user) < 0).any()):
            raise RuntimeError("behaviors were not read back in their order")
        for array, name in zip(arrays[1:], columns, strict=True):
            maps[name][start : start + len(array)] = array
        lengths += np.bincount(user, minlength=users)
        start += len(user)
        last_user = user[-1] if len(user) else last_user
    for column in maps.values():
        column.flush()
    np.save(folder / "offsets.npy", np.concatenate([[0], np.cumsum(lengths)]))


def _copy(db: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    db.execute(f"COPY ({query}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)")
