"""ETA (Chen et al. 2021, arXiv 2108.04468): attends to the k behaviors whose hash codes are nearest the candidate's."""

from __future__ import annotations

import torch

from lrea_cli.methods.base import HistoryShape
from lrea_cli.methods.cost import Work
from lrea_cli.methods.hashing import BYTE, agreements, packed, sign_bits, unpacked
from lrea_cli.methods.searched import SearchedMethod
from lrea_cli.methods.top_k import Selection, best
from lrea_cli.oracle.searches import SlowETA
from lrea_cli.recipe.settings import ModelSettings
from lrea_cli.sequence import Behaviors, Candidates, RecordField, Searched


class ETA(SearchedMethod):
    """Selects the k behaviors whose SimHash differs from the candidate's in the fewest of m bits, newer ones first.

        code(e) = (e H > 0) with H (D, m) random and fixed (Eq. 4),  selected = top-k of -hamming(code(e_t), code(e_l))

    Codes follow the current embeddings, in training and serving alike; no gradient goes through them.
    """

    name = "eta"
    slow_twin = SlowETA
    planes: torch.Tensor

    def __init__(self, settings: ModelSettings, shape: HistoryShape) -> None:
        super().__init__(settings, shape)
        self.m = settings.m
        self.register_buffer("planes", torch.randn(self.width, self.m))
        self.row_flops = 2 * self.width * self.m

    @property
    def record(self) -> tuple[RecordField, ...]:
        codes = RecordField("codes", (-(-self.m // BYTE),), "rows", "uint8")
        return RecordField("vectors", (self.width,), "rows"), codes

    def summarize(self, behaviors: Behaviors) -> Searched:
        """The behaviors and their codes."""
        codes = packed(sign_bits(behaviors.vectors, self.planes))
        return Searched(behaviors.vectors, rows=behaviors.lengths, codes=codes)

    def search(self, summary: Searched, candidates: Candidates) -> Selection:
        assert summary.codes is not None
        equal_BNL = agreements(sign_bits(candidates.vectors, self.planes), unpacked(summary.codes)[..., : self.m])
        return best(equal_BNL, summary.in_use(summary.vectors.shape[1])[:, None], self.k)

    def search_work(self, n: int, candidates: int) -> Work:
        """O(N n m), the paper's O(B L m).

        products     2 N D m  +  2 N n m
                     e_t H       equal - different bits
        elementwise  2 m (N + n)
                     bits as +1, -1
        """
        N, m = candidates, self.m
        return Work(0, N * self.row_flops + 2 * N * n * m, 2 * m * (N + n))
