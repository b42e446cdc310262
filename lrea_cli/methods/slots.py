"""Rows of a record that are named by a value, such as a category: which row a behavior belongs to, and sums by row."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True)
class NamedRows:
    """The rows of B records that are named by a value, in the order in which the values appeared first.

    Args:
        values: (B, C) int32, the value of each row. count: (B, C) int32, its behaviors. Both are 0 past `rows`.
        rows: (B,) int64, how many rows are in use.
    """

    values: Tensor
    count: Tensor
    rows: Tensor

    @property
    def width(self) -> int:
        """C, one at least."""
        return self.values.shape[1]


def with_values(before: NamedRows, values: Tensor, mask: Tensor, width: int | None = None) -> tuple[Tensor, NamedRows]:
    """Add behaviors, the oldest first; a value that is new to a user gets the next row.

    Args:
        values: (B, M) whole numbers, newest first. mask: (B, M) bool.
        width: of the result; None = the most rows that a record has.

    Returns:
        (B, M) int64 the row of each behavior, -1 where masked; and the rows.
    """
    C = before.width
    ids = torch.cat([before.values, values.int().flip(1)], 1)
    in_use = torch.arange(C, device=mask.device) < before.rows[:, None]
    slots, rows = first_seen(ids, torch.cat([in_use, mask.flip(1)], 1))
    width, slots_BM = width or most_rows(rows), slots[:, C:].flip(1)
    count = resized(before.count, width) + counts_by_slot(slots_BM, width)
    return slots_BM, NamedRows(placed(ids, slots, width), count.int(), rows)


def no_rows(mask: Tensor) -> NamedRows:
    """Of users without a behavior, as many as the histories of the mask (B, L)."""
    ids = torch.zeros(len(mask), 1, dtype=torch.int32, device=mask.device)
    return NamedRows(ids, ids, ids[:, 0].long())


def most_rows(rows: Tensor) -> int:
    """The width of a batch of records with so many rows (B,), one at least."""
    return max([1, *rows.tolist()])


def resized(rows: Tensor, width: int) -> Tensor:
    """(B, width, ..): rows past the end are zero; those that are cut off are not in use."""
    return pad(rows, (0, 0) * (rows.dim() - 2) + (0, width - rows.shape[1]))


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
