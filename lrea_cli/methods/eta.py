"""Efficient target attention (Chen et al. 2021, arXiv 2108.04468): search by Hamming distance, then attend."""

from __future__ import annotations

import torch

from lrea_cli.methods.cost import Work
from lrea_cli.methods.hashing import BYTE, agreements, packed, random_planes, sign_bits, unpacked
from lrea_cli.methods.search import Found, best
from lrea_cli.methods.searched import SearchedMethod
from lrea_cli.oracle.searches import SlowETA
from lrea_cli.recipe.settings import ModelSettings
from lrea_cli.sequence import Behaviors, Candidates, RecordField, Searched


class ETA(SearchedMethod):
    """The k behaviors whose SimHash differs from the candidate's in the fewest of m bits; of equal ones the newest.

        code(e) = (e H > 0) with H (D, m) random and fixed (Eq. 4),  found = top-k of -hamming(code(e_t), code(e_l))

    Codes are those of the current embeddings, in training and serving alike; no gradient goes through them.

    Args:
        settings: `m` = bits of a code, and see `SearchedMethod`.
    """

    name = "eta"
    slow_twin = SlowETA
    planes: torch.Tensor

    def __init__(self, settings: ModelSettings, width: int, long: int) -> None:
        super().__init__(settings, width, long)
        self.m = settings.m
        self.register_buffer("planes", random_planes(width, settings.m))

    @property
    def record(self) -> tuple[RecordField, ...]:
        codes = RecordField("codes", (-(-self.m // BYTE),), "rows", "uint8")
        return RecordField("vectors", (self.width,), "rows"), codes

    def summarize(self, behaviors: Behaviors) -> Searched:
        """The behaviors, and their codes."""
        codes = packed(sign_bits(behaviors.vectors, self.planes))
        return Searched(behaviors.vectors, rows=behaviors.lengths, codes=codes)

    def search(self, summary: Searched, candidates: Candidates) -> Found:
        assert summary.codes is not None
        equal_BNL = agreements(sign_bits(candidates.vectors, self.planes), unpacked(summary.codes)[..., : self.m])
        return best(equal_BNL, summary.mask[:, None], self.k)

    def row_work(self) -> int:
        """2 D m: the code of one behavior."""
        return 2 * self.width * self.m

    def search_work(self, n: int, candidates: int) -> Work:
        """O(N n m), the paper's O(B L m), as `agreements` does it.

        products     2 N D m  +  2 N n m
                     e_t H       equal - different bits
        elementwise  2 m (N + n)
                     bits as +1, -1
        """
        N, m = candidates, self.m
        return Work(0, N * self.row_work() + 2 * N * n * m, 2 * m * (N + n))
