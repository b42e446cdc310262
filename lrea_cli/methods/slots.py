"""Rows of a record that are named by a value, such as a category: which row a behavior belongs to, and sums by row."""

from __future__ import annotations

import torch
from torch import Tensor


def first_seen(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Number the distinct values of each history in the order in which they appear first.

    Args:
        values: (B, X) whole numbers; the order of X counts.
        mask: (B, X) bool.

    Returns:
        slots (B, X) int64, the number of each value from 0 on, -1 where masked; and how many there are, (B,) int64.
    """
    keys = values.long().masked_fill(~mask, torch.iinfo(torch.int64).max)
    ranked, order = keys.sort(dim=1, stable=True)
    starts = mask.gather(1, order)
    starts[:, 1:] &= ranked[:, 1:] != ranked[:, :-1]
    first = torch.zeros_like(mask).scatter(1, order, starts)
    here = torch.arange(values.shape[1], device=values.device).expand(values.shape)
    run = torch.where(starts, here, 0).cummax(1).values  # where the run of equal values starts, in sorted order
    number = (first.cumsum(1) - 1).gather(1, order.gather(1, run))
    slots = torch.empty_like(number).scatter(1, order, number)
    return slots.masked_fill(~mask, -1), first.sum(1)


def placed(values: Tensor, slots: Tensor, width: int) -> Tensor:
    """(B, width): each of the values (B, X) in its row, 0 in rows without one; values of one row are equal."""
    return values.new_zeros(len(values), width + 1).scatter(1, _without_masked(slots, width), values)[:, :width]


def sums_by_slot(vectors: Tensor, slots: Tensor, width: int) -> Tensor:
    """(B, width, C): the sum of the vectors (B, X, C) of each row; has a gradient, and adds in any order."""
    index = _without_masked(slots, width)[..., None].expand_as(vectors)
    return vectors.new_zeros(len(vectors), width + 1, vectors.shape[2]).scatter_add(1, index, vectors)[:, :width]


def counts_by_slot(slots: Tensor, width: int) -> Tensor:
    """(B, width) int64: how many of the slots (B, X) are each row's."""
    index = _without_masked(slots, width)
    return index.new_zeros(len(slots), width + 1).scatter_add(1, index, torch.ones_like(index))[:, :width]


def largest_by_slot(numbers: Tensor, slots: Tensor, width: int) -> Tensor:
    """(B, width): the largest of the numbers (B, X) of each row, all at least 0; 0 in rows without one."""
    rows = numbers.new_zeros(len(slots), width + 1)
    return rows.scatter_reduce(1, _without_masked(slots, width), numbers, "amax")[:, :width]


def least_by_slot(numbers: Tensor, slots: Tensor, width: int) -> Tensor:
    """(B, width): the least of the numbers (B, X) of each row; 0 in rows without one."""
    rows = numbers.new_zeros(len(slots), width + 1)
    index = _without_masked(slots, width)
    return rows.scatter_reduce(1, index, numbers, "amin", include_self=False)[:, :width]


def _without_masked(slots: Tensor, width: int) -> Tensor:
    """What is masked goes to a row behind the last, which is cut off."""
    return torch.where(slots < 0, width, slots)
