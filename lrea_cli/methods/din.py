"""DIN over the whole long sequence (Zhou et al. 2018; the paper's "DIN (Long sequence)"): the identity summary."""

from __future__ import annotations

from typing import Self

from lrea_cli.attention import scaled_values
from lrea_cli.methods.base import PseudoItemMethod
from lrea_cli.recipe import ModelSettings
from lrea_cli.sequence import Behaviors, PseudoItems


class DIN(PseudoItemMethod):
    """interest = c(n) sum_l s(e_t, e_l) e_l: keys = E, values = c(n) E, one row a behavior."""

    name = "din"

    @classmethod
    def build(cls, settings: ModelSettings, width: int, long: int) -> Self:
        return cls(width)

    def summarize(self, behaviors: Behaviors) -> PseudoItems:
        """keys (B, L, D) = E, values = c(n) E."""
        return PseudoItems(behaviors.vectors, scaled_values(behaviors), behaviors.lengths)
