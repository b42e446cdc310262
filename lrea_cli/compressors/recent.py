"""Keeps the newest R behaviors as they are: the control that shows whether older ones matter."""

from __future__ import annotations

import numpy as np

from lrea_cli.compressors.base import Compressor
from lrea_cli.oracle import compressors as reference_compressors
from lrea_cli.sequence import Behaviors, PseudoItems


class Recent(Compressor):
    """keys = E[:R], values = c(n) E[:R]; older behaviors count in the linear half alone.

    With reader `softmax` it is the attention to the newest R behaviors: each has mass 1, and older ones count nowhere.
    """

    name = "recent"
    slow_twin = staticmethod(reference_compressors.recent)

    def compress(self, behaviors: Behaviors, users: np.ndarray) -> PseudoItems:
        """Keep the first R rows: histories are newest first."""
        rows, items = behaviors.lengths.clamp(max=self.rank), self.reader.items_of(behaviors)
        mass = None if items.mass is None else items.mass[:, : self.rank]
        return PseudoItems(items.keys[:, : self.rank], items.values[:, : self.rank], mass=mass, rows=rows)
