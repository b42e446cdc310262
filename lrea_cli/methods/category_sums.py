"""The summary of `category`: rows of sums, computed at once, or by adding one behavior after the other, bit for bit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lrea_cli.methods.slots import NamedRows, largest_by_slot, no_rows, resized, sums_by_slot, with_values
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
    slots_BL, named = with_values(no_rows(mask), behaviors.category, mask)
    width = named.width
    sums = CategorySums(named.values, named.count, sums_by_slot(E, slots_BL, width), *shared, rows=named.rows)
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
    named, one = no_rows(behaviors.mask), torch.zeros(B, 1, D, device=behaviors.mask.device)
    empty = CategorySums(named.values, named.count, one, rows=named.rows)
    if shared_rows:
        shared = one.expand(-1, shared_rows, -1)
        empty = replace(empty, shared=shared, mass=shared[..., 0])
    return replace(empty, recent=one, weight=one[..., 0], newest=named.count) if recent else empty


def appended(record: CategorySums, newer: Behaviors, shares: Tensor | None, decays: Tensor | None) -> CategorySums:
    """Add newer behaviors to float32 records, one after the other, the oldest first.

    Args:
        newer: float64. shares: (B, M, R) float64 of the shared rows, or None. decays: as in `summed`.
    """
    assert newer.category is not None
    before = NamedRows(record.category, record.count, record.rows)
    slots_BM, named = with_values(before, newer.category, newer.mask)
    ones = torch.ones_like(newer.vectors[..., :1])
    numbers_BM = record.count.sum(1, keepdim=True) + _numbers(newer)
    added = Added(torch.cat([newer.vectors, ones], 2), slots_BM, numbers_BM)
    after = replace(
        record,
        category=named.values,
        count=named.count,
        sums=add_at(resized(record.sums, named.width), slots_BM, newer.vectors),
        rows=named.rows,
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
    before = resized(torch.cat([record.recent, record.weight[..., None]], 2), width)
    recent, newest = add_decayed(before, resized(record.newest, width).long(), added, decays)
    return replace(after, recent=recent[..., :-1], weight=recent[..., -1], newest=newest.int())


def _numbers(behaviors: Behaviors) -> Tensor:
    """(B, L) int64: the number of each behavior, counted from 1 for the oldest."""
    place_L = torch.arange(behaviors.mask.shape[1], device=behaviors.mask.device)
    return behaviors.lengths[:, None] - place_L
