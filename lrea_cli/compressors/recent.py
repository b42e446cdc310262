"""Keeps the newest R behaviors as they are: the control that shows whether older ones matter."""

from __future__ import annotations

import numpy as np

from lrea_cli.attention import scaled_values
from lrea_cli.compressors.base import Compressor
from lrea_cli.oracle import compressors as reference_compressors
from lrea_cli.sequence import Behaviors, PseudoItems


class Recent(Compressor):
    """keys = E[:R], values = c(n) E[:R]; older behaviors count in the linear half alone."""

    name = "recent"
    slow_twin = staticmethod(reference_compressors.recent)

    def compress(self, behaviors: Behaviors, users: np.ndarray) -> PseudoItems:
        """Keep the first R rows: histories are newest first."""
        rows = behaviors.lengths.clamp(max=self.rank)
        return PseudoItems(behaviors.vectors[:, : self.rank], scaled_values(behaviors)[:, : self.rank], rows=rows)
