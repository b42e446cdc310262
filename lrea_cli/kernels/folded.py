"""DIN attention for training: has a gradient and suits few candidates, which it folds into the scorer's weights.

For one candidate the scorer is an affine map of the key, so with keys [k, 1] and maps [W2 + diag(e) W3; e W1 + b] all
candidates of a request are one matrix product. Only |x| needs it, since phi(x) = a x + g |x| and the a x half is affine
in the candidate. The gradient computes |x| again, chunk by chunk, so no tensor (B, N, L, H) exists and the
element-wise passes stay in the processor's cache. For float32 on a CPU, C++ does the same in registers
(`native/training.py`), where it was compiled; what is here is its slow twin.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from lrea_cli.kernels.native import training
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
    operands = _in_one_dtype(candidates, keys, values, *vars(weights).values())
    half = training.NativeAbsoluteHalf if training.takes(*operands) else AbsoluteHalf
    with torch.autocast(keys.device.type, enabled=False):
        return half.apply(*operands)


def _in_one_dtype(*operands: Tensor) -> tuple[Tensor, ...]:
    """Under autocast, cast all operands to its dtype: they come in several, and the gradient runs outside autocast."""
    device = operands[0].device.type
    if not torch.is_autocast_enabled(device):
        return operands
    return tuple(o.to(torch.get_autocast_dtype(device)) if o.dtype != torch.float64 else o for o in operands)


class AbsoluteHalf(torch.autograd.Function):
    """sum_j g |[k_j, 1] M_n| w_o v_j with the maps M_n = [W2 + diag(e_n) W3; e_n W1 + b] of a chunk of requests.

    The maps live in the processor's cache, too: neither pass reads or writes those of a whole batch.
    """

    @staticmethod
    def forward(ctx: Any, candidates: Tensor, keys: Tensor, values: Tensor, *of_scorer: Tensor) -> Tensor:
        weights = ScorerWeights(*of_scorer)
        N, H = candidates.shape[1], len(weights.w_o)
        g_w_o = (1 - SLOPE) / 2 * weights.w_o
        scores_BRN = keys.new_empty(*keys.shape[:2], N)
        for part in _chunks(len(keys), keys.shape[1] * N * H, keys):
            rows_bRC, maps_bCX = _with_ones(keys[part]), _maps(candidates[part], weights).flatten(2)
            for some in _chunks(keys.shape[1], N * H, keys):
                hidden = torch.bmm(rows_bRC[:, some], maps_bCX).abs_()
                scores_BRN[part, some] = (hidden.view(-1, H) @ g_w_o).view(*hidden.shape[:2], N)
        ctx.save_for_backward(candidates, keys, values, *of_scorer, scores_BRN)
        return scores_BRN.transpose(1, 2) @ values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """With G = sign([k, 1] M) * dscore, P = [k, 1]^T G: dM = P g w_o, dk = G (M g w_o)^T, dw_o = g sum P * M."""
        (gradient_BND,) = grad_outputs
        candidates, keys, values, *of_scorer, scores_BRN = ctx.saved_tensors
        d_scores_BRN = values @ gradient_BND.transpose(1, 2)
        gradient = _Gradient(candidates, ScorerWeights(*of_scorer))
        d_candidates, d_keys = torch.empty_like(candidates), torch.empty_like(keys)
        for part in _chunks(len(keys), keys.shape[1] * candidates.shape[1] * len(gradient.weights.w_o), keys):
            d_candidates[part], d_keys[part] = gradient.add(candidates[part], keys[part], d_scores_BRN[part])
        return d_candidates, d_keys, scores_BRN @ gradient_BND, *gradient.of_weights()


def _with_ones(keys: Tensor) -> Tensor:
    """[k, 1], (..., D + 1)."""
    return pad(keys, (0, 1), value=1.0)


def _maps(candidates: Tensor, weights: ScorerWeights) -> Tensor:
    """[W2 + diag(e_n) W3; e_n W1 + b] of each candidate, (B, D + 1, N, H)."""
    of_keys_BDNH = torch.addcmul(weights.W2[:, None], candidates.mT[..., None], weights.W3[:, None])
    return torch.cat([of_keys_BDNH, (candidates @ weights.W1 + weights.b)[:, None]], 1)


class _Gradient:
    """The gradient of the scorer's weights, summed over chunks of requests."""

    def __init__(self, candidates: Tensor, weights: ScorerWeights) -> None:
        self.weights = weights
        D, H = weights.W1.shape
        shape = D, candidates.shape[1], H
        self._of_W1, self._of_b = torch.zeros_like(weights.W1), torch.zeros_like(weights.b)
        self._of_W2_DNH, self._of_W3_DNH = candidates.new_zeros(shape), candidates.new_zeros(shape)
        self._of_w_o = torch.zeros_like(weights.w_o)

    def add(self, candidates: Tensor, keys: Tensor, d_scores_bRN: Tensor) -> tuple[Tensor, Tensor]:
        """Add a chunk; return the gradients of its candidates and keys."""
        weights, rows_bRC, maps_bCNH = self.weights, _with_ones(keys), _maps(candidates, self.weights)
        g_w_o = (1 - SLOPE) / 2 * weights.w_o
        signs_bRX = torch.bmm(rows_bRC, maps_bCNH.flatten(2)).sign_()
        signs_bRX.unflatten(2, maps_bCNH.shape[2:]).mul_(d_scores_bRN[..., None])
        d_maps_bCNH = torch.bmm(rows_bRC.mT, signs_bRX).view_as(maps_bCNH)
        self._of_w_o += (d_maps_bCNH * maps_bCNH).flatten(0, 2).sum(0)
        d_maps_bCNH *= g_w_o
        d_keys_bRD = torch.bmm(signs_bRX, (maps_bCNH[:, :-1] * g_w_o).flatten(2).mT)
        of_keys_bDNH, of_one_bNH = d_maps_bCNH[:, :-1], d_maps_bCNH[:, -1]
        self._of_W1 += candidates.flatten(0, 1).mT @ of_one_bNH.flatten(0, 1)
        self._of_b += of_one_bNH.sum((0, 1))
        self._of_W2_DNH += of_keys_bDNH.sum(0)
        self._of_W3_DNH += (of_keys_bDNH * candidates.mT[..., None]).sum(0)
        d_candidates_bND = (of_keys_bDNH * weights.W3[:, None]).sum(-1).mT + of_one_bNH @ weights.W1.mT
        return d_candidates_bND, d_keys_bRD

    def of_weights(self) -> tuple[Tensor, ...]:
        """In the order of `ScorerWeights`."""
        of_w_o = (1 - SLOPE) / 2 * self._of_w_o
        return self._of_W1, self._of_W2_DNH.sum(1), self._of_W3_DNH.sum(1), self._of_b, of_w_o


def _chunks(count: int, hidden: int, like: Tensor) -> Iterator[slice]:
    """Slices of `count` requests or rows with `hidden` hidden values each, so that a slice fits `CHUNK_BYTES`."""
    size = max(1, CHUNK_BYTES[like.device.type] // like.element_size() // max(1, hidden))
    for start in range(0, count, size):
        yield slice(start, start + size)
