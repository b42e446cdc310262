"""DIN over the whole long history (Zhou et al. 2018; the paper's "DIN (Long sequence)"): it keeps every behavior."""

from __future__ import annotations

from lrea_cli.attention import scaled_values
from lrea_cli.methods.base import PseudoItemMethod
from lrea_cli.methods.cost import Work, kept_rows_behavior, kept_rows_offline
from lrea_cli.oracle.attention import SlowDIN
from lrea_cli.recipe.settings import CacheDtype
from lrea_cli.sequence import Behaviors, PseudoItems


class DIN(PseudoItemMethod):
    """interest = c(n) sum_l s(e_t, e_l) e_l: keys = E, values = c(n) E, one row for each behavior."""

    name = "din"
    slow_twin = SlowDIN

    def summarize(self, behaviors: Behaviors) -> PseudoItems:
        """keys (B, L, D) = E, values (B, L, D) = c(n) E."""
        return PseudoItems(behaviors.vectors, scaled_values(behaviors), rows=behaviors.lengths)

    def rows_of(self, n: int) -> int:
        """n, so a request is O(N n D H), the paper's O(B L d)."""
        return n

    def offline_work(self, n: int) -> Work:
        """O(n D^2) for K^T V of the linear half."""
        return kept_rows_offline(n, self.width)

    def behavior_work(self, n: int, dtype: CacheDtype) -> Work:
        """One row, and a term of rank one in `linear`."""
        return kept_rows_behavior(n, self.long, self.width, dtype)
