"""A quick check of a kernel on this machine: float32 against the naive kernel in float64, on random vectors."""

from __future__ import annotations

from functools import partial

import torch

from lrea_cli.kernels import Kernel, ScorerWeights, naive

MOST_ERROR = 1e-5
"""The gate of serve-bench allows the same."""


def error_of(kernel: Kernel, device: str) -> float:
    """The largest difference, relative to the largest entry in float64.

    Raises:
        ArithmeticError: it is more than `MOST_ERROR`, or no number.
    """
    draw = partial(torch.randn, generator=torch.Generator(device).manual_seed(0), device=device)
    candidates, keys, values = draw(2, 50, 32), draw(2, 70, 32), draw(2, 70, 32)
    weights = ScorerWeights(draw(32, 64), draw(32, 64), draw(32, 64), draw(64), draw(64))
    exact = naive(candidates.double(), keys.double(), values.double(), weights.to(torch.float64))
    error = float((kernel(candidates, keys, values, weights, None) - exact).abs().max() / exact.abs().max())
    if not error <= MOST_ERROR:
        raise ArithmeticError(f"it is off by {error:.1e} from float64.")
    return error
