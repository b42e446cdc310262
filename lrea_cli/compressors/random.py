"""Keeps R behaviors drawn at random: the control that shows whether choosing them pays."""

from __future__ import annotations

import numpy as np
import torch

from lrea_cli.compressors.base import Compressor, uniforms
from lrea_cli.oracle import compressors as reference_compressors
from lrea_cli.sequence import Behaviors, PseudoItems


class Random(Compressor):
    """keys = R of E, drawn without replacement, values = c(n) keys; the others count in the linear half alone.

    With reader `softmax` each row stands for n / R behaviors, a common factor that cancels, so each has mass 1.
    """

    name = "random"
    slow_twin = staticmethod(reference_compressors.random)

    def compress(self, behaviors: Behaviors, users: np.ndarray) -> PseudoItems:
        """Keep the R real behaviors with the smallest draws, in the order of the history."""
        length = behaviors.mask.shape[1]
        draws_BL = torch.from_numpy(uniforms(self.seed, users, length)).to(behaviors.mask.device)
        draws_BL = draws_BL.masked_fill(~behaviors.mask, 2.0)
        chosen_BR = draws_BL.topk(min(self.rank, length), largest=False).indices.sort(1).values
        index_BRD = chosen_BR[..., None].expand(-1, -1, behaviors.vectors.shape[2])
        items = self.reader.items_of(behaviors)
        return PseudoItems(
            items.keys.gather(1, index_BRD),
            items.values.gather(1, index_BRD),
            mass=None if items.mass is None else items.mass.gather(1, chosen_BR),
            rows=behaviors.lengths.clamp(max=self.rank),
        )
