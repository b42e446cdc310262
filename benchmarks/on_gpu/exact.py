"""What is right, in float64 on the CPU, and how far a result is from it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from lrea_cli.kernels import ScorerWeights
from lrea_cli.kernels.weights import SLOPE
from on_gpu.timing import is_card

TOLERANCE = {"float32": 1e-5, "float16": 1e-2, "bfloat16": 6e-2}
"""Of the largest entry of the right result, with inputs already rounded to the dtype."""

POISON_MB = 256


def poison(device: torch.device) -> None:
    """Leave NaN in the memory that the next results are likely to get."""
    if is_card(device):
        blocks = [torch.full((POISON_MB << 18,), torch.nan, device=device)]
        blocks += [torch.full((1 << 14,), torch.nan, device=device) for _ in range(64)]
        torch.cuda.synchronize()
        del blocks


def error_of(found: Tensor, expected: Tensor, least: float = 0.0) -> float:
    """Largest difference over the largest value; NaN and another shape are infinitely wrong."""
    if found.shape != expected.shape:
        return float("inf")
    if not expected.numel():
        return 0.0
    found, expected = found.detach().cpu().double(), expected.detach().cpu().double()
    scale = max(least, float(expected.abs().max())) or 1.0
    error = float((found - expected).abs().max()) / scale
    return error if error == error else float("inf")


def size_error(found: Tensor, expected: Tensor) -> float:
    """Size of the difference over the size of what is right; NaN and another shape are infinitely wrong."""
    if found.shape != expected.shape:
        return float("inf")
    found, expected = found.detach().cpu().double(), expected.detach().cpu().double()
    error = float((found - expected).norm()) / (float(expected.norm()) or 1.0)
    return error if error == error else float("inf")


def twin_interest(candidates: Tensor, keys: Tensor, values: Tensor, weights: ScorerWeights) -> Tensor:
    """sum_j phi(e W1 + k_j W2 + (e * k_j) W3 + b) w_o v_j, letter by letter in float64 on the CPU, few e at a time."""
    E, K, V = (t.detach().cpu().double() for t in (candidates, keys, values))
    W1, W2, W3, b, w_o = (t.detach().cpu().double() for t in vars(weights).values())
    parts = []
    for e in E.split(16, 1):
        hidden = (e @ W1)[:, :, None] + (K @ W2)[:, None] + (e[:, :, None] * K[:, None]) @ W3 + b
        parts.append(leaky_relu(hidden, SLOPE) @ w_o @ V)
    return torch.cat(parts, 1)
