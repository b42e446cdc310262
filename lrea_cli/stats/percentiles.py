"""Percentiles of latencies, shown only where enough requests back them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.99


@dataclass(frozen=True)
class Percentile:
    """A percentile, or the reason why there is none.

    Args:
        value: in ms; None where too few requests were timed.
        needs, have: requests.
    """

    percent: float
    value: float | None
    needs: int
    have: int

    def __str__(self) -> str:
        if self.value is None:
            return f"n/a: needs {self.needs} requests, has {self.have}"
        return f"{self.value:.3g}" if self.value < 100 else f"{self.value:.0f}"


def requests_needed(percent: float) -> int:
    """The least n with (percent / 100)^n <= 1 - CONFIDENCE: with fewer, none may lie above the percentile (MLPerf)."""
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(percent / 100))


def percentile(latencies_ms: Sequence[float] | np.ndarray, percent: float) -> Percentile:
    """Nearest-rank percentile of all latencies; none is thrown away."""
    have, needs = len(latencies_ms), requests_needed(percent)
    if have < needs:
        return Percentile(percent, None, needs, have)
    value = float(np.quantile(latencies_ms, percent / 100, method="inverted_cdf"))
    return Percentile(percent, value, needs, have)


def shortfalls(rows: Sequence[Sequence[Percentile]]) -> list[str]:
    """What each missing percentile needs, the row with the fewest requests named.

    Args:
        rows: each with the same percentiles.
    """
    lines = []
    for column in zip(*rows, strict=True):
        lacking = [p for p in column if p.value is None]
        if lacking:
            fewest = min(lacking, key=lambda p: p.have)
            lines.append(f"p{fewest.percent:g} {fewest} (--seconds gives each row more time)")
    return lines
