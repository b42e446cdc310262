"""Mean pooling: one pseudo item for a whole history, the control that shows whether more rows pay."""

from __future__ import annotations

from lrea_cli.attention import scaled_values
from lrea_cli.methods.base import PseudoItemMethod
from lrea_cli.methods.cost import Work, linear_half_work
from lrea_cli.oracle.attention import SlowMean
from lrea_cli.recipe.settings import CacheDtype
from lrea_cli.sequence import Behaviors, PseudoItems


class Mean(PseudoItemMethod):
    """interest = s(e_t, mean_l e_l) c(n) sum_l e_l; an empty history has no row."""

    name = "mean"
    slow_twin = SlowMean

    def summarize(self, behaviors: Behaviors) -> PseudoItems:
        return pooled(behaviors)

    def rows_of(self, n: int) -> int:
        """One, so a request is O(N D H) at any n."""
        return min(n, 1)

    def offline_work(self, n: int) -> Work:
        """O(n D): the sum of E and its division, c(n) E and its sum."""
        mean = Work(elementwise=3 * n * self.width + self.width) if n else Work()
        return mean + linear_half_work(self.rows_of(n), self.width)

    def behavior_work(self, n: int, dtype: CacheDtype) -> Work:
        """O(D^2) for the linear half of the new row; the whole record is written.

        sum' = n k + e, minus the oldest e at n = L;  k' = sum' / n',  v' = c(n') sum'.
        """
        steps = 5 if n == self.long else 4 if n else 2
        row = Work(elementwise=steps * self.width) + linear_half_work(1, self.width)
        return row + self.record_work(1, dtype)


def pooled(behaviors: Behaviors) -> PseudoItems:
    """Mean pooling: keys (B, 1, D) = mean of E, values (B, 1, D) = c(n) sum of E."""
    n = behaviors.lengths
    keys = behaviors.vectors.sum(1, keepdim=True) / n.clamp(min=1)[:, None, None]
    return PseudoItems(keys, scaled_values(behaviors).sum(1, keepdim=True), rows=n.clamp(max=1))
