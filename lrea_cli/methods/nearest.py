"""The nearest code of each behavior; for records the same in any batch: a product's last bits differ with its shape."""

from __future__ import annotations

import torch
from torch import Tensor

CLOSE = 1e-11
"""Distances that differ by less than this share are formed again in a fixed order; rounding is below 1e-13."""


def nearest(points: Tensor, codes: Tensor) -> Tensor:
    """argmin_j |x - C_j|^2 in the dtype of the points, of equally near codes the first.

    Args:
        points: (..., C). codes: (K, C).

    Returns:
        (...) int64; of points as near to two codes as rounding can tell, the number may depend on the batch.
    """
    C = codes.to(points.dtype)
    halves = torch.addmm(C.square().sum(1) / 2, points.flatten(0, -2), C.T, alpha=-1)
    return halves.argmin(1).view(points.shape[:-1])


@torch.no_grad()
def nearest_codes(vectors: Tensor, W_K: Tensor, codebook: Tensor) -> Tensor:
    """argmin_j |e W_K - C_j|^2, of equally near codes the first.

    Args:
        vectors: (..., D) float64. W_K: (D, C) float64. codebook: (K, C) float64, K >= 2.

    Returns:
        (...) int64.
    """
    rows = vectors.flatten(0, -2)
    if not len(rows):
        return torch.zeros(vectors.shape[:-1], dtype=torch.int64, device=vectors.device)
    keys = rows @ W_K
    halves = torch.addmm(codebook.square().sum(1) / 2, keys, codebook.T, alpha=-1)
    best = halves.topk(2, largest=False)
    code = best.indices[:, 0]
    extent = max(abs(float(x)) for x in (*keys.aminmax(), *codebook.aminmax()))
    near = best.values[:, 1] - best.values[:, 0] <= CLOSE * codebook.shape[1] * extent**2
    if near.any():
        code[near] = in_order(rows[near], W_K, codebook)
    return code.view(vectors.shape[:-1])


def in_order(rows: Tensor, W_K: Tensor, codebook: Tensor) -> Tensor:
    """(M,) nearest codes of rows (M, D), one product and one sum after the other."""
    keys = torch.zeros(len(rows), W_K.shape[1], dtype=rows.dtype, device=rows.device)
    for d, weights in enumerate(W_K):
        keys = keys + rows[:, d, None] * weights
    squared = torch.zeros(len(rows), len(codebook), dtype=rows.dtype, device=rows.device)
    for c, own in enumerate(codebook.T):
        apart = keys[:, c, None] - own
        squared = squared + apart * apart
    return squared.argmin(1)
