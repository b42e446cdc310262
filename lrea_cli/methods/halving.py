"""Recursive k-means of many histories at once: clusters are halved until none has more members than allowed."""

from __future__ import annotations

import torch
from torch import Tensor

STEPS = 5
"""Lloyd's steps of one halving."""


@torch.no_grad()
def small_clusters(points: Tensor, mask: Tensor, most: int) -> Tensor:
    """Assign the real points of each history to clusters of at most `most` members.

    A cluster that is too large is split by 2-means. The first centroid starts at the point farthest from the cluster's
    mean, the second at the point farthest from the first; of equally far ones the first in the order. Nothing is drawn
    at random, so clusters depend on the history alone. A cluster of equal points is cut in the middle of its order.

    Args:
        points: (B, L, C) float64.
        mask: (B, L) bool.
        most: members of a cluster, 1 or more.

    Returns:
        (B, L) int64, a number for each cluster that no other history of the batch has; -1 where masked.
    """
    real, users = points[mask], mask.nonzero()[:, 0]
    group, groups = users.clone(), len(mask)
    while bool((large := torch.bincount(group, minlength=groups) > most).any()):
        inside = large[group]
        number = (large.cumsum(0) - 1)[group[inside]]
        second = _halves(real[inside], number, int(large.sum()))
        group[inside] = torch.where(second, groups + number, group[inside])
        groups += int(large.sum())
    return torch.full(mask.shape, -1, device=mask.device).masked_scatter(mask, group)


def _halves(points: Tensor, group: Tensor, groups: int) -> Tensor:
    """(P,) bool: which points (P, C) of each group belong to its second half; both have a member."""
    size = torch.bincount(group, minlength=groups)
    first = points[_farthest(points, _sums(points, group, groups) / size[:, None], group)]
    second = points[_farthest(points, first, group)]
    for _ in range(STEPS):
        side = _apart(points, second[group]) < _apart(points, first[group])
        members = torch.bincount(group[side], minlength=groups)[:, None]
        second_sums, first_sums = (_sums(points[half], group[half], groups) for half in (side, ~side))
        second = torch.where(members > 0, second_sums / members, second)
        first = torch.where(members < size[:, None], first_sums / (size[:, None] - members), first)
    side = _apart(points, second[group]) < _apart(points, first[group])
    members = torch.bincount(group[side], minlength=groups)
    equal = (members == 0) | (members == size)
    return torch.where(equal[group], _place_in_group(group) >= (size[group] + 1) // 2, side)


def _sums(points: Tensor, group: Tensor, groups: int) -> Tensor:
    """(groups, C)."""
    index = group[:, None].expand_as(points)
    return points.new_zeros(groups, points.shape[1]).scatter_add(0, index, points)


def _apart(points: Tensor, others: Tensor) -> Tensor:
    """(P,) squared distances; those of equal points are zero."""
    difference = points - others
    return (difference * difference).sum(1)


def _farthest(points: Tensor, centers: Tensor, group: Tensor) -> Tensor:
    """(groups,) the position of the point of each group that is farthest from its center, the first of equal ones."""
    apart, groups = _apart(points, centers[group]), len(centers)
    most = apart.new_full((groups,), -1.0).scatter_reduce(0, group, apart, "amax")
    position = torch.arange(len(points), device=points.device)
    candidates = torch.where(apart == most[group], position, len(points))
    return candidates.new_full((groups,), len(points)).scatter_reduce(0, group, candidates, "amin")


def _place_in_group(group: Tensor) -> Tensor:
    """(P,) how many points before each one are of its group."""
    ranked, order = group.sort(stable=True)
    here = torch.arange(len(group), device=group.device)
    starts = torch.ones_like(ranked, dtype=torch.bool)
    starts[1:] = ranked[1:] != ranked[:-1]
    place = here - torch.where(starts, here, 0).cummax(0).values
    return torch.empty_like(place).scatter(0, order, place)
