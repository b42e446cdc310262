"""Linear attention (Katharopoulos et al., ICML 2020): a history as one D x D matrix, which every candidate reads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lrea_cli.kernels import Kernel, folded
from lrea_cli.methods.base import HistoryShape, LongInterest
from lrea_cli.methods.cost import Work
from lrea_cli.methods.exact import exact_product
from lrea_cli.methods.sums import add_weighted
from lrea_cli.oracle.linear import SlowLinear
from lrea_cli.recipe.settings import CacheDtype, ModelSettings
from lrea_cli.sequence import Behaviors, Candidates, RecordField, Summary


@dataclass(frozen=True)
class Matrix(Summary):
    """The summary: float32 in a float16 cache, too, since sums can exceed float16.

    Args:
        matrix: M (B, D, D).
        total: z (B, 1, D); both are zero for an empty history.
        rows: D, or 0 for an empty history.
    """

    matrix: Tensor
    total: Tensor


class Linear(LongInterest):
    """Attention whose weights are products of features, so that it is a sum over behaviors made ahead.

        M = sum_l phi(e_l W_K)^T e_l W_V,   z = sum_l phi(e_l W_K)      cached: D + 1 rows
        interest = phi(e_t W_Q) M / (phi(e_t W_Q) . z)                  phi(x) = elu(x) + 1

    A click adds to the sums.
    """

    name = "linear"
    summary_type = Matrix
    slow_twin = SlowLinear

    def __init__(self, settings: ModelSettings, shape: HistoryShape) -> None:
        super().__init__(settings, shape)
        self.W_Q, self.W_K, self.W_V = (nn.Parameter(torch.empty(shape.width, shape.width)) for _ in range(3))
        for weight in (self.W_Q, self.W_K, self.W_V):
            nn.init.xavier_uniform_(weight)

    @property
    def record(self) -> tuple[RecordField, ...]:
        return (
            RecordField("matrix", (self.width,), self.width, "wide"),
            RecordField("total", (self.width,), 1, "wide"),
        )

    @property
    def appends(self) -> bool:
        return True

    def summarize(self, behaviors: Behaviors) -> Matrix:
        """M and z; phi of padding is not zero, so the mask leaves it out."""
        E = behaviors.vectors
        keys_BLD = phi(E @ self.W_K.to(E.dtype)) * behaviors.mask[..., None]
        values_BLD = E @ self.W_V.to(E.dtype)
        return Matrix(
            keys_BLD.transpose(1, 2) @ values_BLD, keys_BLD.sum(1, keepdim=True), rows=self._rows(behaviors.lengths > 0)
        )

    def recorded(self, behaviors: Behaviors, dtype: CacheDtype) -> Summary:
        """Fold the history as clicks would add it, if a float32 record is to have the same bits."""
        if dtype != "float32":
            return super().recorded(behaviors, dtype)
        B, D, device = len(behaviors.mask), self.width, behaviors.mask.device
        matrix, total = torch.zeros(B, D, D, device=device), torch.zeros(B, 1, D, device=device)
        return self.append(Matrix(matrix, total, rows=self._rows(total.any(-1)[:, 0])), behaviors.double())

    def append(self, record: Summary, newer: Behaviors) -> Matrix:
        assert isinstance(record, Matrix)
        E, real_BL1 = newer.vectors, newer.mask[..., None].double()
        keys_BLD = phi(exact_product(E, self.W_K.to(E.dtype))) * real_BL1
        values_BLD = exact_product(E, self.W_V.to(E.dtype))
        before = torch.cat([record.matrix, record.total.transpose(1, 2)], 2)
        after = add_weighted(before, keys_BLD, torch.cat([values_BLD, real_BL1], 2))
        rows = self._rows((record.rows > 0) | (newer.lengths > 0))
        return Matrix(after[..., :-1], after[..., -1:].transpose(1, 2), rows=rows)

    def attend(self, summary: Summary, candidates: Candidates, kernel: Kernel = folded) -> Tensor:
        assert isinstance(summary, Matrix)
        dtype = candidates.vectors.dtype
        queries_BND = phi(candidates.vectors @ self.W_Q.to(dtype))
        weight_BN1 = queries_BND @ summary.total.to(dtype).transpose(1, 2)
        return queries_BND @ summary.matrix.to(dtype) / weight_BN1.masked_fill(weight_BN1 == 0, 1.0)

    def rows_of(self, n: int) -> int:
        """D, at any n > 0."""
        return self.width if n else 0

    def offline_work(self, n: int) -> Work:
        """O(n D^2).

        products     4 n D^2     +  2 n D^2
                     keys, values   M
        elementwise  n D  +  n D  +  n D
                     phi     mask    z
        """
        D = self.width
        return Work(products=6 * n * D * D, elementwise=3 * n * D)

    def request_work(self, n: int, candidates: int) -> Work:
        """O(N D^2) at any n.

        products     2 N D^2  +  2 N D^2  +  2 N D
                     queries     M           z
        elementwise  N D  +  N D
                     phi     quotient
        """
        N, D = candidates, self.width
        return Work(0, 4 * N * D * D + 2 * N * D, 2 * N * D)

    def behavior_work(self, n: int, dtype: CacheDtype) -> Work:
        """O(D^2), and all rows change; at n = L the oldest behavior leaves by the same work.

        The server must still know the vector of that one, and the record then has the bits of no new one.

        products     4 D^2
                     key, value
        elementwise  8 D                +  2 D        +  2 D^2 + 2 D
                     rounding, units       phi, mask     M, z
        """
        D, moved = self.width, 2 if n == self.long else 1
        return Work(0, moved * 4 * D * D, moved * (2 * D * D + 12 * D)) + self.record_work(n + 1, dtype)

    def _rows(self, seen_B: Tensor) -> Tensor:
        return torch.where(seen_B, self.width, 0)


def phi(x: Tensor) -> Tensor:
    """elu(x) + 1, above zero. Torch's elu gives other last bits at the end of a tensor than inside; exp does not."""
    return torch.where(x > 0, x + 1, x.clamp(max=0).exp())
