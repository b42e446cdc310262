"""What a source makes of raw files, before anything is drawn from it."""

from __future__ import annotations

from typing import Any, NamedTuple

from lrea_cli.prepare.sources.base import Extract
from lrea_cli.prepare.sources.intake import Intake
from lrea_cli.prepare.sources.judge import Rejected


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
