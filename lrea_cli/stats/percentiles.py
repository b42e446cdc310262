"""Percentiles of latencies, given only where enough requests back them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

CONFIDENCE = 0.99


def requests_needed(percent: float) -> int:
    """The least n with (percent / 100)^n <= 1 - CONFIDENCE: with fewer, none may lie above the percentile (MLPerf)."""
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(percent / 100))


def percentile(latencies_ms: Sequence[float] | np.ndarray, percent: float) -> float | None:
    """Nearest-rank percentile of all latencies, none thrown away; None where too few requests were timed."""
    if len(latencies_ms) < requests_needed(percent):
        return None
    return float(np.quantile(latencies_ms, percent / 100, method="inverted_cdf"))


def shortfalls(requests: int, percents: Sequence[float]) -> list[str]:
    """What each missing percentile needs.

    Args:
        requests: that each row of a table has timed.
    """
    return [
        f"p{p:g} n/a: needs {requests_needed(p)} requests, has {requests} (--seconds gives each row more time)"
        for p in percents
        if requests < requests_needed(p)
    ]
