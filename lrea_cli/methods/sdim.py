"""SDIM (Cao et al., CIKM 2022, arXiv 2205.10249): keeps, for each hash value, the sum of the behaviors that have it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from lrea_cli.kernels import Kernel, folded
from lrea_cli.methods.base import HistoryShape, LongInterest
from lrea_cli.methods.cost import ENVELOPE_BYTES, Work, row_bytes
from lrea_cli.methods.hashing import buckets, sign_bits
from lrea_cli.methods.top_k import gather
from lrea_cli.oracle.searches import SlowSDIM
from lrea_cli.recipe.settings import CacheDtype, ModelSettings
from lrea_cli.sequence import Behaviors, Buckets, Candidates, RecordField, Summary


class SDIM(LongInterest):
    """m hashes in G = m / tau groups: the tau bits of a group number the bucket of a vector.

    S_gb = sum_l [bucket_g(e_l) = b] e_l                                   cached: G 2^tau rows
    interest = (1 / G) sum_g S_g,bucket_g(e_t) / ||S_g,bucket_g(e_t)||_2   an empty bucket adds zero
    """

    name = "sdim"
    summary_type = Buckets
    slow_twin = SlowSDIM
    planes: torch.Tensor

    def __init__(self, settings: ModelSettings, shape: HistoryShape) -> None:
        super().__init__(settings, shape)
        self.tau, self.groups = settings.tau, settings.m // settings.tau
        self.code_flops = 2 * self.width * settings.m
        self.register_buffer("planes", torch.randn(self.width, settings.m))

    @property
    def record(self) -> tuple[RecordField, ...]:
        return (RecordField("sums", (self.width,), "rows", "wide"),)

    def summarize(self, behaviors: Behaviors) -> Buckets:
        """S (B, G 2^tau, D)."""
        bucket_BLG = self._buckets(behaviors.vectors)
        E = behaviors.vectors  # zero where masked, so padding adds nothing to any bucket
        sums = [one_hot(bucket_BL, self.size).to(E.dtype).transpose(1, 2) @ E for bucket_BL in bucket_BLG.unbind(-1)]
        return Buckets(torch.cat(sums, 1), rows=(behaviors.lengths > 0) * (self.groups * self.size))

    def attend(self, summary: Summary, candidates: Candidates, kernel: Kernel = folded) -> Tensor:
        """Read one row of each group, at any n."""
        assert isinstance(summary, Buckets)
        dtype = candidates.vectors.dtype
        sums_BRD = summary.sums.to(dtype)
        if sums_BRD.shape[1] < self.groups * self.size:  # a batch of empty histories has no rows
            return torch.zeros_like(candidates.vectors)
        directions_BRD = normalize(sums_BRD, dim=-1)
        first_G = torch.arange(self.groups, device=sums_BRD.device) * self.size
        return gather(directions_BRD, self._buckets(candidates.vectors) + first_G).mean(2)

    def rows_of(self, n: int) -> int:
        """R = G 2^tau, at any n > 0."""
        return self.groups * self.size if n else 0

    def offline_work(self, n: int) -> Work:
        """O(n m D), plus products with one-hot rows where n G D additions would do.

        products     2 n D m  +  2 n R D
                     e_l H       sums
        """
        return Work(products=n * self.code_flops + 2 * n * self.groups * self.size * self.width)

    def request_work(self, n: int, candidates: int) -> Work:
        """O(N m D) at any n.

        products     2 N D m
                     e_t H
        elementwise  3 R D        +  N G D + N D
                     norm, divide    mean over groups
        """
        D, N, G = self.width, candidates, self.groups
        return Work(0, N * self.code_flops, 3 * G * self.size * D + N * G * D + N * D)

    def behavior_work(self, n: int, dtype: CacheDtype) -> Work:
        """2 D m FLOPs for the code, and one row in each group; the first behavior writes all R rows.

        At n = L the oldest behavior leaves another row of each group by the same work (the two may share a row). The
        server must still know the oldest behavior's vector or ids, since the record does not hold them.
        """
        D, G = self.width, self.groups
        moved = 2 if n == self.long else 1
        changed = moved * G if n else G * self.size
        return Work(
            changed,
            moved * self.code_flops,
            moved * G * D,
            ENVELOPE_BYTES + changed * sum(row_bytes(self.record[0], dtype)),
        )

    @property
    def size(self) -> int:
        """Buckets in a group."""
        return 2**self.tau

    def _buckets(self, vectors: Tensor) -> Tensor:
        """(B, L, G) int64."""
        return buckets(sign_bits(vectors, self.planes), self.tau)
