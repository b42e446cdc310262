"""What sim and eta share: search the whole history for k behaviors, then attend to those alone."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

from torch import Tensor

from lrea_cli.attention import Attention, MultiHeadAttention, history_scale
from lrea_cli.kernels import Kernel, folded
from lrea_cli.methods.base import HistoryShape, LongInterest
from lrea_cli.methods.cost import Cost, Work
from lrea_cli.methods.search import Found, gather
from lrea_cli.methods.search_cost import behaviors_cost, din_work, multi_head_work
from lrea_cli.recipe.settings import ModelSettings
from lrea_cli.sequence import Candidates, Searched, Summary


class SearchedMethod(LongInterest):
    """Search, then target attention over what was found.

    Args:
        width: D. long: L.
        settings: `k` = behaviors that the search keeps; `target_attention` of the second stage: `multi-head`, as the
            papers have it, with `heads`; or `din`, the scorer of all other methods: c(k') sum s(e_t, e_l) e_l over the
            k' behaviors found, which is `din` itself where k >= L.
    """

    summary_type = Searched
    row_a_behavior = True

    def __init__(self, settings: ModelSettings, width: int, long: int) -> None:
        super().__init__()
        self.width, self.long, self.k, self.heads = width, long, settings.k, settings.heads
        self.is_din = settings.target_attention == "din"
        self.attention = Attention(width) if self.is_din else MultiHeadAttention(width, settings.heads)

    @classmethod
    def build(cls, settings: ModelSettings, shape: HistoryShape) -> Self:
        return cls(settings, shape.width, shape.long)

    @abstractmethod
    def search(self, summary: Searched, candidates: Candidates) -> Found:
        """The behaviors for each candidate: index and mask (B, N, K)."""

    def attend(self, summary: Summary, candidates: Candidates, kernel: Kernel = folded) -> Tensor:
        """Only the K behaviors found are gathered: nothing of size (B, N, L, D) is made."""
        assert isinstance(summary, Searched)
        chosen = self.search(summary, candidates)
        vectors = summary.vectors.to(candidates.vectors.dtype)
        if isinstance(self.attention, Attention):
            keys_BNKD = gather(vectors, chosen.index)
            scale_BNK = history_scale(chosen.mask.sum(-1)).to(vectors.dtype)[..., None] * chosen.mask
            return self.attention.selected(candidates.vectors, keys_BNKD, keys_BNKD * scale_BNK[..., None])
        attention = self.attention
        keys_BNKD = gather(attention.keys(vectors), chosen.index)
        values_BNKD = gather(attention.values(vectors), chosen.index)
        return attention(attention.queries(candidates.vectors), keys_BNKD, values_BNKD, chosen.mask)

    @abstractmethod
    def row_work(self) -> int:
        """FLOPs (products) that make one row of the record."""

    @abstractmethod
    def search_work(self, n: int, candidates: int) -> Work:
        """The FLOPs of `search` among n behaviors."""

    def cost_of(self, n: int, candidates: int, dtype_bytes: int = 4) -> Cost:
        """Search over n, then attention over K = min(k, n): the paper's O(B k d) once a candidate has found them."""
        kept = min(self.k, n)
        if isinstance(self.attention, Attention):
            attention = din_work(kept, self.width, len(self.attention.w_o), candidates)
        else:
            attention = multi_head_work(n, kept, self.width, self.heads, candidates)
        request = self.search_work(n, candidates) + attention
        return behaviors_cost(self.record, n, self.long, self.row_work(), request, dtype_bytes)
