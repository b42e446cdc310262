"""The types that data, model and store pass on: batches of ids, behaviors, candidates, interests and summaries.

Shape letters: B requests, N candidates, L behaviors, R pseudo items, D width of an item vector, H hidden width.
A mask and its vectors are in one object. A field that a dataset lacks is None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self

import torch
from torch import Tensor

from lrea_cli.recipe.settings import CacheDtype

Ids = Mapping[str, Tensor]


class Movable:
    """A frozen dataclass of tensors."""

    def to(self, device: torch.device) -> Self:
        """The same on a device; what comes back to the CPU is waited for."""
        return _mapped(self, lambda tensor: tensor.to(device, non_blocking=device.type != "cpu"))


@dataclass(frozen=True)
class HistoryIds(Movable):
    """Part of the histories of B users as ids, newest first.

    Args:
        ids: item field -> (B, L) int32, 0 where masked.
        mask: (B, L) bool, True at real behaviors.
        time: (B, L) int64 epoch seconds, 0 where masked.
    """

    ids: Ids
    mask: Tensor
    time: Tensor


@dataclass(frozen=True)
class CandidateIds(Movable):
    """The candidates of B requests as ids.

    Args:
        ids: item field -> (B, N) int32.
        profile: user or context field -> (B, N) int32.
        mask: (B, N) bool, True at real candidates.
        time: (B,) int64 epoch seconds of the request.
        matches: counted item field -> (B, N) int64, behaviors before the request with the candidate's value.
    """

    ids: Ids
    profile: Ids
    mask: Tensor
    time: Tensor
    matches: Ids = field(default_factory=dict)


@dataclass(frozen=True)
class Batch(Movable):
    """B requests with up to N candidates each.

    Args:
        short: the newest S behaviors.
        long: the L behaviors before those.
        candidates: the items to score.
        history_length: (B,) number of all behaviors before the request.
        label: (B, N) float, 0 where masked.
        row: (B, N) index of the sample in its split, -1 where masked.
        request: (B,) index of the request in its split.
    """

    short: HistoryIds
    long: HistoryIds
    candidates: CandidateIds
    history_length: Tensor
    label: Tensor
    row: Tensor
    request: Tensor


@dataclass(frozen=True)
class Behaviors:
    """Part of the histories of B users, newest first.

    Args:
        vectors: (B, L, D), zero where masked.
        mask: (B, L) bool, True at real behaviors.
        item: (B, L) ids, 0 where masked.
        category: (B, L) ids, or None.
        time: (B, L) epoch seconds, or None.
    """

    vectors: Tensor
    mask: Tensor
    item: Tensor
    category: Tensor | None = None
    time: Tensor | None = None

    @property
    def lengths(self) -> Tensor:
        """(B,) number of real behaviors."""
        return self.mask.sum(1)

    def of_users(self, part: slice) -> Behaviors:
        """The histories of some of the users."""
        return _mapped(self, lambda tensor: tensor[part])

    def places(self, part: slice) -> Behaviors:
        """Some places of each history; the newest is at 0."""
        return _mapped(self, lambda tensor: tensor[:, part])

    def double(self) -> Behaviors:
        """The same with float64 vectors, from which summaries are computed."""
        return replace(self, vectors=self.vectors.double())


@dataclass(frozen=True)
class Candidates:
    """The items to score for each request. Methods read the first five fields, the model all of them.

    Args:
        vectors: (B, N, D).
        mask: (B, N) bool; requests have different N.
        item: (B, N) ids.
        category: (B, N) ids, or None.
        time: (B,) epoch seconds of the request, or None.
        profile: (B, N, P), or (B, 1, P) where all candidates of a request share it; None where only a method reads.
        counts: (B, N, C) behaviors before the request that match in each counted field, or None as for `profile`.
    """

    vectors: Tensor
    mask: Tensor
    item: Tensor
    category: Tensor | None = None
    time: Tensor | None = None
    profile: Tensor | None = None
    counts: Tensor | None = None


@dataclass(frozen=True)
class Interest:
    """The long interest of each candidate.

    Args:
        vectors: (B, N, D).
        penalty: terms by name that training adds to the loss; empty for most methods.
    """

    vectors: Tensor
    penalty: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary(Movable):
    """What a method keeps of each history: tensors whose first axis is the history.

    Args:
        rows: (B,) int64, how many rows of each record are in use.
    """

    rows: Tensor = field(kw_only=True)

    def in_use(self, length: int) -> Tensor:
        """(B, length) bool: which of the first `length` rows are in use."""
        return torch.arange(length, device=self.rows.device) < self.rows[:, None]

    def of_users(self, part: slice) -> Self:
        """The summaries of some of the histories."""
        return _mapped(self, lambda tensor: tensor[part])


@dataclass(frozen=True)
class PseudoItems(Summary):
    """The summary of din, lrea, mean and every compressor: R rows to which candidates attend.

    Args:
        keys: (B, R, D), zero past `rows`.
        values: (B, R, D), zero past `rows`: for reader `din` sums of behaviors times c(n) of the history's length, for
            reader `softmax` plain sums.
        linear: (B, D + 1, D) the linear half of the attention as an affine map of the candidate (see
            `kernels.weights.linear_half`); None until the summary is sealed for serving, and for reader `softmax`.
        mass: (B, R) how many behaviors each row stands for, zero past `rows`; None where no reader divides by it.
    """

    keys: Tensor
    values: Tensor
    linear: Tensor | None = None
    mass: Tensor | None = None


@dataclass(frozen=True)
class Searched(Summary):
    """The summary of sim and eta: the behaviors, newest first, and what the search reads.

    Args:
        vectors: (B, L, D), zero past `rows`.
        category: (B, L) int32 for hard search, or None.
        codes: (B, L, W) uint8, m bits of SimHash packed into W bytes, or None.
    """

    vectors: Tensor
    category: Tensor | None = None
    codes: Tensor | None = None


@dataclass(frozen=True)
class Buckets(Summary):
    """The summary of sdim: the sum of the behaviors in each bucket of each hash.

    Args:
        sums: (B, G 2^tau, D), the buckets of the first group first; never float16, which sums can exceed.
        rows: (B,) int64, G 2^tau, or 0 for an empty history.
    """

    sums: Tensor


@dataclass(frozen=True)
class Sketched(Summary):
    """The summary of sketch with one layer over prototypes: sums over the behaviors, to which a click adds.

    Args:
        sums: (B, R, D), sum_l a_lr e_l. mass: (B, R, 1), sum_l a_lr.
        count: (B, 1) int64, behaviors.
        gram: (B, D, D), sum_l e_l^T e_l; None for reader `softmax`, which has no linear half.
        total: (B, 1, D), sum_l e_l; None as `gram`. Of these two the linear half is exact.
    """

    sums: Tensor
    mass: Tensor
    count: Tensor
    gram: Tensor | None = None
    total: Tensor | None = None


@dataclass(frozen=True)
class Projected(Summary):
    """The summary of twin: the projected behaviors, newest first, and what its cross features read.

    Args:
        keys: (B, L, D), E W_K, all heads side by side, zero past `rows`.
        values: (B, L, D), E W_V, as `keys`.
        time: (B, L) int64 epoch seconds.
        category: (B, L) int32, or None.
    """

    keys: Tensor
    values: Tensor
    time: Tensor
    category: Tensor | None = None


@dataclass(frozen=True)
class Empty(Summary):
    """The summary of din-short, which keeps nothing."""


@dataclass(frozen=True)
class RecordField:
    """One tensor of a summary as a record stores it.

    Args:
        name: the attribute of the summary.
        shape: shape of one row.
        rows: a fixed number of rows, or "rows" for as many as the record uses.
        dtype: a fixed dtype ("float32" for counts that are divided by); or "cache" for the dtype that the cache is
            written in; or "wide" for numbers that float16 may be too small for: float32, but int8 in an int8 cache.
    """

    name: str
    shape: tuple[int, ...]
    rows: int | Literal["rows"]
    dtype: Literal["cache", "wide", "float32", "int32", "int64", "uint8"] = "cache"

    def stored(self, cache: CacheDtype) -> str:
        """The dtype in a cache of a dtype."""
        if self.dtype == "wide":
            return "int8" if cache == "int8" else "float32"
        return cache if self.dtype == "cache" else self.dtype


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Change every tensor of a dataclass above."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {name: _mapped(tensor, change) for name, tensor in value.items()}
    if value is None:
        return None
    return replace(value, **{f.name: _mapped(getattr(value, f.name), change) for f in fields(value)})
