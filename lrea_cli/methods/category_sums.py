"""The summary of `category`: rows of sums, computed at once, or by adding one behavior after the other, bit for bit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from lrea_cli.methods.slots import counts_by_slot, first_seen, largest_by_slot, placed, sums_by_slot
from lrea_cli.methods.sums import Added, add_at, add_decayed, add_weighted
from lrea_cli.sequence import Behaviors, Summary

Pooled = tuple[Tensor | None, Tensor | None]
"""Shared sums (B, R, D) and their mass (B, R), or nothing."""


@dataclass(frozen=True)
class CategorySums(Summary):
    """The summary: a row for each of C categories, in the order in which the user met them, the oldest first.

    Behaviors without a category have a row, too, with id 1. Sums are never float16, which they can exceed.

    Args:
        category: (B, C) int32, 0 past `rows`.
        count: (B, C) int32, behaviors of each.
        sums: (B, C, D), the sum of their vectors.
        shared: (B, R, D), sums of all behaviors by their shares of R prototypes, or None. mass: (B, R), sums of shares.
        recent: (B, C, D), decayed sums as of each row's newest behavior, or None. weight: (B, C), sums of the decays.
        newest: (B, C) int32, the number of that behavior, counted from 1 for the oldest.
    """

    category: Tensor
    count: Tensor
    sums: Tensor
    shared: Tensor | None = None
    mass: Tensor | None = None
    recent: Tensor | None = None
    weight: Tensor | None = None
    newest: Tensor | None = None


def summed(behaviors: Behaviors, shared: Pooled, decays: Tensor | None) -> CategorySums:
    """The rows of histories, by sums in any order, in the dtype of the vectors.

    Args:
        shared: the sums over all behaviors.
        decays: see `sums.decay_table`; None = without recent rows.
    """
    assert behaviors.category is not None
    E, mask = behaviors.vectors, behaviors.mask
    slots_oldest_first, rows = first_seen(behaviors.category.flip(1), mask.flip(1))
    slots_BL, width = slots_oldest_first.flip(1), _most(rows)
    category = placed(behaviors.category.int(), slots_BL, width)
    count = counts_by_slot(slots_BL, width).int()
    sums = CategorySums(category, count, sums_by_slot(E, slots_BL, width), *shared, rows=rows)
    if decays is None:
        return sums
    number_BL = _numbers(behaviors)
    newest_BC = largest_by_slot(number_BL, slots_BL, width)
    newer_BL = newest_BC.gather(1, slots_BL.clamp(min=0)) - number_BL
    weight_BL1 = (decays[newer_BL.clamp(min=0)] * mask).to(E.dtype)[..., None]
    recent, weight = (sums_by_slot(x, slots_BL, width) for x in (weight_BL1 * E, weight_BL1))
    return replace(sums, recent=recent, weight=weight[..., 0], newest=newest_BC.int())


def empty_sums(behaviors: Behaviors, shared_rows: int, recent: bool) -> CategorySums:
    """The record of users without a behavior, as many as histories, with the fields that are asked for."""
    B, D = len(behaviors.mask), behaviors.vectors.shape[2]
    rows = behaviors.lengths.new_zeros(B)
    ids = torch.zeros(B, 1, dtype=torch.int32, device=rows.device)
    one = torch.zeros(B, 1, D, device=rows.device)
    empty = CategorySums(ids, ids, one, rows=rows)
    if shared_rows:
        shared = one.expand(-1, shared_rows, -1)
        empty = replace(empty, shared=shared, mass=shared[..., 0])
    return replace(empty, recent=one, weight=one[..., 0], newest=ids) if recent else empty


def appended(record: CategorySums, newer: Behaviors, shares: Tensor | None, decays: Tensor | None) -> CategorySums:
    """Add newer behaviors to float32 records, one after the other, the oldest first.

    Args:
        newer: float64. shares: (B, M, R) float64 of the shared rows, or None. decays: as in `summed`.
    """
    assert newer.category is not None
    C = record.category.shape[1]
    ids = torch.cat([record.category, newer.category.int().flip(1)], 1)
    slots, rows = first_seen(ids, torch.cat([record.in_use(C), newer.mask.flip(1)], 1))
    width, slots_BM = _most(rows), slots[:, C:].flip(1)
    ones = torch.ones_like(newer.vectors[..., :1])
    added = Added(torch.cat([newer.vectors, ones], 2), slots_BM, record.count.sum(1, keepdim=True) + _numbers(newer))
    after = replace(
        record,
        category=placed(ids, slots, width),
        count=(_resized(record.count, width) + counts_by_slot(slots_BM, width)).int(),
        sums=add_at(_resized(record.sums, width), slots_BM, newer.vectors),
        rows=rows,
    )
    if shares is not None:
        assert record.shared is not None
        assert record.mass is not None
        before = torch.cat([record.shared, record.mass[..., None]], 2)
        shared = add_weighted(before, shares, added.vectors)
        after = replace(after, shared=shared[..., :-1], mass=shared[..., -1])
    return after if decays is None else _recent(record, after, added, decays)


def _recent(record: CategorySums, after: CategorySums, added: Added, decays: Tensor) -> CategorySums:
    """With the decayed sums of the record and of what was added."""
    assert record.recent is not None
    assert record.weight is not None
    assert record.newest is not None
    width = after.category.shape[1]
    before = _resized(torch.cat([record.recent, record.weight[..., None]], 2), width)
    recent, newest = add_decayed(before, _resized(record.newest, width).long(), added, decays)
    return replace(after, recent=recent[..., :-1], weight=recent[..., -1], newest=newest.int())


def _numbers(behaviors: Behaviors) -> Tensor:
    """(B, L) int64: the number of each behavior, counted from 1 for the oldest."""
    place_L = torch.arange(behaviors.mask.shape[1], device=behaviors.mask.device)
    return behaviors.lengths[:, None] - place_L


def _resized(rows: Tensor, width: int) -> Tensor:
    """(B, width, ..): rows past the end are zero; those that are cut off are not in use."""
    return pad(rows, (0, 0) * (rows.dim() - 2) + (0, width - rows.shape[1]))


def _most(rows: Tensor) -> int:
    """Rows of a batch of records, one at least."""
    return max([1, *rows.tolist()])
