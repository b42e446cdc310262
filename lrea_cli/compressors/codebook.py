"""A codebook that all users share: k-means of the items that they clicked, each as often as it was clicked."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lrea_cli.compressors.base import Items, uniforms
from lrea_cli.compressors.kmeans import SAME
from lrea_cli.methods.nearest import nearest

STEPS = 10
"""Lloyd's steps; they run once for all users, not once a user as those of `kmeans`."""


def make_codebook(items: Items, metric: Tensor, rank: int, seed: int) -> Tensor:
    """Weighted k-means: minimize sum_i clicks_i |(e_i - C_z(i)) M|^2, from a seeded k-means++ start.

    Args:
        items: I of them, I > 0.
        metric: M (D, C), see `clusters.scorer_metric`.
        rank: most codes.
        seed: of the start.

    Returns:
        (K, D) float64; K = rank, or the number of distinct items where these are fewer.
    """
    E, clicks = items.vectors.double(), items.clicks.double()
    points = E @ metric
    codes = E[_plus_plus(points, clicks, uniforms(seed, np.zeros(1), rank)[0].tolist())]
    for _ in range(STEPS):
        owner = nearest(points, codes @ metric)
        total = torch.zeros(len(codes), dtype=E.dtype).index_add(0, owner, clicks)
        sums = torch.zeros_like(codes).index_add(0, owner, clicks[:, None] * E)
        codes = torch.where(total[:, None] > 0, sums / total.clamp(min=1)[:, None], codes)
    return codes


def _plus_plus(points: Tensor, clicks: Tensor, draws: list[float]) -> list[int]:
    """The items to start from: drawn by clicks, then by clicks times squared distance; none twice."""
    norms, weight, chosen = points.square().sum(1), clicks, []
    distance = torch.full_like(clicks, torch.inf)
    for draw in draws:
        total = weight.cumsum(0)
        if not total[-1] > 0:  # each item stands at a code
            break
        index = int(torch.searchsorted(total, draw * total[-1], right=True).clamp(max=len(points) - 1))
        chosen.append(index)
        apart, scale = (points - points[index]).square().sum(1), norms + norms[index]
        distance = torch.minimum(distance, apart.masked_fill(apart < SAME * scale, 0.0))
        weight = distance * clicks
    return chosen
