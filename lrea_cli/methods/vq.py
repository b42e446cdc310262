"""VQL (arXiv 2508.17125): quantizes keys, not values; keeps the count and sum of the behaviors that share a code."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lrea_cli.attention import MultiHeadAttention, softmax_weights
from lrea_cli.kernels import Kernel, folded
from lrea_cli.methods.base import HistoryShape, LongInterest
from lrea_cli.methods.cost import ENVELOPE_BYTES, Work, row_bytes
from lrea_cli.methods.nearest import nearest, nearest_codes
from lrea_cli.methods.slots import NamedRows, no_rows, resized, sums_by_slot, with_values
from lrea_cli.methods.sums import add_at
from lrea_cli.oracle.quantized import SlowVQ
from lrea_cli.recipe.settings import CacheDtype, ModelSettings
from lrea_cli.sequence import Behaviors, Candidates, Interest, RecordField, Summary

SAMPLE = 4096
"""Behaviors of a batch from which the codebook learns, at equal distances; K is at most as large."""
KEPT = 0.8
"""Of the moving averages at each step; keys outran codes with more: .95 left users 3 of 128 codes (docs/log.md)."""
DEAD = 0.1
"""A code with less than this share of the mean usage starts again."""


@dataclass(frozen=True)
class Coded(Summary):
    """The summary: one row for each code that the user touched, in the order of first appearance, oldest first.

    Args:
        code: (B, R) int32, number of the code. count: (B, R) int32, behaviors that have it. Both are zero past `rows`.
        sums: (B, R, D), sum of the item vectors of these behaviors, zero past `rows`; never float16.
    """

    code: Tensor
    count: Tensor
    sums: Tensor


class VQ(LongInterest):
    """Softmax attention whose keys are quantized to a codebook C (K, D) shared by all users, and whose values are not.

        z_l = argmin_j |e_l W_K - C_j|^2,   n_j = #{l: z_l = j},   S_j = sum_{z_l = j} e_l
        head_h = sum_j exp(q_h . C_jh / sqrt(d_h)) (S_j W_V)_h / sum_j exp(q_h . C_jh / sqrt(d_h)) n_j,   q = e_t W_Q
        interest = [head_1, ..] W_O

    That is exactly softmax attention over all behaviors with the keys C_z, which is what training computes; there the
    gradient of a key C_z goes on to e_l W_K (straight through). A record holds z, n and S: a click adds to one row.

    The codebook is a buffer: moving averages of the keys of each code (van den Oord et al. 2017, appendix A.1) have no
    rate to tune beside Adagrad's, whose steps shrink while the keys go on moving. `usage` (K,) is the average share of
    behaviors that a code has; a code that is hardly used starts again from a key of the batch, as all do at the start.

    These settings of the recipe act here:
        codes: K.
        beta: weight of the commitment loss, the mean of |e_l W_K - sg(C_z)|^2 over the behaviors of a batch.
        heads: h, each of width d_h = D / h; one codebook for all.
    """

    name = "vq"
    summary_type = Coded
    slow_twin = SlowVQ
    penalty_name = "codebook loss"
    codebook: Tensor
    usage: Tensor

    def __init__(self, settings: ModelSettings, shape: HistoryShape) -> None:
        super().__init__(settings, shape)
        self.codes = settings.codes
        self.attention = MultiHeadAttention(self.width, settings.heads)
        self.register_buffer("codebook", torch.randn(self.codes, self.width))
        self.register_buffer("usage", torch.zeros(self.codes))

    @property
    def record(self) -> tuple[RecordField, ...]:
        return (
            RecordField("code", (), "rows", "int32"),
            RecordField("count", (), "rows", "int32"),
            RecordField("sums", (self.width,), "rows", "wide"),
        )

    @property
    def penalty_weight(self) -> float:
        return self.settings.beta

    @property
    def appends(self) -> bool:
        return True

    @torch.no_grad()
    def observe(self, behaviors: Behaviors) -> None:
        """Move the codes to the averages of their keys, and start codes again that are hardly used.

        Sums are products and nothing is drawn, so the same batches give the same codebook.
        """
        real = behaviors.mask.flatten()
        steps, total = torch.arange(SAMPLE, device=real.device), real.sum()
        index = torch.searchsorted(real.cumsum(0), steps * total // SAMPLE + 1).clamp(max=len(real) - 1)
        keys_MD = self.attention.keys(behaviors.vectors.flatten(0, 1)[index]).to(self.codebook.dtype)
        own_MK = one_hot(nearest(keys_MD, self.codebook), self.codes).to(keys_MD.dtype) / SAMPLE
        old, new = KEPT * self.usage, (1 - KEPT) * own_MK.sum(0)
        usage = old + new
        averages = old[:, None] * self.codebook + (1 - KEPT) * (own_MK.T @ keys_MD)
        dead = (usage < DEAD / self.codes) | (self.usage == 0)
        first = keys_MD[torch.arange(self.codes, device=real.device) * SAMPLE // self.codes]
        moved = torch.where(dead[:, None], first, averages / usage.clamp(min=1e-30)[:, None])
        self.codebook.copy_(torch.where(total > 0, moved, self.codebook))
        self.usage.copy_(torch.where(total > 0, torch.where(dead, 1 / self.codes, usage), self.usage))

    def forward(self, behaviors: Behaviors, candidates: Candidates, kernel: Kernel = folded) -> Interest:
        """Attend to every behavior by its code, with the commitment loss: `attend(summarize(..))` with a gradient."""
        attention, E = self.attention, behaviors.vectors
        keys_BLD = attention.keys(E)
        with torch.no_grad():
            code_BL = nearest(keys_BLD, self.codebook) if self.training else self._codes(E)
        coded_BLD = self.codebook.to(E.dtype)[code_BL]
        apart_BL = (keys_BLD - coded_BLD).square().sum(-1) * behaviors.mask
        penalty = {"commitment": apart_BL.sum() / behaviors.mask.sum().clamp(min=1)}
        straight_BLD = coded_BLD + (keys_BLD - keys_BLD.detach())
        bias, real = torch.zeros_like(code_BL, dtype=E.dtype), behaviors.mask
        return Interest(self._attend(candidates, straight_BLD, attention.values(E), (bias, real)), penalty)

    def summarize(self, behaviors: Behaviors) -> Coded:
        """The codes, their counts and sums; width min(K, L)."""
        mask, code_BL = behaviors.mask, self._codes(behaviors.vectors)
        slots_BL, named = with_values(no_rows(mask), code_BL, mask, min(self.codes, mask.shape[1]))
        sums = sums_by_slot(behaviors.vectors, slots_BL, named.width)
        return Coded(named.values, named.count, sums, rows=named.rows)

    def recorded(self, behaviors: Behaviors, dtype: CacheDtype) -> Summary:
        """The sealed summary, whose sums are formed as clicks form them; see `methods.sums`."""
        none = no_rows(behaviors.mask)
        sums = behaviors.vectors.new_zeros(len(none.rows), none.width, self.width, dtype=torch.float32)
        return self.seal(self.append(Coded(none.values, none.count, sums, rows=none.rows), behaviors.double()), dtype)

    def append(self, record: Summary, newer: Behaviors) -> Coded:
        """Add behaviors to the rows of their codes; a code that is new to a user gets the next row."""
        assert isinstance(record, Coded)
        before = NamedRows(record.code, record.count, record.rows)
        slots_BM, named = with_values(before, self._codes(newer.vectors), newer.mask)
        sums = add_at(resized(record.sums, named.width), slots_BM, newer.vectors)
        return Coded(named.values, named.count, sums, rows=named.rows)

    def attend(self, summary: Summary, candidates: Candidates, kernel: Kernel = folded) -> Tensor:
        """Softmax of q C_z / sqrt(d_h) + ln n over the rows, whose values are means: the same quotient."""
        assert isinstance(summary, Coded)
        dtype, count = candidates.vectors.dtype, summary.count.clamp(min=1).to(candidates.vectors.dtype)
        keys = self.codebook.to(dtype)[summary.code.long()]
        values = self.attention.values(summary.sums.to(dtype) / count[..., None])
        return self._attend(candidates, keys, values, (count.log(), summary.in_use(keys.shape[1])))

    def rows_of(self, n: int) -> int:
        """min(n, K), the most codes that n behaviors touch; a record of fewer codes is smaller."""
        return min(n, self.codes)

    def offline_work(self, n: int) -> Work:
        """O(n K D): projections, distances to all codes, and one addition to a sum for each behavior.

        products     2 n D^2  +  2 n K D
                     e_l W_K     k_l C^T, from |C_j|^2 / 2
        elementwise  n D     +  n
                     sums       how near the second nearest code is
        """
        D = self.width
        return Work(products=2 * n * D * D + 2 * n * self.codes * D, elementwise=n * D + n)

    def request_work(self, n: int, candidates: int) -> Work:
        """Attention to R = min(n, K) rows, O(N R D) at any n.

        products     2 N D^2  +  2 N R D  +  2 R D^2  +  2 N R D  +  2 N D^2
                     e_t W_Q     q . C      S W_V        mix         W_O
        elementwise  N D    +  R D  +  N R h  +  4 N R h
                     scale     S / n   ln n      softmax, mask
        """
        R, D, N, h = self.rows_of(n), self.width, candidates, self.attention.heads
        return Work(0, 4 * N * D * D + 4 * N * R * D + 2 * R * D * D, N * D + R * D + 5 * N * R * h)

    def behavior_work(self, n: int, dtype: CacheDtype) -> Work:
        """O(K D): the code of one behavior, and one row.

        At n = L the oldest behavior leaves another row by the same work (the two may share a row). The server must
        still know the oldest behavior's vector or ids, since the record does not hold them.
        """
        moved = 2 if n == self.long else 1
        row = sum(sum(row_bytes(field, dtype)) for field in self.record)
        one = self.offline_work(1)
        return Work(moved, moved * one.products, moved * one.elementwise, ENVELOPE_BYTES + moved * row)

    def _attend(self, candidates: Candidates, keys: Tensor, values: Tensor, rows: tuple[Tensor, Tensor]) -> Tensor:
        """Attention (B, N, D) to keys and values (B, X, D); `rows` is what to add to a score, and which rows count."""
        attention, (bias_BX, real_BX) = self.attention, rows
        queries_BHNd = attention.by_head(attention.queries(candidates.vectors) * attention.scale)
        keys_BHXd, values_BHXd = attention.by_head(keys), attention.by_head(values)
        scores_BHNX = queries_BHNd @ keys_BHXd.transpose(2, 3) + bias_BX[:, None, None]
        mixed_BHNd = softmax_weights(scores_BHNX, real_BX[:, None, None]) @ values_BHXd
        return mixed_BHNd.transpose(1, 2).flatten(2) @ attention.W_O.to(mixed_BHNd.dtype)

    def _codes(self, vectors: Tensor) -> Tensor:
        """(B, L) int64, the code of each behavior, the same in any batch."""
        return nearest_codes(vectors.double(), self.attention.W_K.double(), self.codebook.double())
