"""What the methods do that keep pseudo items, keys and values, whichever of two readers reads them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from lrea_cli.attention import Attention, reader_of
from lrea_cli.int8 import rounded_to
from lrea_cli.kernels import Kernel, folded
from lrea_cli.methods.base import HistoryShape, LongInterest
from lrea_cli.methods.cost import (
    Work,
    kept_rows_behavior,
    kept_rows_offline,
    linear_half_work,
    plain_row_behavior,
    pseudo_item_work,
    softmax_work,
)
from lrea_cli.recipe.settings import CacheDtype, ModelSettings
from lrea_cli.sequence import Candidates, PseudoItems, RecordField, Summary


class PseudoItemMethod(LongInterest):
    """Keeps keys and values, the pseudo items, which candidates read in one of two ways (`reader` of the recipe).

        din:      interest = sum_j s(e_t, k_j) v_j                      `attention.Attention`, by a kernel
        softmax:  interest = sum_j exp(q . k_j) V_j / sum_j exp(q . k_j) n_j, by head  `attention.SoftmaxReader`

    A record keeps keys, values and, for `din`, the half of the attention that is linear in the candidate; for `softmax`
    the mass n_j. Values include c(n) for `din` alone.
    A subclass writes `summarize`, `rows_of`, `offline_work`, `behavior_work` and its slow twin.
    """

    summary_type = PseudoItems

    def __init__(self, settings: ModelSettings, shape: HistoryShape) -> None:
        super().__init__(settings, shape)
        self.attention = reader_of(settings, self.width)

    @property
    def softmax(self) -> bool:
        """Whether candidates read with softmax, not with DIN's scorer."""
        return not isinstance(self.attention, Attention)

    @property
    def scorer(self) -> Attention:
        """DIN's scorer, where it is the reader."""
        assert isinstance(self.attention, Attention), "This method reads with softmax."
        return self.attention

    @property
    def record(self) -> tuple[RecordField, ...]:
        return (
            RecordField("keys", (self.width,), "rows"),
            RecordField("values", (self.width,), "rows"),
            RecordField("mass", (), "rows", "float32")
            if self.softmax
            else RecordField("linear", (self.width,), self.width + 1, "wide"),
        )

    def seal(self, summary: Summary, dtype: CacheDtype) -> PseudoItems:
        """Round keys, values and mass; for `din` compute `linear` from the rounded rows, unless it is set."""
        rounded = super().seal(summary, dtype)
        assert isinstance(summary, PseudoItems)
        assert isinstance(rounded, PseudoItems)
        if rounded.linear is not None or not isinstance(self.attention, Attention):
            return rounded
        exact = summary.keys.dtype
        linear = self.attention.linear_half(rounded.keys.to(exact), rounded.values.to(exact))
        return replace(rounded, linear=rounded_to("int8" if dtype == "int8" else "float32", linear))

    def pseudo_items(self, summary: Summary, dtype: torch.dtype) -> PseudoItems:
        """What candidates of a dtype attend to: the summary itself, unless a method keeps what they follow from."""
        assert isinstance(summary, PseudoItems)
        linear = None if summary.linear is None else summary.linear.to(dtype)
        mass = None if summary.mass is None else summary.mass.to(dtype)
        return PseudoItems(summary.keys.to(dtype), summary.values.to(dtype), linear, mass, rows=summary.rows)

    def attend(self, summary: Summary, candidates: Candidates, kernel: Kernel = folded) -> Tensor:
        items = self.pseudo_items(summary, candidates.vectors.dtype)
        return self.attention.read(candidates.vectors, items, kernel)

    def request_work(self, n: int, candidates: int) -> Work:
        rows = self.rows_of(n)
        if isinstance(self.attention, Attention):
            return pseudo_item_work(rows, self.width, len(self.attention.w_o), candidates)
        return softmax_work(rows, self.width, self.attention.heads, candidates)

    def seal_work(self, rows: int) -> Work:
        """FLOPs of `seal`: the linear half of R rows, and nothing for reader `softmax`."""
        return Work() if self.softmax else linear_half_work(rows, self.width)

    def kept_offline(self, n: int) -> Work:
        """FLOPs of `summarize` and `seal` where the record keeps n behaviors as they are."""
        return Work() if self.softmax else kept_rows_offline(n, self.width)

    def kept_behavior(self, n: int, dtype: CacheDtype) -> Work:
        """What one more behavior costs where the record keeps n behaviors as they are."""
        if self.softmax:
            return plain_row_behavior(self.record, dtype)
        return kept_rows_behavior(n, self.long, self.width, dtype)
