"""Whether an open loop was overloaded: does the backlog grow over the whole trial, by more than chance explains?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lrea_cli.bench.load.loops import Trial
from lrea_cli.stats.estimates import Interval, t_quantile

WINDOWS = 20
"""Of equal time that a trial is cut into: with 20 the interval is 7% wider than with many."""


@dataclass(frozen=True)
class Backlog:
    """Requests that have arrived and are not done, over the time in which requests arrive.

    Args:
        growth: requests a second by which it grows, the mean.
        ci: 95% interval of the growth.
        mean: requests, at the ends of the windows.
        most: the most of these.
    """

    growth: float
    ci: Interval
    mean: float
    most: int

    @property
    def overloaded(self) -> bool:
        """The whole interval of the growth lies above zero."""
        return self.ci[0] > 0


def backlog_of(trial: Trial, seconds: float) -> Backlog:
    """The growth of the backlog, with Student's interval over `WINDOWS` equal parts of the trial.

    A queue that keeps up takes back in one window what it gained in another: the gains sum to what is left at the end,
    which stays small while their spread does not, and zero is in the interval. In a queue that does not keep up each
    window gains (rate - capacity) times its length. So the rule needs no limit of its own, and a trial of more requests
    tells smaller overloads.

    Args:
        seconds: in which requests arrived.
    """
    ends = np.linspace(0, seconds, WINDOWS + 1)
    done = np.sort(trial.done)
    waiting = np.searchsorted(np.sort(trial.scheduled), ends, "right") - np.searchsorted(done, ends, "right")
    gains = np.diff(waiting) * WINDOWS / seconds
    mean, error = float(gains.mean()), float(gains.std(ddof=1)) / math.sqrt(WINDOWS)
    half = t_quantile(WINDOWS - 1) * error
    return Backlog(mean, (mean - half, mean + half), float(waiting[1:].mean()), int(waiting.max()))
