"""The same attention with the candidate folded into the weights: for few candidates and many keys, differentiable.

Nothing of size (B, N, R, D) is formed: for one candidate the scorer is a linear map of the key.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from lrea_cli.kernels.weights import SLOPE, ScorerWeights


def folded(
    candidates: Tensor, keys: Tensor, values: Tensor, weights: ScorerWeights, linear: Tensor | None = None
) -> Tensor:
    """e W1 + k W2 + (e * k) W3 + b = k (W2 + diag(e) W3) + (e W1 + b): one product of the keys for all candidates.

    Args:
        candidates: (B, N, D).
        keys, values: (B, R, D).
        weights: the scorer's.
        linear: not used.

    Returns:
        (B, N, D).
    """
    B, N, D = candidates.shape
    H = weights.w_o.shape[0]
    maps_BNDH = weights.W2 + candidates[..., None] * weights.W3
    maps_BDNH = maps_BNDH.transpose(1, 2).reshape(B, D, N * H)
    offsets_B1NH = (candidates @ weights.W1 + weights.b).reshape(B, 1, N * H)
    hidden_BRNH = torch.baddbmm(offsets_B1NH, keys, maps_BDNH)
    scores_BRN = leaky_relu(hidden_BRNH, SLOPE, inplace=True).view(B, -1, N, H) @ weights.w_o
    return scores_BRN.transpose(1, 2) @ values
