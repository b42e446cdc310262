"""Sums over behaviors that are formed as a click would add them, so that an appended record has the bits of a new one.

Behaviors are added oldest first, and each partial sum is rounded to float32, in which a record keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

AT_ONCE = 1 << 15
"""Numbers that are added at once: so few that torch starts no thread, for which each of many small steps would wait."""


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


def _added(sums: Tensor, weights: Tensor, vectors: Tensor) -> Tensor:
    """`add_weighted` of a few users."""
    sums, exact = sums.clone(), sums.double()
    for place in _oldest_first(vectors):
        torch.mul(weights[:, place, :, None], vectors[:, place, None], out=exact)
        sums.copy_(exact.add_(sums))
    return sums


def _oldest_first(vectors: Tensor) -> Iterator[int]:
    return iter(range(vectors.shape[1] - 1, -1, -1))
