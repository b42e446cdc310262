"""Options that every preparation has; each attribute is an option of `lrea prepare`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Annotated

import typer

from lrea_cli.errors import UserError
from lrea_cli.recipe.settings import COUNT, HIGHEST_SEED, check_range, check_threads

MOST_DAYS = 36_500
LEAST_MEMORY_MB = 500
MOST_MEMORY_MB = 100e6
RUNTIME_MB = 350
"""What is resident beside DuckDB's limit: Python, libraries, text while it is parsed (seen: 310 to 360)."""

UNITS = {"K": 1e-3, "M": 1.0, "G": 1e3, "T": 1e6}


@dataclass(frozen=True)
class PrepareOptions:
    """What a preparation depends on beside its source; `max_rejected`, `memory` and `threads` never change a row.

    Raises:
        UserError: a number is out of its limits, or a text is no size, no percentage or no encoding.
    """

    seed: Annotated[int, typer.Option(help="Seed of all random draws.")] = 2025
    min_history: Annotated[int, typer.Option(help="Earlier behaviors that a drawn positive needs.")] = 20
    negatives_per_positive: Annotated[int, typer.Option(help="Negatives drawn for each positive.")] = 1
    train_days: Annotated[int, typer.Option(help="Days before the valid day of which training samples are drawn.")] = 1
    test_days: Annotated[int, typer.Option(help="Last days that are the test split; the day before them is valid.")] = 1
    max_rejected: Annotated[
        str,
        typer.Option(
            help="Fail when more than this share of the rows is malformed; 100 such rows or fewer never fail, unless "
            "the share is 0%."
        ),
    ] = "1%"
    encoding: Annotated[str, typer.Option(help="Encoding of text files: utf-8, latin-1, gb18030, utf-16, ..")] = "utf-8"
    memory: Annotated[str, typer.Option(help="Memory that this process may use; the rest goes to disk.")] = "4GB"
    threads: Annotated[int | None, typer.Option(help="How many CPU threads; default: all cores.")] = None

    def __post_init__(self) -> None:
        check_range("--seed", self.seed, 0, HIGHEST_SEED)
        check_range("--min-history", self.min_history, *COUNT)
        check_range("--negatives-per-positive", self.negatives_per_positive, 1, 1000)
        check_range("--train-days", self.train_days, 1, MOST_DAYS)
        check_range("--test-days", self.test_days, 1, MOST_DAYS)
        if self.threads is not None:
            check_threads("--threads", self.threads)
        if not LEAST_MEMORY_MB <= self.memory_mb <= MOST_MEMORY_MB:
            raise UserError(
                f"--memory is '{self.memory}'; it must be at least {LEAST_MEMORY_MB}MB, at most 100TB.",
                "A few hundred megabytes do for any size; more is faster.",
            )
        _ = self.rejected_share, self.text_encoding

    @property
    def thread_count(self) -> int:
        """`threads`, or all cores."""
        return self.threads or os.cpu_count() or 1

    @property
    def memory_mb(self) -> float:
        """The limit in megabytes (10^6 bytes)."""
        size = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT])i?B", self.memory.strip(), re.IGNORECASE)
        if not size:
            raise UserError(f"--memory is '{self.memory}'.", "Use a number and a unit, such as 4GB or 500MB.")
        return float(size[1]) * UNITS[size[2].upper()]

    @property
    def database_mb(self) -> int:
        """DuckDB's share: it allocates somewhat above its limit."""
        return round((self.memory_mb - RUNTIME_MB) * 0.9)

    @property
    def block_bytes(self) -> int:
        """Of raw text parsed at once."""
        return round(min(1 << 23, self.memory_mb * 1e6 / 128))

    @property
    def bytes_at_once(self) -> int:
        """Of raw rows inserted by one statement: several copies of them are alive then."""
        return round(min(128e6, self.memory_mb * 1e6 / 32))

    @property
    def text_encoding(self) -> str:
        """`encoding` in one spelling."""
        from lrea_cli.prepare.reading.rawfile import known_encoding

        return known_encoding(self.encoding)

    @property
    def rejected_share(self) -> float:
        """`max_rejected` as a number from 0 to 1."""
        percentage = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", self.max_rejected.strip())
        if not percentage or float(percentage[1]) > 100:
            raise UserError(f"--max-rejected is '{self.max_rejected}'.", "Use a percentage, such as 1% or 0.01%.")
        return float(percentage[1]) / 100
