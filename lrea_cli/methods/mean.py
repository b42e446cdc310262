"""Mean pooling as one pseudo item: the control that says whether compression to more than one row pays."""

from __future__ import annotations

from typing import Self

from lrea_cli.attention import scaled_values
from lrea_cli.methods.base import PseudoItemMethod
from lrea_cli.recipe import ModelSettings
from lrea_cli.sequence import Behaviors, PseudoItems


class Mean(PseudoItemMethod):
    """interest = s(e_t, mean_l e_l) c(n) sum_l e_l; an empty history has no row."""

    name = "mean"

    @classmethod
    def build(cls, settings: ModelSettings, width: int, long: int) -> Self:
        return cls(width)

    def summarize(self, behaviors: Behaviors) -> PseudoItems:
        """keys (B, 1, D) = mean of E, values (B, 1, D) = c(n) times its sum."""
        n = behaviors.lengths
        keys = behaviors.vectors.sum(1, keepdim=True) / n.clamp(min=1)[:, None, None]
        return PseudoItems(keys, scaled_values(behaviors).sum(1, keepdim=True), n.clamp(max=1))
