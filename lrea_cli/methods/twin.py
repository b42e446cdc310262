"""TWIN (Chang et al., KDD 2023, arXiv 2302.02352): attends to k behaviors, selected by the attention's scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lrea_cli.attention import MultiHeadAttention, softmax_weights
from lrea_cli.ids import same_value
from lrea_cli.kernels import Kernel, folded
from lrea_cli.methods.base import HistoryShape
from lrea_cli.methods.cost import Work
from lrea_cli.methods.searched import RowPerBehavior
from lrea_cli.methods.top_k import best, gather
from lrea_cli.oracle.searches import SlowTWIN
from lrea_cli.recipe.settings import ModelSettings
from lrea_cli.sequence import Behaviors, Candidates, Projected, RecordField, Summary

HOUR = 3600
BANDS = 16
"""Bands of a behavior's age (below 1 hour, 2, 4, ..) and of its place (0, 1, 2-3, 4-7, ..); the last one is open."""


class TWIN(RowPerBehavior):
    """Each head scores the whole history, keeps its k best behaviors, and attends to them with those very scores.

        alpha_l = (e_t W_Q) . (e_l W_K) / sqrt(d_h) + age(t - t_l) + place(l) + same(category)     (Eq. 6, in each head)
        interest = [softmax over the k largest alpha_l of each head] (e_l W_V), heads side by side, W_O

    A behavior has inherent features (its item vector), whose projections W_K and W_V are computed offline and cached,
    and cross features (age, place in the history, whether it has the candidate's category), each of which adds one
    scalar to a head's score. The paper projects an embedding of each cross feature to a scalar; a learned scalar for
    each value is the same function.
    """

    name = "twin"
    summary_type = Projected
    slow_twin = SlowTWIN

    def __init__(self, settings: ModelSettings, shape: HistoryShape) -> None:
        super().__init__(settings, shape)
        self.k, self.heads = settings.k, settings.heads
        self.row_flops = 4 * self.width**2
        self.attention = MultiHeadAttention(self.width, settings.heads)
        self.age = nn.Parameter(torch.zeros(settings.heads, BANDS))
        self.place = nn.Parameter(torch.zeros(settings.heads, BANDS))
        self.same_category = nn.Parameter(torch.zeros(settings.heads)) if shape.categories else None

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
        """Score the whole history, (B, heads, N, L), then gather K values for each head and candidate."""
        assert isinstance(summary, Projected)
        attention, dtype = self.attention, candidates.vectors.dtype
        queries_BHNd = attention.by_head(attention.queries(candidates.vectors))
        keys_BHLd, values_BHLd = (attention.by_head(rows.to(dtype)) for rows in (summary.keys, summary.values))
        scores_BHNL = queries_BHNd @ keys_BHLd.transpose(2, 3) * attention.scale + self._bias(summary, candidates)
        real_B11L = summary.in_use(summary.keys.shape[1])[:, None, None]
        chosen = best(scores_BHNL, real_B11L, self.k)
        values_XNKd = gather(values_BHLd.flatten(0, 1), chosen.index.flatten(0, 1))
        values_BHNKd = values_XNKd.unflatten(0, chosen.index.shape[:2])
        weights_BHNK = softmax_weights(scores_BHNL.gather(3, chosen.index), chosen.mask)
        mixed_BHNd = (weights_BHNK[..., None, :] @ values_BHNKd)[..., 0, :]
        return mixed_BHNd.transpose(1, 2).flatten(2) @ attention.W_O

    def request_work(self, n: int, candidates: int) -> Work:
        """Scores of all n behaviors, then a mix of K = min(k, n) values in each head.

        products     2 N D^2  +  2 N n D  +  2 N K D  +  2 N D^2
                     e_t W_Q     q . k       mix         W_O
        elementwise  h n          +  2 N n h            +  4 N K h
                     age + place     scale, add the bias  softmax, mask
        with categories 2 N n h more: their term of the bias, and its addition
        """
        K, D, N, h = min(self.k, n), self.width, candidates, self.heads
        steps = 2 if self.same_category is None else 4
        products = 4 * N * D * D + 2 * N * n * D + 2 * N * K * D
        return Work(0, products, h * n + steps * N * n * h + 4 * N * K * h)

    def _bias(self, summary: Projected, candidates: Candidates) -> Tensor:
        """What the cross features add to a score, (B, heads, 1 or N, L)."""
        bias_BHNL = self._row_bias(summary, candidates)[:, :, None]
        if self.same_category is None:
            return bias_BHNL
        assert summary.category is not None
        assert candidates.category is not None
        same_BNL = same_value(candidates.category[..., None], summary.category[:, None])
        return bias_BHNL + self.same_category[:, None, None] * same_BNL[:, None]

    def _row_bias(self, summary: Projected, candidates: Candidates) -> Tensor:
        """What age and place of a row add to its scores for all candidates, (B, heads, L)."""
        assert candidates.time is not None
        age_BL = band((candidates.time[:, None] - summary.time).clamp(min=0) // HOUR)
        return (self.age[:, age_BL] + self.place[:, band(self._places(summary))]).transpose(0, 1)

    def _places(self, summary: Projected) -> Tensor:
        """The place of each row in the history, (B, L) or (1, L)."""
        return torch.arange(summary.time.shape[1], device=summary.time.device)[None]


def band(whole: Tensor) -> Tensor:
    """The bands, int64 below `BANDS`, of whole numbers from 0: 0 for 0, 1 for 1, 2 for 2 and 3, 3 for 4 to 7, .."""
    return torch.bucketize(whole, 2 ** torch.arange(BANDS - 1, device=whole.device), right=True)
