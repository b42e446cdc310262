"""A number or a difference with its 95% interval, read off the draws of a bootstrap; Student's t; the deviation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Z_95 = 1.959964
"""z(.975): standard errors from the middle to each end of a normal 95% interval."""
POWER_95_80 = Z_95 + 0.841621
"""z(.975) + z(.8): standard errors that a true difference must have to be found in 80 of 100 test sets at 95%."""

NODES, WEIGHTS = np.polynomial.legendre.leggauss(64)
"""Of Gauss's quadrature on [-1, 1]."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A number, or a difference: second minus first (or, of latencies, second / first - 1); None where undefined."""

    value: float | None
    ci: Interval | None
    standard_error: float | None

    @property
    def resolved(self) -> bool:
        """Of a difference: zero lies outside the interval."""
        return self.ci is not None and not self.ci[0] <= 0 <= self.ci[1]

    @property
    def resolvable(self) -> float | None:
        """The smallest true difference that such data show (zero outside the interval) with a power of 80%.

        (1.96 + 0.84) standard errors, the minimum detectable effect of Bloom 1995.
        """
        return None if self.standard_error is None else POWER_95_80 * self.standard_error


def estimate(value: float | None, drawn: np.ndarray) -> Estimate:
    """95% percentile interval and standard error from draws.

    Args:
        drawn: (draws,), NaN where undefined; those are left out, and there is no interval where they are most.
    """
    known = drawn[np.isfinite(drawn)]
    if value is None or len(known) < max(2, len(drawn) / 2):
        return Estimate(value, None, None)
    low, high = np.quantile(known, [0.025, 0.975], method="weibull").tolist()
    return Estimate(value, (low, high), float(np.std(known, ddof=1)))


def t_quantile(freedom: float, inside: float = 0.95) -> float:
    """t with P(|T| <= t) = `inside`, by bisection; `freedom` of Student's t may be a fraction, 1 or more."""
    low, high = 0.0, 100.0
    while _t_within(high, freedom) < inside:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _t_within(middle, freedom) < inside else (low, middle)
    return high


def _t_within(t: float, freedom: float) -> float:
    """P(|T| <= t) = 2 Gamma((f + 1) / 2) / (sqrt(pi) Gamma(f / 2)) int_0^a cos(x)^(f - 1) dx,  tan(a) = t / sqrt(f)."""
    angle = math.atan(t / math.sqrt(freedom))
    area = angle / 2 * float(WEIGHTS @ np.cos(angle / 2 * (NODES + 1)) ** (freedom - 1))
    return 2 / math.sqrt(math.pi) * area * math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2))


def deviation(full: np.ndarray, other: np.ndarray) -> float | None:
    """Root mean square of the change of the logit over the standard deviation of the full one.

    Args:
        full, other: (rows,) logits.

    Returns:
        None where there is no row, or the full logits are constant.
    """
    spread = float(np.std(full)) if len(full) else 0.0
    return float(np.sqrt(np.mean((other - full) ** 2))) / spread if spread else None
