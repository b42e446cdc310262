"""DIN attention for serving: scores many candidates against many keys in one matrix product; has no gradient.

For one user the scorer over R keys is a two-layer MLP of the candidate: U_j = W1 + diag(k_j) W3, c_j = k_j W2 + b.
Only |x| is computed for each pair, since phi(x) = a x + g |x| and the a x half is an affine map of the candidate, which
the record holds.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lrea_cli.kernels.affine import leaky_affine, onednn_for
from lrea_cli.kernels.scratch import Scratch
from lrea_cli.kernels.weights import SLOPE, ScorerWeights, linear_interest

CHUNK_BYTES = {"cpu": 1 << 21, "cuda": 1 << 29}
"""Most bytes of the hidden values, and of the maps, of one product: on a CPU they fit a core's cache (docs/log.md)."""
MOST_CANDIDATES = 1024
"""Most candidates in one product on a CPU, so that a product takes several keys at any number of candidates."""

_scratch = Scratch()


def gemm(
    candidates: Tensor, keys: Tensor, values: Tensor, weights: ScorerWeights, linear: Tensor | None = None
) -> Tensor:
    """interest_n = e_n A + a0 + sum_j g |e_n U_j + c_j| w_o v_j; arguments: see `Kernel`.

    Raises:
        RuntimeError: a gradient would be needed; `folded` has one.
    """
    _refuse_gradients(candidates, keys, values, linear, weights.W1, weights.W2, weights.W3, weights.b, weights.w_o)
    interest_BND = linear_interest(candidates, keys, values, weights, linear)
    requests, _, _ = _block(candidates, keys.shape[1], len(weights.w_o))
    for first in range(0, len(candidates), requests):
        part = slice(first, first + requests)
        _add_absolute_half(interest_BND[part], candidates[part], keys[part], values[part], weights)
    return interest_BND


def _add_absolute_half(
    interest_BND: Tensor, candidates: Tensor, keys: Tensor, values: Tensor, weights: ScorerWeights
) -> None:
    """interest_n += sum_j g |e_n U_j + c_j| w_o v_j, for the requests of one product."""
    B, R, D = keys.shape
    H = len(weights.w_o)
    _, some, rows = _block(candidates, R, H)
    W1_HD, W3_HD = weights.W1.T.contiguous(), weights.W3.T.contiguous()
    offsets_BX = (keys @ weights.W2 + weights.b).view(B, R * H)
    for start in range(0, R, rows):
        keys_BCD, values_BCD = keys[:, start : start + rows], values[:, start : start + rows]
        C = keys_BCD.shape[1]
        offsets_BC = offsets_BX[:, start * H : (start + C) * H]
        maps_BCHD = _scratch.take("maps", (B, C, H, D), keys)
        torch.addcmul(W1_HD, keys_BCD[:, :, None], W3_HD, out=maps_BCHD)
        for e_BND, part_BND in zip(candidates.split(some, 1), interest_BND.split(some, 1), strict=True):
            hidden_BNX = _scratch.take("hidden", (B, e_BND.shape[1], C * H), keys)
            hidden_BNX = leaky_affine(e_BND, maps_BCHD.view(B, C * H, D), offsets_BC, -1.0, hidden_BNX)
            scores_BNC = (hidden_BNX.view(-1, H) @ weights.w_o).view(B, -1, C)
            part_BND.baddbmm_(scores_BNC, values_BCD, alpha=(1 - SLOPE) / 2)


def _block(candidates: Tensor, R: int, H: int) -> tuple[int, int, int]:
    """How many requests, candidates and keys one product takes."""
    N, D = candidates.shape[1:]
    numbers = CHUNK_BYTES[candidates.device.type] // candidates.element_size()
    some = max(1, min(N, MOST_CANDIDATES) if candidates.device.type == "cpu" else N)
    rows = max(1, min(R, numbers // (H * max(some, D))))
    requests = 1 if onednn_for(candidates) else max(1, numbers // (rows * H * max(some, D)))
    return requests, some, rows


def _refuse_gradients(*tensors: Tensor | None) -> None:
    if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors):
        raise RuntimeError("gemm has no gradient: call it under torch.inference_mode(), or use folded.")
