"""DIN without the long history (the paper's "DIN (W/o long seq.)"): the control, whose long interest is zero."""

from __future__ import annotations

import torch
from torch import Tensor

from lrea_cli.kernels import Kernel, folded
from lrea_cli.methods.base import LongInterest
from lrea_cli.methods.cost import Work
from lrea_cli.oracle.pseudo_items import SlowDINShort
from lrea_cli.recipe.settings import CacheDtype
from lrea_cli.sequence import Behaviors, Candidates, Empty, RecordField, Summary


class DINShort(LongInterest):
    """interest = 0: only the short history, which every model reads, tells of the user. A record has no rows."""

    name = "din-short"
    summary_type = Empty
    slow_twin = SlowDINShort

    @property
    def record(self) -> tuple[RecordField, ...]:
        return ()

    def summarize(self, behaviors: Behaviors) -> Empty:
        return Empty(rows=torch.zeros_like(behaviors.lengths))

    def attend(self, summary: Summary, candidates: Candidates, kernel: Kernel = folded) -> Tensor:
        return torch.zeros_like(candidates.vectors)

    def rows_of(self, n: int) -> int:
        return 0

    def offline_work(self, n: int) -> Work:
        return Work()

    def request_work(self, n: int, candidates: int) -> Work:
        return Work()

    def behavior_work(self, n: int, dtype: CacheDtype) -> Work:
        return Work()
