"""From `staged` (every row read, and why it cannot be used) to `raw_events` and `raw_rejected`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lrea_cli.data.schema import REJECTED_CAP
from lrea_cli.data.sql import count
from lrea_cli.errors import UserError

if TYPE_CHECKING:
    import duckdb

    from lrea_cli.data.sources.delimited import DelimitedFile

WRONG_COLUMNS = "wrong_number_of_columns"
REJECTED_PER_REASON = REJECTED_CAP // 10
TEXT_CAP = 500


def create_staged(db: duckdb.DuckDBPyConnection, columns: Mapping[str, str]) -> None:
    """Create `staged` with the given columns (name -> SQL type), and an empty `raw_rejected`."""
    typed = "".join(f', "{name}" {kind}' for name, kind in columns.items())
    db.execute(
        f"CREATE TABLE staged (source_row BIGINT, file VARCHAR, line BIGINT, reason VARCHAR, text VARCHAR{typed})"
    )
    db.execute("CREATE TABLE raw_rejected (file VARCHAR, line BIGINT, reason VARCHAR, text VARCHAR)")


def keep_malformed(db: duckdb.DuckDBPyConnection, file: DelimitedFile) -> None:
    """Put rows that never reached SQL (wrong number of columns) into `raw_rejected`."""
    free = REJECTED_PER_REASON - count(db, f"SELECT count(*) FROM raw_rejected WHERE reason = '{WRONG_COLUMNS}'")
    rows = [(file.path.name, line, WRONG_COLUMNS, text[:TEXT_CAP]) for line, text in file.malformed[:free]]
    if rows:
        db.executemany("INSERT INTO raw_rejected VALUES (?, ?, ?, ?)", rows)


def sift(db: duckdb.DuckDBPyConnection, kept: Sequence[str], files: Sequence[Path], remedy: str) -> dict[str, int]:
    """Split `staged` into `raw_events` (the `kept` columns) and `raw_rejected`; return counts by reason.

    Raises:
        UserError: no row can be used.
    """
    counts = dict(
        db.execute("SELECT reason, count(*) FROM staged WHERE reason IS NOT NULL GROUP BY 1 ORDER BY 1").fetchall()
    )
    db.execute(
        "INSERT INTO raw_rejected SELECT file, line, reason, text[:?] FROM staged WHERE reason IS NOT NULL "
        "QUALIFY row_number() OVER (PARTITION BY reason ORDER BY source_row) <= ?",
        [TEXT_CAP, REJECTED_PER_REASON],
    )
    db.execute(f"CREATE TABLE raw_events AS SELECT {', '.join(kept)} FROM staged WHERE reason IS NULL")
    db.execute("DROP TABLE staged")
    if not count(db, "SELECT count(*) FROM raw_events"):
        raise _nothing_usable(db, files, remedy)
    return counts


def _nothing_usable(db: duckdb.DuckDBPyConnection, files: Sequence[Path], remedy: str) -> UserError:
    first = db.execute("SELECT file, line, reason, text FROM raw_rejected ORDER BY file, line LIMIT 1").fetchall()
    example = "".join(f" {file}, line {line}: {reason}: {text!r}." for file, line, reason, text in first)
    names = ", ".join(str(path) for path in files[:3])
    return UserError(f"No row of {names} can be used.{example}", remedy)
