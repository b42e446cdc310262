"""TWIN V2 (Si et al. 2024, arXiv 2407.16357): TWIN over clusters of behaviors that are made ahead of the request."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from lrea_cli.kernels import Kernel, folded
from lrea_cli.methods.base import HistoryShape
from lrea_cli.methods.cost import Work
from lrea_cli.methods.halving import STEPS, small_clusters
from lrea_cli.methods.slots import counts_by_slot, first_seen, least_by_slot, most_rows, sums_by_slot
from lrea_cli.methods.twin import TWIN
from lrea_cli.oracle.virtual_items import SlowTWINV2
from lrea_cli.recipe.settings import CacheDtype, ModelSettings
from lrea_cli.sequence import Behaviors, Candidates, Interest, Projected, RecordField

TIE, LEAST_TIE = 1e-9, 1e-18
"""Members as near to the mean as another one but for this share, or this squared distance, are equally near."""


@dataclass(frozen=True)
class VirtualItems(Projected):
    """The summary: C clusters of behaviors, the one with the newest member first.

    Keys and values are those of the mean item vector; category is that of the member nearest to the mean, the newest of
    equally near ones; time is that of the newest member.

    Args:
        count: (B, C) int32, members of each cluster, 0 past `rows`. place: (B, C) int32, place of the newest member.
    """

    count: Tensor | None = None
    place: Tensor | None = None


class TWINV2(TWIN):
    """TWIN with virtual items for behaviors: recursive k-means halves clusters until none exceeds `most_members`.

        alpha_j = (e_t W_Q) . (mean_j W_K) / sqrt(d_h) + age + place + same(category) + ln n_j      n_j members
        interest = [softmax over the k largest alpha_j of each head] (mean_j W_V), heads side by side, W_O

    With ln n_j the softmax is that over all members, if those of a cluster are equal. Training reads each behavior as a
    cluster of one, so its form is TWIN's: clustering in every step would be slow. The record is clustered; how much
    that loses is what `lrea eval` shows as the difference of the scores as served and as trained.
    """

    name = "twin-v2"
    summary_type = VirtualItems
    slow_twin = SlowTWINV2
    row_per_behavior = False

    def __init__(self, settings: ModelSettings, shape: HistoryShape) -> None:
        super().__init__(settings, shape)
        self.most_members = settings.most_members

    @property
    def record(self) -> tuple[RecordField, ...]:
        own = RecordField("count", (), "rows", "int32"), RecordField("place", (), "rows", "int32")
        return (*super().record, *own)

    def summarize(self, behaviors: Behaviors) -> VirtualItems:
        """Cluster each history, then project the means."""
        assert behaviors.time is not None
        E, mask = behaviors.vectors.double(), behaviors.mask
        slots_BL, rows = first_seen(small_clusters(E, mask, self.most_members), mask)
        width = most_rows(rows)
        count_BC = counts_by_slot(slots_BL, width)
        mean_BCD = sums_by_slot(E, slots_BL, width) / count_BC.clamp(min=1)[..., None]
        newest_BC = least_by_slot(_places(mask), slots_BL, width)
        used_BC = count_BC > 0
        category = None
        if self.same_category is not None:
            assert behaviors.category is not None
            category = behaviors.category.gather(1, _nearest(E, mean_BCD, slots_BL)).int() * used_BC
        means = mean_BCD.to(behaviors.vectors.dtype)
        return VirtualItems(
            self.attention.keys(means),
            self.attention.values(means),
            behaviors.time.gather(1, newest_BC) * used_BC,
            category,
            count_BC.int(),
            newest_BC.int(),
            rows=rows,
        )

    def forward(self, behaviors: Behaviors, candidates: Candidates, kernel: Kernel = folded) -> Interest:
        """TWIN's: each behavior is a cluster of one."""
        return Interest(self.attend(TWIN.summarize(self, behaviors), candidates, kernel))

    def rows_of(self, n: int) -> int:
        """As if every cluster were halved evenly; a record has as many rows as its history has clusters."""
        return _halvings(n, self.most_members)[0]

    def offline_work(self, n: int) -> Work:
        """O(n D log(n / most_members)), if every cluster is halved evenly.

        products     4 C D^2                          C means by W_K and W_V
        elementwise  (7 + 7 S + 6) m D                of m points in halved clusters: mean, two farthest; S steps of two
                                                      distances and two sums; the last two distances
                     (1 + 2 S) D for each halving     means
                     n D + C D                        mean of each cluster
                     3 n D + 2 n                      with categories: the nearest member
        """
        D = self.width
        rows, halvings, moved = _halvings(n, self.most_members)
        halving = (13 + 7 * STEPS) * moved * D + (1 + 2 * STEPS) * halvings * D
        mean = n * D + rows * D
        nearest = 3 * n * D + 2 * n if self.same_category is not None else 0
        return Work(0, rows * self.row_flops, halving + mean + nearest)

    def request_work(self, n: int, candidates: int) -> Work:
        """TWIN's over C clusters in place of n behaviors, and h C for ln n_j."""
        rows = self.rows_of(n)
        return super().request_work(rows, candidates) + Work(elementwise=self.heads * rows)

    def behavior_work(self, n: int, dtype: CacheDtype) -> Work:
        """The record is made anew: one more behavior may move others to other clusters."""
        after = min(n + 1, self.long)
        return self.offline_work(after) + self.record_work(after, dtype)

    def _row_bias(self, summary: Projected, candidates: Candidates) -> Tensor:
        bias_BHC = super()._row_bias(summary, candidates)
        if not isinstance(summary, VirtualItems) or summary.count is None:
            return bias_BHC
        return bias_BHC + summary.count.clamp(min=1).to(bias_BHC.dtype).log()[:, None]

    def _places(self, summary: Projected) -> Tensor:
        clustered = isinstance(summary, VirtualItems) and summary.place is not None
        return summary.place if clustered else super()._places(summary)  # type: ignore[attr-defined, return-value]


def _places(mask: Tensor) -> Tensor:
    """(B, L): 0 for the newest behavior, 1 for the next."""
    return torch.arange(mask.shape[1], device=mask.device).expand(mask.shape)


@torch.no_grad()
def _nearest(points: Tensor, mean: Tensor, slots: Tensor) -> Tensor:
    """(B, C): the place of the member that is nearest to each cluster's mean (B, C, D), the newest of near ones."""
    own, width = slots.clamp(min=0), mean.shape[1]
    difference = points - mean.gather(1, own[..., None].expand_as(points))
    apart = (difference * difference).sum(2)
    near = least_by_slot(apart, slots, width).gather(1, own)
    equally = apart <= near * (1 + TIE) + LEAST_TIE
    return least_by_slot(_places(slots), slots.masked_fill(~equally, -1), width)


@cache
def _halvings(n: int, most: int) -> tuple[int, int, int]:
    """Clusters that n points end in, halvings, and points that were in halved clusters, with even halves."""
    if n <= most:
        return min(n, 1), 0, 0
    left, right = _halvings((n + 1) // 2, most), _halvings(n // 2, most)
    clusters, halvings, moved = (a + b for a, b in zip(left, right, strict=True))
    return clusters, halvings + 1, moved + n
