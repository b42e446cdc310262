"""Sums over behaviors that are formed as a click would add them, so that an appended record has the bits of a new one.

Behaviors are added oldest first, and each partial sum is rounded to float32, in which a record keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

AT_ONCE = 1 << 15
"""Numbers that are added at once: so few that torch starts no thread, for which each of many small steps would wait."""


@dataclass(frozen=True)
class Added:
    """Behaviors that are added to rows, newest first.

    Args:
        vectors: (B, L, C) float64. slots: (B, L) int64, the row of each, negative where masked.
        numbers: (B, L) int64, their numbers in the history, counted from 1 for the oldest.
    """

    vectors: Tensor
    slots: Tensor
    numbers: Tensor


@torch.no_grad()
def add_weighted(sums: Tensor, weights: Tensor, vectors: Tensor) -> Tensor:
    """Add sum_l w_lr v_l to the sums; a record has no gradient.

    Args:
        sums: (B, R, C) float32.
        weights: (B, L, R) float64, zero where masked.
        vectors: (B, L, C) float64, newest first.

    Returns:
        (B, R, C) float32.
    """
    size = max(1, AT_ONCE // max(1, sums[0].numel())) if len(sums) else 1
    parts = [slice(start, start + size) for start in range(0, len(sums), size)]
    return torch.cat([_added(sums[p], weights[p], vectors[p]) for p in parts]) if parts else sums.clone()


def add_at(sums: Tensor, slots: Tensor, vectors: Tensor) -> Tensor:
    """Add each vector to one row of the sums.

    Args:
        sums: (B, R, C) float32.
        slots: (B, L) int64, the row of each behavior; negative where masked.
        vectors: (B, L, C) float64, newest first.

    Returns:
        (B, R, C) float32.
    """
    sums, user = sums.clone(), torch.arange(len(sums), device=sums.device)
    for place in _oldest_first(vectors):
        here = slots[:, place] >= 0
        at = user[here], slots[here, place]
        sums[at] = (sums[at] + vectors[here, place]).float()
    return sums


def add_decayed(sums: Tensor, newest: Tensor, added: Added, decays: Tensor) -> tuple[Tensor, Tensor]:
    """Add each vector to one row, whose sum so far decays by the behaviors that lie between.

    Args:
        sums: (B, R, C) float32, each row as of its newest behavior.
        newest: (B, R) int64, the number of that behavior.
        added: the behaviors.
        decays: (L + 1,) float64, see `decay_table`.

    Returns:
        The sums and the numbers after the addition.
    """
    sums, newest, user = sums.clone(), newest.clone(), torch.arange(len(sums), device=sums.device)
    for place in _oldest_first(added.vectors):
        here = added.slots[:, place] >= 0
        at = user[here], added.slots[here, place]
        number = added.numbers[here, place]
        kept = decays[(number - newest[at]).clamp(max=len(decays) - 1)]  # a row that is new is zero
        sums[at] = (sums[at] * kept[:, None] + added.vectors[here, place]).float()
        newest[at] = number
    return sums, newest


def decay_table(half_life: int, most: int) -> Tensor:
    """(most + 1,) float64: 2^(-x / half_life) for x = 0, 1, ..; looked up, so its bits depend on x alone."""
    return torch.tensor([2 ** (-x / half_life) for x in range(most + 1)], dtype=torch.float64)


def _added(sums: Tensor, weights: Tensor, vectors: Tensor) -> Tensor:
    """`add_weighted` of a few users."""
    sums, exact = sums.clone(), sums.double()
    for place in _oldest_first(vectors):
        torch.mul(weights[:, place, :, None], vectors[:, place, None], out=exact)
        sums.copy_(exact.add_(sums))
    return sums


def _oldest_first(vectors: Tensor) -> Iterator[int]:
    return iter(range(vectors.shape[1] - 1, -1, -1))
