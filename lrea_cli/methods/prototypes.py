"""Learned prototypes that attend to a history, as SequenceO1's Sketch Attention has them; rows that all users share."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, silu

from lrea_cli.sequence import Behaviors

EVEN_SHARE = 1e-3
"""Of each behavior, spread evenly over all prototypes, so that no row is a sum of nothing but rounding errors."""
LOOKED_AT = 8
"""Histories of a training step of which the entropy is taken."""
FFN_WIDTH = 2
"""Hidden width of the SwiGLU layers, in D."""

Product = Callable[[Tensor, Tensor], Tensor]


class Prototypes(nn.Module):
    """P (R, D) and one or two layers of attention from the prototypes to the behaviors.

    P starts from N(0, 1) and W_Q, W_K from the identity: a prototype then draws the behaviors that have its direction,
    as the buckets of SDIM do. Equal shares would stay equal, which is mean pooling.

    Args:
        rows: R. width: D.
        temperature: below 1 sharpens the shares; the paper names none.
        layers: 1 or 2. tokens: whether the softmax runs over the behaviors, and not over the prototypes.
    """

    def __init__(self, rows: int, width: int, temperature: float, layers: int = 1, tokens: bool = False) -> None:
        super().__init__()
        self.tokens, self.scale = tokens, 1 / (math.sqrt(width) * temperature)
        self.P = nn.Parameter(torch.randn(rows, width))
        kind = Refine if layers > 1 else Projections
        self.layers = nn.ModuleList(kind(width) for _ in range(layers))
        self.entropy: float | None = None

    def forward(self, behaviors: Behaviors) -> tuple[Tensor, Tensor]:
        """Rows (B, R, D) after the last layer, and the mass (B, R, 1): how many behaviors each stands for."""
        E, rows = behaviors.vectors, self.P
        weights_BLR = mixed = E.new_zeros(())
        for layer in self.layers:
            weights_BLR = self._weights(behaviors, self._maps(layer, rows.to(E.dtype)))
            mixed = weights_BLR.transpose(1, 2) @ E
            rows = layer(rows.to(E.dtype) + mixed) if isinstance(layer, Refine) else mixed
        if self.tokens:
            mass = (behaviors.lengths.to(E.dtype)[:, None] / len(self.P)).expand(-1, len(self.P))
        else:
            mass = weights_BLR.sum(1)
        return rows, mass[..., None]

    def shares(self, behaviors: Behaviors, product: Product = torch.matmul) -> Tensor:
        """(B, L, R) of the only layer, zero where masked: the share of each behavior that each prototype takes.

        Args:
            product: `exact_product` where no bit may depend on the batch's shape.
        """
        P = self.P.to(behaviors.vectors.dtype)
        return self._weights(behaviors, self._maps(self.layers[0], P, product), product)

    def _maps(self, layer: nn.Module, rows: Tensor, product: Product = torch.matmul) -> Tensor:
        """(.., D, R): e @ maps are the affinities of a behavior e."""
        assert isinstance(layer, Projections)
        W_Q, W_K = layer.W_Q.to(rows.dtype), layer.W_K.to(rows.dtype)
        return self.scale * product(product(rows, W_Q), W_K.T).transpose(-1, -2)

    def _weights(self, behaviors: Behaviors, maps_DR: Tensor, product: Product = torch.matmul) -> Tensor:
        """A^T (B, L, R), zero where masked. The softmax runs over the last axis, where no row's bits see another's."""
        real_BL1 = behaviors.mask[..., None]
        affinities_BLR = product(behaviors.vectors, maps_DR)
        if self.tokens:
            low = torch.finfo(affinities_BLR.dtype).min
            weights_BLR = affinities_BLR.masked_fill(~real_BL1, low).softmax(1) * real_BL1
        else:
            weights_BLR = affinities_BLR.softmax(-1)
        if self.training and torch.is_grad_enabled():
            self.entropy = _entropy(weights_BLR.detach(), behaviors.mask, 1 if self.tokens else 2)
        if self.tokens:
            return weights_BLR
        return ((1 - EVEN_SHARE) * weights_BLR + EVEN_SHARE / len(self.P)) * real_BL1


class Projections(nn.Module):
    """W_Q and W_K of one layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.W_Q, self.W_K = (nn.Parameter(torch.eye(width)) for _ in range(2))


class Refine(Projections):
    """A layer of the paper: X = LN(X~ + A E),  X~' = LN(X + (silu(X W_gate) * X W_up) W_down)."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.W_gate, self.W_up = (nn.Parameter(torch.empty(width, FFN_WIDTH * width)) for _ in range(2))
        self.W_down = nn.Parameter(torch.empty(FFN_WIDTH * width, width))
        for weight in (self.W_gate, self.W_up, self.W_down):
            nn.init.xavier_uniform_(weight)
        self.norm_in, self.norm_out = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, mixed: Tensor) -> Tensor:
        """(B, R, D) of the sum of the rows before and what they drew from the behaviors."""
        dtype, x = mixed.dtype, _normed(self.norm_in, mixed)
        hidden = silu(x @ self.W_gate.to(dtype)) * (x @ self.W_up.to(dtype))
        return _normed(self.norm_out, x + hidden @ self.W_down.to(dtype))


def _normed(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    """In the dtype of x: summaries are computed in float64."""
    return layer_norm(x, norm.normalized_shape, norm.weight.to(x.dtype), norm.bias.to(x.dtype), norm.eps)


def _entropy(weights_BLR: Tensor, mask: Tensor, axis: int) -> float | None:
    """Mean entropy of the softmaxes over an axis, over the log of how many numbers each had; None without any."""
    weights, mask = weights_BLR[:LOOKED_AT], mask[:LOOKED_AT]
    each = -(weights * weights.clamp(min=1e-30).log()).sum(axis)
    if axis == 2:
        each, most = each[mask], torch.full_like(each, weights.shape[2])[mask]
    else:
        most = mask.sum(1, keepdim=True).to(each.dtype).expand_as(each)
    several = most > 1
    return float((each[several] / most[several].log()).mean()) if several.any() else None
