"""Kernels of DIN attention; all compute the same function of the same arguments.

    interest_n = sum_j s(e_n, k_j) v_j,   s(e, k) = phi(e W1 + k W2 + (e * k) W3 + b) w_o

Rows past a record's end have zero values, so they add nothing and no mask is needed.
`naive` is the usual form and the slow twin of the others. `folded` has a gradient, and is for training: few candidates
and many keys. `gemm` has no gradient, and is for serving: many candidates.

Code passes kernels as functions; their names in `KERNELS` are for options and tables alone.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from torch import Tensor

from lrea_cli.kernels.folded import folded
from lrea_cli.kernels.gemm import gemm
from lrea_cli.kernels.naive import naive
from lrea_cli.kernels.weights import ScorerWeights
from lrea_cli.recipe.settings import KERNEL_NAMES, KernelName

Kernel = Callable[[Tensor, Tensor, Tensor, ScorerWeights, Tensor | None], Tensor]
"""(candidates (B, N, D), keys (B, R, D), values (B, R, D), the scorer's weights, linear) -> interest (B, N, D).

linear (B, D + 1, D) = [A; a0] is the linear half of a sealed summary (see `weights.linear_half`): of its rows, or, if a
compressor made the rows, of the whole history. If it is None, the kernel computes it from the rows.
"""

KERNELS: dict[KernelName, Kernel] = {
    name: getattr(import_module(f"lrea_cli.kernels.{name}"), name) for name in KERNEL_NAMES
}
SERVING_KERNELS: tuple[KernelName, ...] = tuple(name for name in KERNEL_NAMES if name != "folded")
"""The kernels that `serve-bench` times unless the user names some: all but the one for training."""

__all__ = ["KERNELS", "SERVING_KERNELS", "Kernel", "KernelName", "ScorerWeights", "folded", "gemm", "naive"]
