"""Options that every preparation has; light, since the command line shows their defaults."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lrea_cli.errors import UserError


@dataclass(frozen=True)
class PrepareOptions:
    """What a preparation depends on beside its source; `threads` and `memory` never change a row.

    Args:
        seed: of the negatives.
        min_history: behaviors that a sampled positive must have strictly before it.
        negatives_per_positive: candidates with label 0 beside each positive, when labels are sampled.
        train_days: days before the valid day that give training samples, when labels are sampled.
        threads: None = all cores. memory: DuckDB's limit; what does not fit goes to disk.
    """

    seed: int = 2025
    min_history: int = 20
    negatives_per_positive: int = 1
    train_days: int = 1
    threads: int | None = None
    memory: str = "4GB"

    def __post_init__(self) -> None:
        for option, least in (
            ("seed", 0),
            ("min_history", 1),
            ("negatives_per_positive", 1),
            ("train_days", 1),
        ):
            _check_least(option, getattr(self, option), least)
        if self.threads is not None:
            _check_least("threads", self.threads, 1)
        if not re.fullmatch(r"\d+(\.\d+)?\s*[KMGT]i?B", self.memory, re.IGNORECASE):
            raise UserError(f"--memory is '{self.memory}'.", "Use a number and a unit, such as 4GB or 500MB.")


def _check_least(option: str, value: int, least: int) -> None:
    if value < least:
        raise UserError(f"--{option.replace('_', '-')} is {value}; it must be at least {least}.")
