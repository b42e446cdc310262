"""Two-stage interest network (Chang et al., KDD 2023, arXiv 2302.02352): search and attention by the same scores."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from lrea_cli.attention import MultiHeadAttention, softmax_weights
from lrea_cli.ids import same_value
from lrea_cli.kernels import Kernel, folded
from lrea_cli.methods.base import HistoryShape, LongInterest
from lrea_cli.methods.cost import Cost, Work
from lrea_cli.methods.search import best, gather
from lrea_cli.methods.search_cost import behaviors_cost
from lrea_cli.oracle.searches import SlowTWIN
from lrea_cli.recipe.settings import ModelSettings
from lrea_cli.sequence import Behaviors, Candidates, Projected, RecordField, Summary

HOUR = 3600
BANDS = 16
"""Of a behavior's age (below 1 hour, 2, 4, ..) and of its place (0, 1, 2-3, 4-7, ..): the last one is open."""


class TWIN(LongInterest):
    """Each head scores the whole history, keeps its k best behaviors, and attends to them with those very scores.

        alpha_l = (e_t W_Q) . (e_l W_K) / sqrt(d_h) + age(t - t_l) + place(l) + same(category)     (Eq. 6, one a head)
        interest = [softmax over the k largest alpha_l of each head] (e_l W_V), heads side by side, W_O

    A behavior's features are split: W_K and W_V of the inherent ones (its item vector) are applied offline and cached;
    the cross ones (age, place, same category as the candidate) enter as a scalar bias a head. The paper embeds each
    cross feature and projects the embedding to a scalar; a learnt scalar for each value is the same function.

    Args:
        settings: `heads`, `k`. width: D. long: L. categories: whether there is one to compare.
    """

    name = "twin"
    summary_type = Projected
    slow_twin = SlowTWIN
    row_a_behavior = True

    def __init__(self, settings: ModelSettings, width: int, long: int, categories: bool) -> None:
        super().__init__()
        self.width, self.long, self.k, self.heads = width, long, settings.k, settings.heads
        self.attention = MultiHeadAttention(width, settings.heads)
        self.age = nn.Parameter(torch.zeros(settings.heads, BANDS))
        self.place = nn.Parameter(torch.zeros(settings.heads, BANDS))
        self.same_category = nn.Parameter(torch.zeros(settings.heads)) if categories else None

    @classmethod
    def build(cls, settings: ModelSettings, shape: HistoryShape) -> Self:
        return cls(settings, shape.width, shape.long, shape.categories)

    @property
    def record(self) -> tuple[RecordField, ...]:
        fields = (
            RecordField("keys", (self.width,), "rows"),
            RecordField("values", (self.width,), "rows"),
            RecordField("time", (), "rows", "int64"),
        )
        return fields if self.same_category is None else (*fields, RecordField("category", (), "rows", "int32"))

    def summarize(self, behaviors: Behaviors) -> Projected:
        """The projections of the inherent features."""
        assert behaviors.time is not None
        E, category = behaviors.vectors, None if self.same_category is None else behaviors.category
        keys, values = self.attention.keys(E), self.attention.values(E)
        return Projected(keys, values, behaviors.time, category, rows=behaviors.lengths)

    def attend(self, summary: Summary, candidates: Candidates, kernel: Kernel = folded) -> Tensor:
        """Scores (B, heads, N, L) of the whole history; K values a head are gathered, nothing else of size K."""
        assert isinstance(summary, Projected)
        attention, dtype = self.attention, candidates.vectors.dtype
        queries_BHNd = attention.by_head(attention.queries(candidates.vectors))
        keys_BHLd, values_BHLd = (attention.by_head(rows.to(dtype)) for rows in (summary.keys, summary.values))
        scores_BHNL = queries_BHNd @ keys_BHLd.transpose(2, 3) * attention.scale + self._bias(summary, candidates)
        chosen = best(scores_BHNL, summary.mask[:, None, None], self.k)
        values_BHNKd = gather(values_BHLd.flatten(0, 1), chosen.index.flatten(0, 1)).unflatten(
            0, chosen.index.shape[:2]
        )
        weights_BHNK = softmax_weights(scores_BHNL.gather(3, chosen.index), chosen.mask)
        mixed_BHNd = (weights_BHNK[..., None, :] @ values_BHNKd)[..., 0, :]
        return mixed_BHNd.transpose(1, 2).flatten(2) @ attention.W_O

    def cost_of(self, n: int, candidates: int, dtype_bytes: int = 4) -> Cost:
        """A row is 4 D^2, its W_K and W_V. A request scores all n behaviors, then mixes K = min(k, n) values a head.

        products     2 N D^2  +  2 N n D  +  2 N K D  +  2 N D^2
                     e_t W_Q     q . k       mix         W_O
        elementwise  h n          +  2 N n h           +  4 N K h
                     age + place     scale, add the bias  softmax, mask
        and with categories 2 N n h: their term of the bias, and its addition
        """
        K, D, N, h = min(self.k, n), self.width, candidates, self.heads
        steps = 2 if self.same_category is None else 4
        products = 4 * N * D * D + 2 * N * n * D + 2 * N * K * D
        request = Work(0, products, h * n + steps * N * n * h + 4 * N * K * h)
        return behaviors_cost(self.record, n, self.long, 4 * D * D, request, dtype_bytes)

    def _bias(self, summary: Projected, candidates: Candidates) -> Tensor:
        """(B, heads, 1 or N, L): what the cross features add to a score."""
        assert candidates.time is not None
        age_BL = band((candidates.time[:, None] - summary.time).clamp(min=0) // HOUR)
        place_L = band(torch.arange(summary.time.shape[1], device=summary.time.device))
        bias_BHNL = (self.age[:, age_BL].transpose(0, 1) + self.place[:, place_L])[:, :, None]
        if self.same_category is None:
            return bias_BHNL
        assert summary.category is not None
        assert candidates.category is not None
        same_BNL = same_value(candidates.category[..., None], summary.category[:, None])
        return bias_BHNL + self.same_category[:, None, None] * same_BNL[:, None]


def band(whole: Tensor) -> Tensor:
    """0 for 0, 1 for 1, 2 for 2 and 3, 3 for 4 to 7, ..: int64 below `BANDS`, of whole numbers from 0."""
    return torch.bucketize(whole, 2 ** torch.arange(BANDS - 1, device=whole.device), right=True)
