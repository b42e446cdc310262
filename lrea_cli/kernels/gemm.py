"""Serving's form: all candidates against a chunk of keys in one matrix product, the linear half taken from the record.

For one user the scorer over R keys is a two-layer MLP of the candidate: U_j = W1 + diag(k_j) W3, c_j = k_j W2 + b.
Only |x| is left to compute per pair, since phi(x) = a x + g |x| and the a x half is an affine map of the candidate.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lrea_cli.kernels.weights import SLOPE, ScorerWeights, linear_interest

CHUNK = 64
"""Keys in one product: large enough for the matrix product, small enough that its result stays in the cache."""


def gemm(
    candidates: Tensor, keys: Tensor, values: Tensor, weights: ScorerWeights, linear: Tensor | None = None
) -> Tensor:
    """interest_n = e_n A + a0 + sum_j g |e_n U_j + c_j| w_o v_j.

    Args:
        candidates: (B, N, D).
        keys, values: (B, R, D).
        weights: the scorer's.
        linear: (B, D + 1, D) = [A; a0]; computed here where the summary was not sealed.

    Returns:
        (B, N, D).
    """
    interest_BND = linear_interest(candidates, keys, values, weights, linear)
    B, N, D = candidates.shape
    H = weights.w_o.shape[0]
    g_w_o = (1 - SLOPE) / 2 * weights.w_o
    for keys_BCD, values_BCD in zip(keys.split(CHUNK, 1), values.split(CHUNK, 1), strict=True):
        C = keys_BCD.shape[1]
        offsets_BC = (keys_BCD @ weights.W2 + weights.b).view(B, 1, C * H)
        maps_BDCH = weights.W1[:, None] + keys_BCD.mT.contiguous()[..., None] * weights.W3[:, None]
        hidden_BNCH = torch.baddbmm(offsets_BC, candidates, maps_BDCH.view(B, D, C * H))
        scores_BNC = hidden_BNCH.abs_().view(B, N, C, H) @ g_w_o
        interest_BND = torch.baddbmm(interest_BND, scores_BNC, values_BCD)
    return interest_BND
