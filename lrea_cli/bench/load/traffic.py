"""What is asked under load: when requests arrive, whose they are, and which of these users have no record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lrea_cli.bench.load.choices import UserDraw

EXPONENT = 1.0
"""Of Zipf's law: the user of rank r sends requests in proportion to r^-EXPONENT."""
CYCLE = 1 << 15
"""Requests that are drawn; request number CYCLE is request 0 again."""
ARRIVALS, USERS, ORDER, MISSING = range(4)
"""Streams of random numbers of one seed, so that a change of one draw leaves the others as they are."""


@dataclass(frozen=True)
class Traffic:
    """The requests of a measurement; the same seed draws the same ones.

    Args:
        users: `uniform`: each user as often; `zipf`: the user of rank r in proportion to 1 / r, ranks drawn.
        missing: share of the requests whose user has no record.
        seed: of all draws.
    """

    users: UserDraw
    missing: float
    seed: int

    def positions(self, users: int) -> np.ndarray:
        """(CYCLE,) which of so many users each request is of."""
        rng = self._rng(USERS)
        if self.users == "uniform":
            return rng.integers(users, size=CYCLE)
        upto = np.cumsum(zipf_shares(users))
        rank = np.searchsorted(upto, rng.random(CYCLE) * upto[-1], side="right")
        return self._rng(ORDER).permutation(users)[rank]

    def without_record(self) -> np.ndarray:
        """(CYCLE,) bool: the requests whose user has no record."""
        return self._rng(MISSING).random(CYCLE) < self.missing

    def arrivals(self, rate: float, seconds: float) -> np.ndarray:
        """Ascending times in [0, seconds) of a Poisson process.

        The gaps are exponential with mean 1 / rate. Another rate draws the same gaps, scaled: so the trials of a search
        differ in nothing but the rate.
        """
        rng, times, last = self._rng(ARRIVALS), [], 0.0
        while last < seconds:
            times.append(last + np.cumsum(rng.standard_exponential(1024)) / rate)
            last = float(times[-1][-1])
        together = np.concatenate(times)
        return together[together < seconds]

    def _rng(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, stream])


def zipf_shares(users: int) -> np.ndarray:
    """(users,) the share of all requests that the user of each rank sends, the most frequent one first."""
    weight = np.arange(1, users + 1, dtype=np.float64) ** -EXPONENT
    return weight / weight.sum()
