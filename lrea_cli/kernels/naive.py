"""DIN attention as it is usually written: three products, LeakyReLU, a weighted sum; forms (B, N, R, H)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import leaky_relu

from lrea_cli.kernels.weights import SLOPE, ScorerWeights


def naive(
    candidates: Tensor, keys: Tensor, values: Tensor, weights: ScorerWeights, linear: Tensor | None = None
) -> Tensor:
    """interest_n = sum_j phi(e_n W1 + k_j W2 + (e_n * k_j) W3 + b) w_o v_j.

    Args:
        candidates: (B, N, D).
        keys, values: (B, R, D).
        weights: the scorer's.
        linear: not used.

    Returns:
        (B, N, D).
    """
    products_BNRD = candidates[:, :, None] * keys[:, None]
    hidden_BNRH = (
        (candidates @ weights.W1)[:, :, None] + (keys @ weights.W2)[:, None] + products_BNRD @ weights.W3 + weights.b
    )
    scores_BNR = leaky_relu(hidden_BNRH, SLOPE) @ weights.w_o
    return scores_BNR @ values
