"""What a test split can resolve before any model is trained on it: an estimate from its best trivial counter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lrea_cli.stats.estimates import POWER_95_80
from lrea_cli.stats.ranks import delong

ALIKE = 0.85
"""Correlation of the AUCs of two models of the same inputs: .74 to .87 between methods in docs/results/table2.md."""


@dataclass(frozen=True)
class Resolution:
    """What differences of AUC a test split can show.

    `lrea compare` measures this for two models; here there is none yet, so a counter stands in for both of them.

    Args:
        counter: the one whose AUC is farthest from 1/2; its standard error, clustered by user, stands for a model's.
        standard_error: of an AUC on the whole split.
        alike: the smallest true difference that is found 4 times in 5 at 95% between two models whose AUCs correlate
            by `ALIKE`. unrelated: the same where they do not correlate.
    """

    counter: str
    standard_error: float
    alike: float
    unrelated: float


def resolution(
    counters: Mapping[str, np.ndarray], labels: np.ndarray, users: np.ndarray, all_users: int
) -> Resolution | None:
    """Estimate what the split can resolve.

        smallest difference = (1.96 + .84) sqrt(2 (1 - rho)) SE(AUC),     rho = `ALIKE`, or 0

    Args:
        counters: by name (rows,) scores. labels, users: (rows,), of some users of the split.
        all_users: of the whole split; the variance falls with their number.

    Returns:
        None where no counter has an error: one label, one user, or counters that are constant or perfect.
    """
    names = list(counters)
    aucs, covariance = delong([counters[name] for name in names], labels, users)
    errors = np.sqrt(np.diag(covariance) * len(np.unique(users)) / all_users)
    best = int(np.abs(np.nan_to_num(aucs, nan=0.5) - 0.5).argmax())
    error = float(errors[best])
    if not error > 0:
        return None
    alike, unrelated = (POWER_95_80 * np.sqrt(2 * (1 - rho)) * error for rho in (ALIKE, 0.0))
    return Resolution(names[best], error, float(alike), float(unrelated))
