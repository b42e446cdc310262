"""What a metric is. It knows no dataset, no run and no table: only scored rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lrea_cli.stats.estimates import Interval

Statistic = Callable[[np.ndarray], np.ndarray]
"""(B, users) counts of B draws -> (B,) values, NaN where undefined."""


@dataclass(frozen=True)
class Rows:
    """Scored samples of a split, or of a slice of it.

    Args:
        logits: (rows,) finite.
        labels: (rows,) 0 or 1.
        users: (rows,) whose sample it is: the samples of a user are drawn together.
        groups: (rows,) users, or parts of users such as requests, for GAUC; None = users.
    """

    logits: np.ndarray
    labels: np.ndarray
    users: np.ndarray
    groups: np.ndarray | None = None


@dataclass(frozen=True)
class Metric:
    """One number of scored rows.

    Args:
        name: its key in JSON.
        title: its row in the table of `lrea eval`.
        better: what a good model has.
        value: the number; None where it is undefined.
        twin: the same number by slow and obvious loops.
        column: its heading in narrow tables (slices, `lrea sweep`); None = it is not shown there.
        digits: decimals in narrow tables.
        statistic: of the rows and the number (rows,) of each row's user, counted from 0: the metric when users are
            drawn as often as the counts say; None = the metric has no interval.
        slice_interval: a 95% interval that costs no draws, for slices; None = there it has no interval.
    """

    name: str
    title: str
    better: Literal["higher", "lower", "near 1"]
    value: Callable[[Rows], float | None]
    twin: Callable[[Rows], float | None]
    column: str | None = None
    digits: int = 4
    statistic: Callable[[Rows, np.ndarray], Statistic] | None = None
    slice_interval: Callable[[Rows], Interval | None] | None = None


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) in float64, without overflow."""
    return np.exp(-np.logaddexp(0.0, -logits.astype(np.float64)))


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below of each draw, NaN where there is nothing below."""
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
