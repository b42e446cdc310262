"""DIN over the whole long history (Zhou et al. 2018; the paper's "DIN (Long sequence)"): it keeps every behavior."""

from __future__ import annotations

from lrea_cli.methods.cost import Work
from lrea_cli.methods.pseudo_items import PseudoItemMethod
from lrea_cli.oracle.pseudo_items import SlowDIN
from lrea_cli.recipe.settings import CacheDtype
from lrea_cli.sequence import Behaviors, PseudoItems


class DIN(PseudoItemMethod):
    """interest = c(n) sum_l s(e_t, e_l) e_l: keys = E, values = c(n) E, one row for each behavior.

    With reader `softmax`, multi-head attention over all behaviors: keys = values = E, and each has mass 1.
    """

    name = "din"
    slow_twin = SlowDIN

    def summarize(self, behaviors: Behaviors) -> PseudoItems:
        """Keys, values (B, L, D), and mass (B, L) for reader `softmax`."""
        return self.attention.items_of(behaviors)

    def rows_of(self, n: int) -> int:
        """n, so a request is O(N n D H), the paper's O(B L d); O(N n D) with reader `softmax`."""
        return n

    def offline_work(self, n: int) -> Work:
        """O(n D^2) for K^T V of the linear half; none for reader `softmax`."""
        return self.kept_offline(n)

    def behavior_work(self, n: int, dtype: CacheDtype) -> Work:
        """One row, and a term of rank one in `linear`."""
        return self.kept_behavior(n, dtype)
