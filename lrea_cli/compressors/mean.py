"""Keeps one row at any rank, the mean of the behaviors: the control that shows whether more rows pay."""

from __future__ import annotations

import numpy as np

from lrea_cli.compressors.base import Compressor
from lrea_cli.methods.mean import pooled
from lrea_cli.oracle import compressors as reference_compressors
from lrea_cli.sequence import Behaviors, PseudoItems


class Mean(Compressor):
    """key = mean of E, value = c(n) times its sum, as in the method `mean`; its mass is n."""

    name = "mean"
    slow_twin = staticmethod(reference_compressors.mean)

    @staticmethod
    def most_rows(rank: int) -> int:
        return 1

    def compress(self, behaviors: Behaviors, users: np.ndarray) -> PseudoItems:
        return pooled(behaviors, self.reader)
