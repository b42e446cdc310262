"""k-means of many histories at once: a seeded k-means++ start (Arthur and Vassilvitskii 2007), then Lloyd's steps."""

from __future__ import annotations

import torch
from torch import Tensor

STEPS = 3
"""Lloyd's steps; five more lower the error of the interest by 0 to 2% and take a third longer."""

SAME = 1e-12
"""Two points are one if their squared distance is below this share of the sum of their squared norms (rounding)."""


def kmeans(points: Tensor, mask: Tensor, uniforms: Tensor) -> Tensor:
    """Assign the real points of each history to one of R clusters.

    Args:
        points: (B, L, C) float64.
        mask: (B, L) bool.
        uniforms: (B, R) in [0, 1), one for each centroid to draw.

    Returns:
        (B, L) cluster numbers in 0 .. R - 1, meaningless where masked. At most R distinct points get a cluster each.
    """
    centroids = _plus_plus(points, mask, uniforms)
    for _ in range(STEPS):
        members = membership(nearest(points, centroids), mask, uniforms.shape[1])
        size = members.sum(1)[..., None]
        moved = members.transpose(1, 2) @ points / size.clamp(min=1)
        centroids = torch.where(size > 0, moved, centroids)
    return nearest(points, centroids)


def membership(owner: Tensor, mask: Tensor, rank: int) -> Tensor:
    """(B, L, R) float64: 1 where a real point belongs to a cluster."""
    numbers = torch.arange(rank, device=owner.device)
    return (owner.masked_fill(~mask, -1)[..., None] == numbers).double()


def nearest(points: Tensor, centroids: Tensor) -> Tensor:
    """(B, L): the number of the nearest centroid of each point, the lowest of equally near ones."""
    scores = torch.baddbmm(centroids.square().sum(-1)[:, None], points, centroids.transpose(1, 2), alpha=-2)
    return scores.argmin(-1)


def _plus_plus(points: Tensor, mask: Tensor, uniforms: Tensor) -> Tensor:
    """(B, R, C) centroids: the first drawn uniformly from the real points, each next by squared distance to those."""
    norms = points.square().sum(-1)
    weight = mask.double()
    chosen = []
    distance = torch.full_like(weight, torch.inf)
    for draw in uniforms.unbind(1):
        total = weight.cumsum(1)
        index = torch.searchsorted(total, (draw * total[:, -1])[:, None], right=True).clamp(max=mask.shape[1] - 1)
        centroid = points.gather(1, index[..., None].expand(-1, -1, points.shape[2]))
        chosen.append(centroid)
        norm_sums = norms + norms.gather(1, index)
        apart = torch.baddbmm(norm_sums[..., None], points, centroid.transpose(1, 2), alpha=-2)[..., 0]
        distance = torch.minimum(distance, apart.masked_fill_(apart < SAME * norm_sums, 0.0))
        weight = distance * mask
    return torch.cat(chosen, 1)
