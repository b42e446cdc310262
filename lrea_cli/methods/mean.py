"""Mean pooling as one pseudo item: the control that says whether compression to more than one row pays."""

from __future__ import annotations

from typing import Self

from lrea_cli.attention import scaled_values
from lrea_cli.methods.base import HistoryShape, PseudoItemMethod
from lrea_cli.methods.cost import Work, sealed_work
from lrea_cli.oracle.attention import SlowMean
from lrea_cli.recipe.settings import ModelSettings
from lrea_cli.sequence import Behaviors, PseudoItems


class Mean(PseudoItemMethod):
    """interest = s(e_t, mean_l e_l) c(n) sum_l e_l; an empty history has no row."""

    name = "mean"
    slow_twin = SlowMean

    @classmethod
    def build(cls, settings: ModelSettings, shape: HistoryShape) -> Self:
        return cls(shape.width, shape.long)

    def summarize(self, behaviors: Behaviors) -> PseudoItems:
        """See `pooled`."""
        return pooled(behaviors)

    def rows_of(self, n: int) -> int:
        """One: a request is O(N D H) at any n, LREA's with r = 1."""
        return min(n, 1)

    def offline_work(self, n: int, dtype_bytes: int) -> Work:
        """O(n D): the sum of E and its division, values = c(n) E and their sum."""
        mean = Work(elementwise=3 * n * self.width + self.width) if n else Work()
        return mean + sealed_work(self.rows_of(n), self.width, dtype_bytes)

    def behavior_work(self, n: int, dtype_bytes: int) -> Work:
        """O(D^2), the row's own linear half; row and `linear` are new, that is the whole record.

        sum' = n k + e, minus the oldest e at n = L; k' = sum' / n' and v' = c(n') sum'.
        """
        steps = 5 if n == self.long else 4 if n else 2
        return Work(elementwise=steps * self.width) + sealed_work(1, self.width, dtype_bytes)


def pooled(behaviors: Behaviors) -> PseudoItems:
    """keys (B, 1, D) = mean of E, values (B, 1, D) = c(n) times its sum."""
    n = behaviors.lengths
    keys = behaviors.vectors.sum(1, keepdim=True) / n.clamp(min=1)[:, None, None]
    return PseudoItems(keys, scaled_values(behaviors).sum(1, keepdim=True), rows=n.clamp(max=1))
