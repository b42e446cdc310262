"""What travels between data, model and store: batches of ids, behaviors, candidates, interests and summaries.

Shape letters: B requests, N candidates, L behaviors, R pseudo items, D width of an item vector, H hidden width.
A mask never travels apart from its vectors; what a data set lacks is None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

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
        ids: for each item field (B, L) int32, 0 where masked.
        mask: (B, L) bool. time: (B, L) int64 epoch seconds, 0 where masked.
    """

    ids: Ids
    mask: Tensor
    time: Tensor


@dataclass(frozen=True)
class CandidateIds(Movable):
    """The candidates of B requests as ids.

    Args:
        ids: for each item field (B, N) int32. profile: for each user and context field (B, N) int32.
        mask: (B, N) bool. time: (B,) int64 epoch seconds of the request.
        matches: for each counted item field (B, N) int64: behaviors before the request with the candidate's value.
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
        short, long: the newest S behaviors, and the L before those.
        candidates: ids and mask.
        history_length: (B,) number of behaviors before the request, read or not.
        label: (B, N) float, 0 where masked. row: (B, N) index of the sample in its split, -1 where masked.
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

    def of(self, part: slice) -> Behaviors:
        """Those of some users."""
        return _mapped(self, lambda tensor: tensor[part])

    def double(self) -> Behaviors:
        """The same with float64 vectors: summaries are made once, so they are made exactly."""
        return replace(self, vectors=self.vectors.double())


@dataclass(frozen=True)
class Candidates:
    """The items to score for each request: methods read the first five, the model all of them.

    Args:
        vectors: (B, N, D).
        mask: (B, N) bool; requests have different N.
        item: (B, N) ids.
        category: (B, N) ids, or None.
        time: (B,) epoch seconds of the request, or None.
        profile: (B, N, P), or (B, 1, P) where all candidates of a request share it; None where only a method reads.
        counts: (B, N, C) behaviors before the request that match in each counted field; None as `profile`.
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
    """What a method makes of the long sequence for each candidate.

    Args:
        vectors: (B, N, D).
        penalty: named terms that training adds to the loss; empty unless the method has one.
    """

    vectors: Tensor
    penalty: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary(Movable):
    """What a method keeps of each history: tensors whose first axis is the history.

    Args:
        rows: (B,) int64, how many rows of a record are in use.
    """

    rows: Tensor = field(kw_only=True)


@dataclass(frozen=True)
class PseudoItems(Summary):
    """The summary of din, lrea, mean and every compressor: a history as R rows that attention reads.

    Args:
        keys: (B, R, D), zero past `rows`.
        values: (B, R, D), zero past `rows`; the scale of the history's length is in them.
        linear: (B, D + 1, D) float32, the linear half of the attention as an affine map of the candidate
            (see `attention.linear_half`); None until the summary is sealed for serving.
    """

    keys: Tensor
    values: Tensor
    linear: Tensor | None = None


@dataclass(frozen=True)
class Searched(Summary):
    """The summary of sim and eta: the behaviors themselves, newest first, with what the search reads.

    Args:
        vectors: (B, L, D), zero past `rows`.
        category: (B, L) int32 of hard search, or None.
        codes: (B, L, W) uint8, m bits of SimHash packed into W bytes, or None.
    """

    vectors: Tensor
    category: Tensor | None = None
    codes: Tensor | None = None

    @property
    def mask(self) -> Tensor:
        """(B, L) bool, True at real behaviors."""
        return in_use(self.rows, self.vectors.shape[1])


@dataclass(frozen=True)
class Buckets(Summary):
    """The summary of sdim: sums of the behaviors that fall into each bucket of each hash; no sequence is left.

    Args:
        sums: (B, G 2^tau, D), the buckets of the first group first; float32 in every cache, as sums outgrow float16.
        rows: (B,) int64: G 2^tau, or 0 of an empty history.
    """

    sums: Tensor


@dataclass(frozen=True)
class Projected(Summary):
    """The summary of twin: the behaviors as its heads read them, newest first, with what cross features are made of.

    Args:
        keys, values: (B, L, D), the projections of all heads side by side, zero past `rows`.
        time: (B, L) int64 epoch seconds. category: (B, L) int32, or None.
    """

    keys: Tensor
    values: Tensor
    time: Tensor
    category: Tensor | None = None

    @property
    def mask(self) -> Tensor:
        """(B, L) bool, True at real behaviors."""
        return in_use(self.rows, self.keys.shape[1])


@dataclass(frozen=True)
class Empty(Summary):
    """The summary of a method that keeps nothing: no rows."""


@dataclass(frozen=True)
class RecordField:
    """One tensor of a summary as it lies in a record.

    Args:
        name: the attribute of the summary.
        shape: of one row.
        rows: how many rows: a fixed number, or "rows" = the record's own count.
        dtype: "cache" = whatever the cache is written in, or a fixed one.
    """

    name: str
    shape: tuple[int, ...]
    rows: int | Literal["rows"]
    dtype: Literal["cache", "float32", "int32", "int64", "uint8"] = "cache"

    def itemsize(self, cache_bytes: int) -> int:
        """Bytes of a number, given those of the cache's dtype."""
        return cache_bytes if self.dtype == "cache" else np.dtype(self.dtype).itemsize


def in_use(rows: Tensor, length: int) -> Tensor:
    """(B, length) bool: the first `rows` places of each."""
    return torch.arange(length, device=rows.device) < rows[:, None]


def block(rows: int, length: int) -> Tensor:
    """(rows, length) with 1 where position l lies in block j, that is j = l * rows // length; one 1 a column."""
    return torch.nn.functional.one_hot(torch.arange(length) * rows // length, rows).T.float()


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Any of the dataclasses above with every tensor changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {name: _mapped(tensor, change) for name, tensor in value.items()}
    if value is None:
        return None
    return replace(value, **{f.name: _mapped(getattr(value, f.name), change) for f in fields(value)})
