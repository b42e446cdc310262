"""Methods whose record has one row for each behavior, and those that search it for k behaviors, as SIM and ETA do."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from lrea_cli.attention import Attention, MultiHeadAttention, history_scale
from lrea_cli.kernels import Kernel, folded
from lrea_cli.methods.base import HistoryShape, LongInterest
from lrea_cli.methods.cost import Work, din_work, multi_head_work, plain_row_behavior
from lrea_cli.methods.top_k import Selection, gather
from lrea_cli.recipe.settings import CacheDtype, ModelSettings
from lrea_cli.sequence import Candidates, Searched, Summary


class RowPerBehavior(LongInterest):
    """Keeps one row for each behavior, newest first.

    A new behavior changes one row, at n = L that of the oldest. A behavior's position decides ties and TWIN's bias, but
    a row that only moves is not changed: a server keeps a ring, and remembers where its newest row is.
    """

    row_per_behavior = True
    row_flops = 0
    """FLOPs of the products that make one row."""

    def rows_of(self, n: int) -> int:
        return n

    def offline_work(self, n: int) -> Work:
        return Work(products=n * self.row_flops)

    def behavior_work(self, n: int, dtype: CacheDtype) -> Work:
        return plain_row_behavior(self.record, dtype) + Work(products=self.row_flops)


class SearchedMethod(RowPerBehavior):
    """Searches the whole history for k behaviors, then attends to those alone.

    `target_attention` = `multi-head` is the second stage of the papers, with `heads`; `din` is the scorer of all other
    methods, c(k') sum s(e_t, e_l) e_l over the k' selected behaviors, so with k >= L the method is `din`.
    A subclass writes `record`, `summarize`, `search`, `search_work`, `row_flops` and its slow twin.
    """

    summary_type = Searched

    def __init__(self, settings: ModelSettings, shape: HistoryShape) -> None:
        super().__init__(settings, shape)
        self.k, self.heads = settings.k, settings.heads
        if settings.target_attention == "din":
            self.attention = Attention(self.width, settings.scorer_hidden)
        else:
            self.attention = MultiHeadAttention(self.width, settings.heads)

    @abstractmethod
    def search(self, summary: Searched, candidates: Candidates) -> Selection:
        """Select the behaviors (B, N, K) to which each candidate attends."""

    def attend(self, summary: Summary, candidates: Candidates, kernel: Kernel = folded) -> Tensor:
        """Gather the K selected behaviors of each candidate; no tensor (B, N, L, D) exists."""
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
    def search_work(self, n: int, candidates: int) -> Work:
        """FLOPs of `search` among n behaviors."""

    def request_work(self, n: int, candidates: int) -> Work:
        """Search over n, then attention over K = min(k, n), which is the paper's O(B k d)."""
        kept = min(self.k, n)
        if isinstance(self.attention, Attention):
            attention = din_work(kept, self.width, len(self.attention.w_o), candidates)
        else:
            attention = multi_head_work(n, kept, self.width, self.heads, candidates)
        return self.search_work(n, candidates) + attention
