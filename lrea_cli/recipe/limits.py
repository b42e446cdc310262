"""Limits of numbers that users give: beyond them something overflows, or runs out of memory, long after the start."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lrea_cli.errors import UserError

HIGHEST_SEED = 2**63 - 1
"""Seeds are 64-bit numbers with a sign in DuckDB and torch."""

THREADS_A_CORE = 8

COUNT = (1, 10**6)
"""Of rows, behaviors, candidates and epochs."""


@dataclass(frozen=True)
class Limits:
    """Of a number (at least, above, at most, below) or of a list; stands in `Annotated`, where pydantic reads it.

    pydantic's own `Field` costs 60 ms to import, and settings are read where pydantic is not installed.
    """

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    min_length: int | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {**handler(source), **{name: limit for name, limit in vars(self).items() if limit is not None}}


def check_range(name: str, value: float, low: float, high: float, remedy: str = "") -> None:
    """Raise a `UserError` for a number outside its limits; nan is outside of all."""
    if not low <= value <= high:
        raise UserError(f"{name} is {value}.", remedy or f"Use {low:,} to {high:,}.")


def check_threads(name: str, value: int) -> None:
    """Raise a `UserError` for more threads or processes than a machine can start."""
    cores = os.cpu_count() or 1
    most = THREADS_A_CORE * cores
    check_range(name, value, 1, most, f"Use 1 to {most}: {THREADS_A_CORE} a core (cores here: {cores}).")
