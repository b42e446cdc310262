"""Candidates for benchmarks and gates: real item rows of the log, with the profile of a real request."""

from __future__ import annotations

import numpy as np
import torch

from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.samples import Samples
from lrea_cli.sequence import CandidateIds


class CandidatePool:
    """Draws candidates for one request.

    Args:
        histories: where item rows come from, as often as they were clicked.
        samples: where profiles come from.
    """

    def __init__(self, histories: Histories, samples: Samples, seed: int) -> None:
        self._histories, self._samples = histories, samples
        self._rng = np.random.default_rng(seed)

    def draw(self, count: int) -> CandidateIds:
        """(1, count) candidates that share one profile."""
        behaviors = self._rng.integers(len(self._histories.time), size=count)
        row = int(self._rng.integers(self._samples.rows))
        profile = self._samples.profile.items()
        return CandidateIds(
            ids={name: torch.from_numpy(c[behaviors][None]) for name, c in self._histories.columns.items()},
            profile={name: torch.from_numpy(np.full((1, count), column[row])) for name, column in profile},
            mask=torch.ones(1, count, dtype=torch.bool),
            time=torch.from_numpy(self._samples.time[self._samples.row_request[row]][None]),
        )
