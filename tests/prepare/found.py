"""What a source makes of raw files, before anything is drawn from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.reading.intake import Intake
from lrea_cli.prepare.reading.judge import Rejected
from lrea_cli.prepare.sources.base import Extract


class Found(NamedTuple):
    """What a source finds, the account of all rows, and the kept events in their order."""

    extract: Extract
    intake: Intake
    events: list[Any]

    @property
    def rejected(self) -> dict[str, int]:
        return dict(self.intake.rejected)

    @property
    def examples(self) -> list[Rejected]:
        return sorted(self.intake.examples)


def intake_of(
    db: duckdb.DuckDBPyConnection, block_bytes: int = 1 << 23, folder: Path | None = None, **options: Any
) -> Intake:
    """An intake with blocks of any size, which stops at no share of rejected rows where the options name none."""
    kind = type("Blocks", (PrepareOptions,), {"block_bytes": block_bytes, "bytes_at_once": 16 * block_bytes})
    return Intake(db, folder=folder, options=kind(**{"threads": 2, "max_rejected": "100%", **options}))
