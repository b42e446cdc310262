"""Sampling is all you need (Cao et al., CIKM 2022, arXiv 2205.10249): sums of what shares the candidate's hash."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from lrea_cli.kernels import Kernel, folded
from lrea_cli.methods.base import HistoryShape, LongInterest
from lrea_cli.methods.cost import ENVELOPE_BYTES, Cost, Work, record_bytes, require_length
from lrea_cli.methods.hashing import buckets, random_planes, sign_bits
from lrea_cli.methods.search import gather
from lrea_cli.oracle.searches import SlowSDIM
from lrea_cli.recipe.settings import ModelSettings
from lrea_cli.sequence import Behaviors, Buckets, Candidates, RecordField, Summary


class SDIM(LongInterest):
    """m hashes, tau at a time: a group's tau bits name the bucket of a vector.

        S_gb = sum_l [bucket_g(e_l) = b] e_l                                   what is cached: G 2^tau rows, G = m / tau
        interest = (1 / G) sum_g S_g,bucket_g(e_t) / ||S_g,bucket_g(e_t)||_2   zero where the bucket is empty

    Args:
        settings: `m` hashes, `tau` of them a group. width: D. long: L.
    """

    name = "sdim"
    summary_type = Buckets
    slow_twin = SlowSDIM
    planes: torch.Tensor

    def __init__(self, settings: ModelSettings, width: int, long: int) -> None:
        super().__init__()
        self.width, self.long, self.tau = width, long, settings.tau
        self.groups = settings.m // settings.tau
        self.register_buffer("planes", random_planes(width, settings.m))

    @classmethod
    def build(cls, settings: ModelSettings, shape: HistoryShape) -> Self:
        return cls(settings, shape.width, shape.long)

    @property
    def record(self) -> tuple[RecordField, ...]:
        return (RecordField("sums", (self.width,), "rows", "float32"),)

    def summarize(self, behaviors: Behaviors) -> Buckets:
        """S (B, G 2^tau, D)."""
        bucket_BLG = self._buckets(behaviors.vectors)
        E = behaviors.vectors  # zero where masked: padding adds nothing to any bucket
        sums = [one_hot(bucket_BL, self.size).to(E.dtype).transpose(1, 2) @ E for bucket_BL in bucket_BLG.unbind(-1)]
        return Buckets(torch.cat(sums, 1), rows=(behaviors.lengths > 0) * (self.groups * self.size))

    def attend(self, summary: Summary, candidates: Candidates, kernel: Kernel = folded) -> Tensor:
        """One row of each group, whatever L was."""
        assert isinstance(summary, Buckets)
        dtype = candidates.vectors.dtype
        sums_BRD = summary.sums.to(dtype)
        if sums_BRD.shape[1] < self.groups * self.size:  # a batch of empty histories has no rows
            return torch.zeros_like(candidates.vectors)
        directions_BRD = normalize(sums_BRD, dim=-1)
        first_G = torch.arange(self.groups, device=sums_BRD.device) * self.size
        return gather(directions_BRD, self._buckets(candidates.vectors) + first_G).mean(2)

    def cost_of(self, n: int, candidates: int, dtype_bytes: int = 4) -> Cost:
        """Offline O(n m D), a request O(N m D) whatever n is: one row a group and candidate. R = G 2^tau rows.

            offline   products     2 n D m      +  2 n R D
                                   e_l H           sums, as products with one-hot rows: n G D additions would do
            request   products     2 N D m
                                   e_t H
                      elementwise  3 R D        +  N G D + N D
                                   norm, divide    mean over groups

        A new behavior costs 2 D m and one row in each group; the first one writes all R, as an empty history has none.
        At n = L the oldest leaves another row of each group (at most: the two can share one) by the same work, and a
        server must still know that behavior's vector, or its ids: the record has no sequence.
        """
        require_length(n, self.long)
        D, N, G, rows = self.width, candidates, self.groups, self.groups * self.size
        code = 2 * D * G * self.tau
        size = record_bytes(self.record, rows, dtype_bytes)
        moved = 2 if n == self.long else 1
        changed = moved * G if n else rows
        return Cost(
            Work(rows, n * code + 2 * n * rows * D, 0, size) if n else Work(bytes=ENVELOPE_BYTES),
            Work(rows, N * code, 3 * rows * D + N * G * D + N * D, size) if n else Work(),
            Work(changed, moved * code, moved * G * D, ENVELOPE_BYTES + 4 * changed * D),
        )

    @property
    def size(self) -> int:
        """Buckets of a group."""
        return 2**self.tau

    def _buckets(self, vectors: Tensor) -> Tensor:
        """(B, L, G) int64."""
        return buckets(sign_bits(vectors, self.planes), self.tau)
