"""Mean pooling: one pseudo item for a whole history, the control that shows whether more rows pay."""

from __future__ import annotations

from lrea_cli.attention import Reader
from lrea_cli.methods.cost import Work
from lrea_cli.methods.pseudo_items import PseudoItemMethod
from lrea_cli.oracle.pseudo_items import SlowMean
from lrea_cli.recipe.settings import CacheDtype
from lrea_cli.sequence import Behaviors, PseudoItems


class Mean(PseudoItemMethod):
    """interest = s(e_t, mean_l e_l) c(n) sum_l e_l; an empty history has no row.

    With reader `softmax` a single row has the weight 1, so interest = mean_l e_l W_V W_O for all candidates alike, and
    W_Q and W_K have no gradient.
    """

    name = "mean"
    slow_twin = SlowMean

    def summarize(self, behaviors: Behaviors) -> PseudoItems:
        return pooled(behaviors, self.attention)

    def rows_of(self, n: int) -> int:
        """One, so a request is O(N D H) at any n."""
        return min(n, 1)

    def offline_work(self, n: int) -> Work:
        """O(n D): the sum of E and its division, c(n) E (for reader `din`) and its sum."""
        mean = Work(elementwise=(2 if self.softmax else 3) * n * self.width + self.width) if n else Work()
        return mean + self.seal_work(self.rows_of(n))

    def behavior_work(self, n: int, dtype: CacheDtype) -> Work:
        """O(D^2) for the linear half of the new row; the whole record is written.

        sum' = n k + e, minus the oldest e at n = L;  k' = sum' / n',  v' = c(n') sum'. For reader `softmax` the record
        has the sum itself.
        """
        steps = 5 if n == self.long else 4 if n else 2
        if self.softmax:
            steps = 3 if n == self.long else 2 if n else 1
        row = Work(elementwise=steps * self.width) + self.seal_work(1)
        return row + self.record_work(1, dtype)


def pooled(behaviors: Behaviors, reader: Reader) -> PseudoItems:
    """Mean pooling: keys (B, 1, D) = mean of E, values (B, 1, D) = sum of the reader's values, mass (B, 1) = n."""
    n, items = behaviors.lengths, reader.items_of(behaviors)
    keys = behaviors.vectors.sum(1, keepdim=True) / n.clamp(min=1)[:, None, None]
    mass = None if items.mass is None else n[:, None].to(keys.dtype)
    return PseudoItems(keys, items.values.sum(1, keepdim=True), mass=mass, rows=n.clamp(max=1))
