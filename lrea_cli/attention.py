"""The DIN scorer and its weighted sum (Zhou et al. 2018; LREA's Eq. 3 and 5); where kernels plug in."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lrea_cli.kernels import KERNELS, KernelName, ScorerWeights, linear_half
from lrea_cli.sequence import Behaviors

HIDDEN = 64
"""Hidden width H of the scorer."""


class Attention(nn.Module):
    """Target attention without softmax, as DIN and the paper have it.

        s(e, k) = phi(e W1 + k W2 + (e * k) W3 + b) w_o,   interest = sum_j s(e, k_j) v_j

    Args:
        width: D of an item vector.
        hidden: H.
    """

    def __init__(self, width: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.W1 = nn.Parameter(torch.empty(width, hidden))
        self.W2 = nn.Parameter(torch.empty(width, hidden))
        self.W3 = nn.Parameter(torch.empty(width, hidden))
        self.b = nn.Parameter(torch.zeros(hidden))
        self.w_o = nn.Parameter(torch.empty(hidden))
        self.kernel: KernelName = "folded"
        for weight in (self.W1, self.W2, self.W3):
            nn.init.normal_(weight, std=(3 * width) ** -0.5)
        nn.init.normal_(self.w_o, std=hidden**-0.5)

    @property
    def weights(self) -> ScorerWeights:
        return ScorerWeights(self.W1, self.W2, self.W3, self.b, self.w_o)

    def forward(self, candidates: Tensor, keys: Tensor, values: Tensor, linear: Tensor | None = None) -> Tensor:
        """Attend with the chosen kernel.

        Args:
            candidates: (B, N, D).
            keys, values: (B, R, D); rows not in use have zero values.
            linear: (B, D + 1, D) of a sealed summary, or None.

        Returns:
            (B, N, D).
        """
        return KERNELS[self.kernel](candidates, keys, values, self.weights, linear)

    def over(self, candidates: Tensor, behaviors: Behaviors) -> Tensor:
        """DIN: interest = c(n) sum_l s(e, e_l) e_l over the real behaviors; (B, N, D)."""
        return self(candidates, behaviors.vectors, scaled_values(behaviors))

    def linear_half(self, keys: Tensor, values: Tensor) -> Tensor:
        """(B, D + 1, D): see `kernels.linear_half`."""
        return linear_half(keys, values, self.weights.to(keys.dtype))


def scaled_values(behaviors: Behaviors) -> Tensor:
    """(B, L, D): c(n) e_l, zero where masked; the scale is one for all methods, so `attend` never sees n."""
    return behaviors.vectors * history_scale(behaviors.lengths)[:, None, None].to(behaviors.vectors.dtype)


def history_scale(lengths: Tensor) -> Tensor:
    """c(n) = 1 / sqrt(n), and 1 for an empty history; chosen by measurement (docs/log.md).

    Args:
        lengths: (B,) number of behaviors.

    Returns:
        (B,) float64.
    """
    return lengths.clamp(min=1).double().rsqrt()
