"""The one protocol of all long-interest methods: summarize offline, seal for the store, attend online."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from lrea_cli.attention import Attention
from lrea_cli.kernels import Kernel, folded
from lrea_cli.methods.cost import Cost, Work, mean_cost, pseudo_item_fields, pseudo_item_request, require_length
from lrea_cli.oracle.attention import SlowTwin
from lrea_cli.recipe.settings import ModelSettings
from lrea_cli.sequence import Behaviors, Candidates, Interest, PseudoItems, RecordField, Summary


@dataclass(frozen=True)
class HistoryShape:
    """What a method must know of the long sequences.

    Args:
        width: D of an item vector. long: L, the most behaviors. categories: whether behaviors have one.
    """

    width: int
    long: int
    categories: bool = True


class LongInterest(nn.Module, ABC):
    """A method that makes of a long sequence one interest vector for each candidate.

    `attend` is all that a request pays, and it never sees behaviors: what it needs is in the summary.
    """

    name: ClassVar[str]
    summary_type: ClassVar[type[Summary]]
    slow_twin: ClassVar[type[SlowTwin]]
    row_a_behavior: ClassVar[bool] = False
    """Whether a row of the record is one behavior, so that ids could stand there in place of vectors."""

    @classmethod
    @abstractmethod
    def build(cls, settings: ModelSettings, shape: HistoryShape) -> Self:
        """Make the method from a recipe.

        Args:
            settings: the recipe's [model] section. shape: of the histories that it will see.

        Raises:
            UserError: it cannot work on such histories.
        """

    @property
    @abstractmethod
    def record(self) -> tuple[RecordField, ...]:
        """What a record holds; store, bytes per user and export read only this."""

    @abstractmethod
    def summarize(self, behaviors: Behaviors) -> Summary:
        """What is kept of each history: computed offline, once a user, in the dtype of the vectors."""

    def seal(self, summary: Summary, dtype: torch.dtype) -> Summary:
        """Round a summary to the dtypes of the record, the cache's by way of float32, as a checkpoint's weights are."""
        rounded = {}
        for field in self.record:
            tensor = getattr(summary, field.name)
            if tensor.is_floating_point():
                rounded[field.name] = tensor.float().to(dtype if field.dtype == "cache" else torch.float32)
        return replace(summary, **rounded)

    @abstractmethod
    def attend(self, summary: Summary, candidates: Candidates, kernel: Kernel = folded) -> Tensor:
        """(B, N, D): the interest of each candidate, from the summary alone.

        Args:
            kernel: of DIN attention to pseudo items; a method that reads other summaries attends in a way of its own.
        """

    @abstractmethod
    def cost_of(self, n: int, candidates: int, dtype_bytes: int = 4) -> Cost:
        """What one user with n long behaviors costs, in whole numbers; see `cost`.

        Raises:
            ValueError: n is not a number of long behaviors.
        """

    def cost(self, lengths: np.ndarray, candidates: int, dtype_bytes: int = 4) -> Cost:
        """What users cost offline, per request and per new behavior: the mean of `cost_of` over them.

        Args:
            lengths: (users,) long behaviors of each, at most L.
            candidates: N of a request.
            dtype_bytes: of the cache's dtype: 4 for float32, 2 for float16.
        """
        return mean_cost(lengths, lambda n: self.cost_of(n, candidates, dtype_bytes))

    def position_matrices(self) -> tuple[nn.Parameter, ...]:
        """Weights with an entry for each position of the history: the optimizer steps them slowly."""
        return ()

    def forward(self, behaviors: Behaviors, candidates: Candidates, kernel: Kernel = folded) -> Interest:
        """The training form; `attend(summarize(..))` unless a method says otherwise."""
        return Interest(self.attend(self.summarize(behaviors), candidates, kernel))


class PseudoItemMethod(LongInterest):
    """Keys and values that DIN's scorer reads: all but `summarize`, its cost and its twin is shared.

    Args:
        width: D. long: L.
    """

    summary_type = PseudoItems

    def __init__(self, width: int, long: int) -> None:
        super().__init__()
        self.width, self.long = width, long
        self.attention = Attention(width)

    @property
    def record(self) -> tuple[RecordField, ...]:
        return pseudo_item_fields(self.width)

    @abstractmethod
    def rows_of(self, n: int) -> int:
        """Rows in use of the record of n behaviors."""

    @abstractmethod
    def offline_work(self, n: int, dtype_bytes: int) -> Work:
        """`summarize` and `seal` of n behaviors; of none only the bytes."""

    @abstractmethod
    def behavior_work(self, n: int, dtype_bytes: int) -> Work:
        """One more behavior after n."""

    def cost_of(self, n: int, candidates: int, dtype_bytes: int = 4) -> Cost:
        """Offline and per behavior as the method has it; a request as R pseudo items have it."""
        require_length(n, self.long)
        hidden = len(self.attention.w_o)
        return Cost(
            self.offline_work(n, dtype_bytes),
            pseudo_item_request(self.rows_of(n), self.width, hidden, candidates, dtype_bytes),
            self.behavior_work(n, dtype_bytes),
        )

    def seal(self, summary: Summary, dtype: torch.dtype) -> PseudoItems:
        """Keys and values rounded by way of float32; `linear` of the rounded rows, or as a compressor made it."""
        assert isinstance(summary, PseudoItems)
        exact = summary.keys.dtype
        keys, values = summary.keys.float().to(dtype), summary.values.float().to(dtype)
        linear = summary.linear
        if linear is None:
            linear = self.attention.linear_half(keys.to(exact), values.to(exact))
        return replace(summary, keys=keys, values=values, linear=linear.float())

    def attend(self, summary: Summary, candidates: Candidates, kernel: Kernel = folded) -> Tensor:
        """sum_j s(e_t, k_j) v_j."""
        assert isinstance(summary, PseudoItems)
        dtype = candidates.vectors.dtype
        linear = None if summary.linear is None else summary.linear.to(dtype)
        return self.attention(candidates.vectors, summary.keys.to(dtype), summary.values.to(dtype), linear, kernel)
