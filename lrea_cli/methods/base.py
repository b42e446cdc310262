"""What every long-interest method does: summarize a history offline, attend to the summary in a request, count."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import astuple, dataclass, replace
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from lrea_cli.int8 import rounded_to
from lrea_cli.kernels import Kernel, folded
from lrea_cli.methods.cost import Cost, Work, record_bytes
from lrea_cli.oracle.model import SlowTwin
from lrea_cli.recipe.settings import CacheDtype, ModelSettings
from lrea_cli.sequence import Behaviors, Candidates, Interest, RecordField, Summary


@dataclass(frozen=True)
class HistoryShape:
    """The long histories that a model reads.

    Args:
        width: D, the width of an item vector.
        long: L, the most long behaviors of a user.
        categories: whether items have a category.
    """

    width: int
    long: int
    categories: bool = True


class LongInterest(nn.Module, ABC):
    """Turns a long history into one interest vector for each candidate.

    `summarize` runs offline, once a user. A request pays for `attend` alone, which sees the summary and no behaviors.

    Args:
        settings: the recipe's [model].
        shape: the histories.

    Raises:
        UserError: the method cannot work on such histories.
    """

    name: ClassVar[str]
    summary_type: type[Summary]
    slow_twin: ClassVar[type[SlowTwin]]
    needs_categories: ClassVar[bool] = False
    """Whether it refuses histories whose items have no category, at any setting."""
    row_per_behavior: ClassVar[bool] = False
    """Whether a record has one row for each behavior, so that it could hold ids instead of vectors."""
    penalty_name: ClassVar[str] = "penalty"
    """How training reports the terms of `Interest.penalty`."""

    def __init__(self, settings: ModelSettings, shape: HistoryShape) -> None:
        super().__init__()
        self.settings, self.width, self.long = settings, shape.width, shape.long

    @property
    @abstractmethod
    def record(self) -> tuple[RecordField, ...]:
        """The tensors of the summary that a record stores; the store, the export and `lrea cost` read only this."""

    @abstractmethod
    def summarize(self, behaviors: Behaviors) -> Summary:
        """Compute what a record keeps of each history, in the dtype of the vectors."""

    def seal(self, summary: Summary, dtype: CacheDtype) -> Summary:
        """Round a summary as its record does that is written in a cache of a dtype.

        Floats are rounded to float32 first, as the weights of a checkpoint are; those of int8 stay float32.
        """
        rounded = {}
        for field in self.record:
            tensor = getattr(summary, field.name)
            if tensor is not None and tensor.is_floating_point():
                rounded[field.name] = rounded_to(field.stored(dtype), tensor)
        return replace(summary, **rounded)

    def recorded(self, behaviors: Behaviors, dtype: CacheDtype) -> Summary:
        """The sealed summary of each history, as a record stores it; computed in float64."""
        return self.seal(self.summarize(behaviors.double()), dtype)

    @property
    def appends(self) -> bool:
        """Whether `append` gives the record of a longer history, bit for bit."""
        return False

    def append(self, record: Summary, newer: Behaviors) -> Summary:
        """Add newer behaviors to float32 records: what `recorded` gives for the histories with them, bit for bit.

        No behavior leaves; a history that is full is recorded anew.

        Args:
            record: sealed as float32. newer: (B, M) with float64 vectors, newest first; users have different M.

        Raises:
            NotImplementedError: the method does not append.
        """
        raise NotImplementedError(f"Records of '{self.name}' cannot be appended to.")

    @abstractmethod
    def attend(self, summary: Summary, candidates: Candidates, kernel: Kernel = folded) -> Tensor:
        """Compute the interest (B, N, D) of each candidate from the summary alone.

        Args:
            kernel: computes DIN attention to pseudo items; methods with another summary ignore it.
        """

    def forward(self, behaviors: Behaviors, candidates: Candidates, kernel: Kernel = folded) -> Interest:
        """Compute the interest in training: `attend(summarize(..))`, unless a method overrides it."""
        return Interest(self.attend(self.summarize(behaviors), candidates, kernel))

    @property
    def penalty_weight(self) -> float:
        """What the sum of the terms of `Interest.penalty` is multiplied by in the loss."""
        return 1.0

    def observe(self, behaviors: Behaviors) -> None:
        """Learn from a training batch, before its step, what has no gradient; it is kept in buffers."""

    def position_matrices(self) -> tuple[nn.Parameter, ...]:
        """Weights with an entry for each position of the history; their rate is `step` times the learning rate."""
        return ()

    def column_entropy(self) -> float | None:
        """How even the weights are that a method mixes behaviors by: 0 is one-hot, 1 mean pooling; None = not known."""
        return None

    @abstractmethod
    def rows_of(self, n: int) -> int:
        """Rows that the record of n long behaviors uses."""

    @abstractmethod
    def offline_work(self, n: int) -> Work:
        """FLOPs of `summarize` and `seal` for n behaviors."""

    @abstractmethod
    def request_work(self, n: int, candidates: int) -> Work:
        """FLOPs of `attend` with the `gemm` kernel, for n > 0 behaviors."""

    @abstractmethod
    def behavior_work(self, n: int, dtype: CacheDtype) -> Work:
        """FLOPs, changed rows and written bytes when one more behavior follows n; see `Cost`."""

    def record_work(self, n: int, dtype: CacheDtype) -> Work:
        """Rows and bytes of the whole record of n behaviors."""
        rows = self.rows_of(n)
        return Work(rows, bytes=record_bytes(self.record, rows, dtype))

    def cost_of(self, n: int, candidates: int, dtype: CacheDtype = "float32") -> Cost:
        """What one user with n long behaviors costs, in whole numbers; the arguments are those of `cost`."""
        record = self.record_work(n, dtype)
        request = self.request_work(n, candidates) + record if record.rows else Work()
        return Cost(self.offline_work(n) + record, request, self.behavior_work(n, dtype))

    def cost(self, lengths: np.ndarray, candidates: int, dtype: CacheDtype = "float32") -> Cost:
        """What users cost: the mean of `cost_of` over them.

        Args:
            lengths: (users,) long behaviors of each user.
            candidates: N of a request.
            dtype: of the cache.

        Raises:
            ValueError: there is no user, or a length is not in 0 .. L.
        """
        values, counts = np.unique(lengths, return_counts=True)
        if not len(values):
            raise ValueError("There is no user to take the mean over.")
        for n in (values[0], values[-1]):
            if not 0 <= n <= self.long:
                raise ValueError(f"{n} long behaviors: expected 0 to {self.long}.")
        costs = [self.cost_of(int(n), candidates, dtype) for n in values]

        def mean(works: list[Work]) -> Work:
            table = np.array([astuple(work) for work in works], dtype=np.float64)
            return Work(*(counts @ table / len(lengths)).tolist())

        return Cost(
            mean([c.offline for c in costs]), mean([c.request for c in costs]), mean([c.behavior for c in costs])
        )
