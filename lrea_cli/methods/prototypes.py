"""Learned prototypes that all users share: the attention by which a history is summed into a fixed number of rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

TEMPERATURE = 0.1
"""Divides the logits: at 1 a start of small vectors gives all prototypes equal shares, which is mean pooling."""


class Prototypes(nn.Module):
    """Shares each behavior out among R prototypes (SequenceO1's Sketch Attention, RecSys 2026, arXiv 2609.08443).

        A = softmax over the R prototypes of (X W_K)(P W_Q)^T / (sqrt(D) temperature)

    Each behavior's shares sum to 1 and do not depend on other behaviors, so sums by shares can be appended to.

    Args:
        rows: R, the number of prototypes.
        width: D, the width of an item vector.
        temperature: below 1 makes the shares of a behavior less equal; the paper names none.
    """

    def __init__(self, rows: int, width: int, temperature: float = TEMPERATURE) -> None:
        super().__init__()
        self.temperature = temperature
        self.P = nn.Parameter(torch.randn(rows, width))
        self.W_Q, self.W_K = (nn.Parameter(torch.empty(width, width)) for _ in range(2))
        for weight in (self.W_Q, self.W_K):
            nn.init.xavier_uniform_(weight)

    def affinities(self, vectors: Tensor) -> Tensor:
        """The shares (B, L, R) of behaviors (B, L, D), in their dtype; those of padding sum to 1, too."""
        return (vectors @ self._maps(vectors.dtype)).softmax(-1)

    def exact_affinities(self, vectors: Tensor) -> Tensor:
        """The shares (B, L, R) float64, without gradient; the bits of a behavior's shares depend on it alone.

        A product of matrices adds in an order that depends on their shapes. Here D terms are added one by one.
        """
        with torch.no_grad():
            vectors, maps_DR = vectors.double(), self._maps(torch.float64)
            logits_BLR = vectors.new_zeros(*vectors.shape[:2], maps_DR.shape[1])
            for column_BL, map_R in zip(vectors.unbind(-1), maps_DR.unbind(0), strict=True):
                logits_BLR = logits_BLR + column_BL[..., None] * map_R
            return logits_BLR.softmax(-1)

    def _maps(self, dtype: torch.dtype) -> Tensor:
        """W_K (P W_Q)^T / (sqrt(D) temperature) (D, R): all that depends on the weights alone."""
        W_K, W_Q, P = (weight.to(dtype) for weight in (self.W_K, self.W_Q, self.P))
        return W_K @ (P @ W_Q).T / (len(W_K) ** 0.5 * self.temperature)
