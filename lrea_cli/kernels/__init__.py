"""Kernels of DIN attention: (candidates, keys, values, weights, linear) -> interest; all compute the same function.

    interest_n = sum_j s(e_n, k_j) v_j,   s(e, k) = phi(e W1 + k W2 + (e * k) W3 + b) w_o

Rows past a record's end have zero values, so they add nothing and no mask is needed.
`naive` is the form that people write, and the slow twin of the others; `folded` is differentiable and cheap for few
candidates and many keys (training); `gemm` is for many candidates and no gradient (serving).

A kernel is passed as a function. Its name, the key of `KERNELS`, is for options and tables alone.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from torch import Tensor

from lrea_cli.kernels.folded import absolute_half, folded
from lrea_cli.kernels.gemm import gemm
from lrea_cli.kernels.naive import naive
from lrea_cli.kernels.weights import ScorerWeights, linear_half
from lrea_cli.recipe.settings import KERNEL_NAMES, KernelName

Kernel = Callable[[Tensor, Tensor, Tensor, ScorerWeights, Tensor | None], Tensor]

KERNELS: dict[KernelName, Kernel] = {
    name: getattr(import_module(f"lrea_cli.kernels.{name}"), name) for name in KERNEL_NAMES
}
SERVING_KERNELS: tuple[KernelName, ...] = tuple(name for name in KERNEL_NAMES if name != "folded")
"""What `serve-bench` times where no kernel is named: all but the one for training."""

__all__ = [
    "KERNELS",
    "SERVING_KERNELS",
    "Kernel",
    "KernelName",
    "ScorerWeights",
    "absolute_half",
    "folded",
    "gemm",
    "linear_half",
    "naive",
]
