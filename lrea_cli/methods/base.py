"""The one protocol of all long-interest methods: summarize offline, seal for the store, attend online."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from lrea_cli.attention import Attention
from lrea_cli.recipe import ModelSettings
from lrea_cli.sequence import Behaviors, Candidates, Interest, PseudoItems, RecordField, Summary


class LongInterest(nn.Module, ABC):
    """A method that makes of a long sequence one interest vector for each candidate.

    `attend` is all that a request pays, and it never sees behaviors: what it needs is in the summary.
    """

    name: ClassVar[str]
    summary_type: ClassVar[type[Summary]]

    @classmethod
    @abstractmethod
    def build(cls, settings: ModelSettings, width: int, long: int) -> Self:
        """Make the method from a recipe.

        Args:
            settings: the recipe's [model] section.
            width: D of an item vector.
            long: L, the most behaviors of a long sequence.
        """

    @property
    @abstractmethod
    def record(self) -> tuple[RecordField, ...]:
        """What a record holds; store, bytes per user and export read only this."""

    @abstractmethod
    def summarize(self, behaviors: Behaviors) -> Summary:
        """What is kept of each history: computed offline, once a user, in the dtype of the vectors."""

    @abstractmethod
    def seal(self, summary: Summary, dtype: torch.dtype) -> Summary:
        """Round a summary to the cache's dtype, and add what is derived from the rounded rows."""

    @abstractmethod
    def attend(self, summary: Summary, candidates: Candidates) -> Tensor:
        """(B, N, D): the interest of each candidate, from the summary alone."""

    def forward(self, behaviors: Behaviors, candidates: Candidates) -> Interest:
        """The training form; `attend(summarize(..))` unless a method says otherwise."""
        return Interest(self.attend(self.summarize(behaviors), candidates))


class PseudoItemMethod(LongInterest):
    """Keys and values that DIN's scorer reads: din, lrea and mean share all but `summarize`."""

    summary_type = PseudoItems

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.attention = Attention(width)

    @property
    def record(self) -> tuple[RecordField, ...]:
        row = (self.width,)
        return (
            RecordField("keys", row, "rows"),
            RecordField("values", row, "rows"),
            RecordField("linear", (self.width,), self.width + 1, "float32"),
        )

    def seal(self, summary: Summary, dtype: torch.dtype) -> PseudoItems:
        """Keys and values rounded to float32, then `dtype`; `linear` made of those in the summary's own precision."""
        assert isinstance(summary, PseudoItems)
        exact = summary.keys.dtype
        keys, values = summary.keys.float().to(dtype), summary.values.float().to(dtype)
        linear = self.attention.linear_half(keys.to(exact), values.to(exact))
        return replace(summary, keys=keys, values=values, linear=linear.float())

    def attend(self, summary: Summary, candidates: Candidates) -> Tensor:
        """sum_j s(e_t, k_j) v_j."""
        assert isinstance(summary, PseudoItems)
        dtype = candidates.vectors.dtype
        linear = None if summary.linear is None else summary.linear.to(dtype)
        return self.attention(candidates.vectors, summary.keys.to(dtype), summary.values.to(dtype), linear)
