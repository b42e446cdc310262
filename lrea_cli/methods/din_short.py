"""DIN without a long sequence (the paper's "DIN (W/o long seq.)"): nothing is kept, the interest is zero."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from lrea_cli.kernels import Kernel, folded
from lrea_cli.methods.base import HistoryShape, LongInterest
from lrea_cli.methods.cost import Cost, Work, record_bytes
from lrea_cli.oracle.attention import SlowDINShort
from lrea_cli.recipe.settings import ModelSettings
from lrea_cli.sequence import Behaviors, Candidates, Empty, RecordField, Summary


class DINShort(LongInterest):
    """The control: only the short sequence, which every model has, speaks."""

    name = "din-short"
    summary_type = Empty
    slow_twin = SlowDINShort

    @classmethod
    def build(cls, settings: ModelSettings, shape: HistoryShape) -> Self:
        return cls()

    @property
    def record(self) -> tuple[RecordField, ...]:
        return ()

    def summarize(self, behaviors: Behaviors) -> Empty:
        """Nothing."""
        return Empty(rows=torch.zeros_like(behaviors.lengths))

    def attend(self, summary: Summary, candidates: Candidates, kernel: Kernel = folded) -> Tensor:
        """(B, N, D) zeros."""
        return torch.zeros_like(candidates.vectors)

    def cost_of(self, n: int, candidates: int, dtype_bytes: int = 4) -> Cost:
        """Nothing but the header and checksum of an empty record."""
        return Cost(Work(bytes=record_bytes(self.record, 0, dtype_bytes)), Work(), Work())
