"""Target attention: DIN's weighted sum, which a kernel computes, and multi-head attention with softmax."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from lrea_cli.errors import UserError
from lrea_cli.kernels import Kernel, ScorerWeights, folded
from lrea_cli.kernels.weights import SLOPE, affine_half, linear_half
from lrea_cli.sequence import Behaviors

HIDDEN = 64
"""Hidden width H of the scorer."""


class Attention(nn.Module):
    """Target attention without softmax, as DIN and the paper have it.

        s(e, k) = phi(e W1 + k W2 + (e * k) W3 + b) w_o,   interest = sum_j s(e, k_j) v_j

    Args:
        width: D, the width of an item vector.
        hidden: H, the hidden width of the scorer.
    """

    def __init__(self, width: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.W1 = nn.Parameter(torch.empty(width, hidden))
        self.W2 = nn.Parameter(torch.empty(width, hidden))
        self.W3 = nn.Parameter(torch.empty(width, hidden))
        self.b = nn.Parameter(torch.zeros(hidden))
        self.w_o = nn.Parameter(torch.empty(hidden))
        for weight in (self.W1, self.W2, self.W3):
            nn.init.normal_(weight, std=(3 * width) ** -0.5)
        nn.init.normal_(self.w_o, std=hidden**-0.5)

    @property
    def weights(self) -> ScorerWeights:
        return ScorerWeights(self.W1, self.W2, self.W3, self.b, self.w_o)

    def forward(
        self,
        candidates: Tensor,
        keys: Tensor,
        values: Tensor,
        linear: Tensor | None = None,
        kernel: Kernel = folded,
    ) -> Tensor:
        """Attend to keys that all candidates of a request share; arguments and result: see `Kernel`."""
        return kernel(candidates, keys, values, self.weights, linear)

    def selected(self, candidates: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attend where each candidate has its own keys; always with `folded`, since other kernels need shared keys.

        Args:
            candidates: (B, N, D).
            keys: (B, N, K, D).
            values: (B, N, K, D), zero in rows that are not in use.

        Returns:
            (B, N, D).
        """
        alone = folded(candidates.flatten(0, 1)[:, None], keys.flatten(0, 1), values.flatten(0, 1), self.weights)
        return alone.view_as(candidates)

    def paired(self, candidates: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attend where each candidate has one key of its own: s(e_n, k_n) v_n.

        Args:
            candidates, keys, values: (B, N, D) each; values are zero where there is none.

        Returns:
            (B, N, D).
        """
        w = self.weights.to(candidates.dtype)
        hidden_BNH = candidates @ w.W1 + keys @ w.W2 + (candidates * keys) @ w.W3 + w.b
        return (leaky_relu(hidden_BNH, SLOPE) @ w.w_o)[..., None] * values

    def over(self, candidates: Tensor, behaviors: Behaviors, kernel: Kernel = folded) -> Tensor:
        """DIN: interest (B, N, D) = c(n) sum_l s(e, e_l) e_l over the real behaviors."""
        return self(candidates, behaviors.vectors, scaled_values(behaviors), kernel=kernel)

    def linear_half(self, keys: Tensor, values: Tensor) -> Tensor:
        """[A; a0] (B, D + 1, D), see `kernels.weights.linear_half`."""
        return linear_half(keys, values, self.weights.to(keys.dtype))

    def affine_half(self, product: Tensor, total: Tensor) -> Tensor:
        """[A; a0] (B, D + 1, D) of sums over rows, see `kernels.weights.affine_half`."""
        return affine_half(product, total, self.weights.to(total.dtype))


class MultiHeadAttention(nn.Module):
    """Target attention with softmax, as SIM, ETA and TWIN have it (Vaswani et al. 2017, one query a candidate).

        head_h = sum_l softmax_l( (e_t W_Q)_h . (e_l W_K)_h / sqrt(d_h) ) (e_l W_V)_h,   interest = [head_1, ..] W_O

    Args:
        width: D, the width of an item vector.
        heads: heads, each of width d_h = D / heads.

    Raises:
        UserError: the heads do not divide D.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise UserError(
                f"heads = {heads} does not divide D = {width}, the width of an item vector.",
                "Set heads in the recipe's [model] to a divisor.",
            )
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.W_Q, self.W_K, self.W_V, self.W_O = (nn.Parameter(torch.empty(width, width)) for _ in range(4))
        for weight in (self.W_Q, self.W_K, self.W_V, self.W_O):
            nn.init.xavier_uniform_(weight)

    def queries(self, candidates: Tensor) -> Tensor:
        """e_t W_Q, all heads side by side; (..., D)."""
        return candidates @ self.W_Q.to(candidates.dtype)

    def keys(self, behaviors: Tensor) -> Tensor:
        """e_l W_K, all heads side by side; (..., D)."""
        return behaviors @ self.W_K.to(behaviors.dtype)

    def values(self, behaviors: Tensor) -> Tensor:
        """e_l W_V, all heads side by side; (..., D)."""
        return behaviors @ self.W_V.to(behaviors.dtype)

    def by_head(self, rows: Tensor) -> Tensor:
        """(B, heads, X, d_h) of (B, X, D)."""
        return rows.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """Attend where each candidate has its own keys, the same for all heads.

        A head's query is zero outside its own d_h columns, and only these columns of its result are kept. This takes
        h times the products, but a third of the time: the matrices are multiplied as they lie in memory.

        Args:
            queries: (B, N, D), projected.
            keys: (B, N, K, D), projected.
            values: (B, N, K, D), projected.
            mask: (B, N, K) bool.

        Returns:
            (B, N, D), zero for a candidate without keys.
        """
        own_HD = torch.eye(self.heads, dtype=queries.dtype, device=queries.device).repeat_interleave(
            queries.shape[-1] // self.heads, 1
        )
        scores_BNHK = (queries[:, :, None] * (self.scale * own_HD)) @ keys.transpose(2, 3)
        mixed_BNHD = softmax_weights(scores_BNHK, mask[:, :, None]) @ values
        return (mixed_BNHD * own_HD).sum(2) @ self.W_O


def softmax_weights(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax (..., K) over the scores where `mask` is True, zero elsewhere; `mask` is broadcast."""
    return scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1) * mask


def scaled_values(behaviors: Behaviors) -> Tensor:
    """c(n) e_l (B, L, D), zero where masked; values include c(n) in all methods, so `attend` never sees n."""
    return behaviors.vectors * history_scale(behaviors.lengths)[:, None, None].to(behaviors.vectors.dtype)


def history_scale(lengths: Tensor) -> Tensor:
    """c(n) = 1 / sqrt(n), and 1 for an empty history, (B,) float64; chosen by measurement (docs/log.md)."""
    return lengths.clamp(min=1).double().rsqrt()
