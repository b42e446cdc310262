"""The scorer's weights, which every kernel reads, and the half of the attention that is linear in the candidate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SLOPE = 0.01
"""Slope of the LeakyReLU phi below zero, in the scorer and in the MLP."""


@dataclass(frozen=True)
class ScorerWeights:
    """DIN's scorer s(e, k) = phi(e W1 + k W2 + (e * k) W3 + b) w_o: W1, W2, W3 (D, H), b and w_o (H,)."""

    W1: Tensor
    W2: Tensor
    W3: Tensor
    b: Tensor
    w_o: Tensor

    def to(self, dtype: torch.dtype) -> ScorerWeights:
        """The same weights in another dtype."""
        return ScorerWeights(*(w.to(dtype) for w in (self.W1, self.W2, self.W3, self.b, self.w_o)))


def linear_interest(
    candidates: Tensor, keys: Tensor, values: Tensor, weights: ScorerWeights, linear: Tensor | None
) -> Tensor:
    """e_n A + a0 (B, N, D); `linear` is computed from the rows if it is None. Arguments: see `Kernel`."""
    if linear is None:
        linear = linear_half(keys, values, weights)
    return torch.baddbmm(linear[:, -1:], candidates, linear[:, :-1])


def linear_half(keys: Tensor, values: Tensor, weights: ScorerWeights) -> Tensor:
    """[A; a0] (B, D + 1, D): the linear half of the attention over any rows, as an affine map of the candidate.

    phi(x) = a x + g |x| with a = (1 + slope) / 2, g = (1 - slope) / 2. The a x half is e A + a0:

        A  = a [ (W1 w_o) (sum_j v_j) + diag(W3 w_o) K^T V ]
        a0 = a [ (b . w_o) sum_j v_j + (W2 w_o)^T K^T V ]

    Args:
        keys: (B, R, D).
        values: (B, R, D), zero in rows that are not in use.
        weights: of the scorer.
    """
    return affine_half(keys.transpose(1, 2) @ values, values.sum(1, keepdim=True), weights)


def affine_half(product_BDD: Tensor, total_B1D: Tensor, weights: ScorerWeights) -> Tensor:
    """[A; a0] (B, D + 1, D) of `linear_half`, from the sums K^T V (B, D, D) and sum_j v_j (B, 1, D)."""
    a = (1 + SLOPE) / 2
    w1, w2, w3 = weights.W1 @ weights.w_o, weights.W2 @ weights.w_o, weights.W3 @ weights.w_o
    A = w1[:, None] * total_B1D + w3[:, None] * product_BDD
    a0 = (weights.b @ weights.w_o) * total_B1D + (w2 @ product_BDD)[:, None]
    return a * torch.cat([A, a0], dim=1)
