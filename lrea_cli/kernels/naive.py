"""DIN attention as it is usually written, the reference of the other kernels; needs B N R H numbers of memory."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import leaky_relu

from lrea_cli.kernels.weights import SLOPE, ScorerWeights, linear_interest


def naive(
    candidates: Tensor, keys: Tensor, values: Tensor, weights: ScorerWeights, linear: Tensor | None = None
) -> Tensor:
    """interest_n = sum_j phi(x_nj) w_o v_j with x_nj = e_n W1 + k_j W2 + (e_n * k_j) W3 + b.

    With `linear`, interest_n = e_n A + a0 + sum_j g |x_nj| w_o v_j. Arguments and result: see `Kernel`.
    """
    products_BNRD = candidates[:, :, None] * keys[:, None]
    hidden_BNRH = (
        (candidates @ weights.W1)[:, :, None] + (keys @ weights.W2)[:, None] + products_BNRD @ weights.W3 + weights.b
    )
    if linear is None:
        return leaky_relu(hidden_BNRH, SLOPE) @ weights.w_o @ values
    absolute_BNR = hidden_BNRH.abs() @ ((1 - SLOPE) / 2 * weights.w_o)
    return linear_interest(candidates, keys, values, weights, linear) + absolute_BNR @ values
