"""DIN attention for training: has a gradient and suits few candidates, which it folds into the scorer's weights.

For one candidate the scorer is an affine map of the key, so with keys [k, 1] and maps [W2 + diag(e) W3; e W1 + b] all
candidates of a request are one matrix product. Only |x| needs it, since phi(x) = a x + g |x| and the a x half is affine
in the candidate. The gradient computes |x| again, chunk by chunk, so no tensor (B, N, L, H) exists and the
element-wise passes stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from lrea_cli.kernels.weights import SLOPE, ScorerWeights, linear_interest

CHUNK_BYTES = {"cpu": 1 << 21, "cuda": 1 << 29}
"""Most bytes of hidden values in one chunk."""


def folded(
    candidates: Tensor, keys: Tensor, values: Tensor, weights: ScorerWeights, linear: Tensor | None = None
) -> Tensor:
    """interest_n = e_n A + a0 + sum_j g |k_j (W2 + diag(e_n) W3) + (e_n W1 + b)| w_o v_j; arguments: see `Kernel`."""
    linear_BND = linear_interest(candidates, keys, values, weights, linear)
    return linear_BND + absolute_half(candidates, keys, values, weights)


def absolute_half(candidates: Tensor, keys: Tensor, values: Tensor, weights: ScorerWeights) -> Tensor:
    """The attention without its linear half, (B, N, M): sum_j g |e_n W1 + k_j W2 + (e_n * k_j) W3 + b| w_o v_j.

    Args:
        candidates: (B, N, D).
        keys: (B, R, D).
        values: (B, R, M) for any M.
        weights: of the scorer.
    """
    maps_BNDH = torch.cat(
        [weights.W2 + candidates[..., None] * weights.W3, (candidates @ weights.W1 + weights.b)[:, :, None]],
        2,
    )
    maps_BDNH = maps_BNDH.transpose(1, 2).flatten(2)
    operands = _in_one_dtype(pad(keys, (0, 1), value=1.0), maps_BDNH, values, weights.w_o)
    with torch.autocast(keys.device.type, enabled=False):
        return _AbsoluteHalf.apply(*operands)


def _in_one_dtype(*operands: Tensor) -> tuple[Tensor, ...]:
    """Under autocast, cast all operands to its dtype: they come in several, and the gradient runs outside autocast."""
    device = operands[0].device.type
    if not torch.is_autocast_enabled(device):
        return operands
    return tuple(o.to(torch.get_autocast_dtype(device)) if o.dtype != torch.float64 else o for o in operands)


class _AbsoluteHalf(torch.autograd.Function):
    """sum_j g |k_j M_n| w_o v_j for keys (B, R, C), maps (B, C, N H), values (B, R, D), w_o (H,); returns (B, N, D)."""

    @staticmethod
    def forward(ctx: Any, keys: Tensor, maps: Tensor, values: Tensor, w_o: Tensor) -> Tensor:
        H = len(w_o)
        g_w_o = (1 - SLOPE) / 2 * w_o
        N = maps.shape[2] // H
        scores_BRN = keys.new_empty(*keys.shape[:2], N)
        for part in _chunks(len(keys), keys.shape[1] * N * H, keys):
            for rows in _chunks(keys.shape[1], N * H, keys):
                hidden = torch.bmm(keys[part, rows], maps[part]).abs_()
                scores_BRN[part, rows] = (hidden.view(-1, H) @ g_w_o).view(*hidden.shape[:2], N)
        ctx.save_for_backward(keys, maps, values, w_o, scores_BRN)
        return scores_BRN.transpose(1, 2) @ values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """With G = sign(k M) * dscore: dM = (k^T G) g w_o, dk = G (M g w_o)^T, dw_o = g sum (k^T G) * M."""
        (gradient_BND,) = grad_outputs
        keys, maps, values, w_o, scores_BRN = ctx.saved_tensors
        H, g = len(w_o), (1 - SLOPE) / 2
        N = maps.shape[2] // H
        d_scores_BRN = values @ gradient_BND.transpose(1, 2)
        d_values = scores_BRN @ gradient_BND
        d_keys, products = torch.empty_like(keys), torch.empty_like(maps)
        scaled_maps = (maps.unflatten(2, (N, H)) * (g * w_o)).flatten(2)
        for part in _chunks(len(keys), keys.shape[1] * N * H, keys):
            signs = torch.bmm(keys[part], maps[part]).sign_()
            signs.unflatten(2, (N, H)).mul_(d_scores_BRN[part][..., None])
            torch.bmm(keys[part].transpose(1, 2), signs, out=products[part])
            torch.bmm(signs, scaled_maps[part].transpose(1, 2), out=d_keys[part])
        by_unit = products.unflatten(2, (N, H))
        d_maps = (by_unit * (g * w_o)).flatten(2)
        d_w_o = g * (by_unit * maps.unflatten(2, (N, H))).sum((0, 1, 2))
        return d_keys, d_maps, d_values, d_w_o


def _chunks(count: int, hidden: int, like: Tensor) -> Iterator[slice]:
    """Slices of `count` requests or rows with `hidden` hidden values each, so that a slice fits `CHUNK_BYTES`."""
    size = max(1, CHUNK_BYTES[like.device.type] // like.element_size() // max(1, hidden))
    for start in range(0, count, size):
        yield slice(start, start + size)
