"""Kernels of DIN attention; all compute the same function of the same arguments.

    interest_n = sum_j s(e_n, k_j) v_j,   s(e, k) = phi(e W1 + k W2 + (e * k) W3 + b) w_o

Rows past a record's end have zero values, so they add nothing and no mask is needed.
`naive` is the usual form and the slow twin of the others. `folded` has a gradient, and is for training: few candidates
and many keys. `gemm` has no gradient, and is for serving: many candidates. `fused` is for serving on a card: many users
in one launch.

Code passes kernels as functions; their names in `KERNELS` are for options and tables alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType

import torch
from torch import Tensor

from lrea_cli.kernels.folded import folded
from lrea_cli.kernels.fused import fused
from lrea_cli.kernels.gemm import gemm
from lrea_cli.kernels.naive import naive
from lrea_cli.kernels.weights import ScorerWeights
from lrea_cli.recipe.settings import KERNEL_NAMES, KernelName

Kernel = Callable[[Tensor, Tensor, Tensor, ScorerWeights, Tensor | None], Tensor]
"""(candidates (B, N, D), keys (B, R, D), values (B, R, D), the scorer's weights, linear) -> interest (B, N, D).

linear (B, D + 1, D) = [A; a0] is the linear half of a sealed summary (see `weights.linear_half`): of its rows, or, if a
compressor made the rows, of the whole history. If it is None, the kernel computes it from the rows.
"""

_MODULES: dict[KernelName, ModuleType] = {name: import_module(f"lrea_cli.kernels.{name}") for name in KERNEL_NAMES}
KERNELS: dict[KernelName, Kernel] = {name: getattr(module, name) for name, module in _MODULES.items()}
SERVING_KERNELS: tuple[KernelName, ...] = tuple(name for name in KERNEL_NAMES if name != "folded")
"""The kernels for serving: all but the one for training."""


def why_not(name: KernelName, device: torch.device | str) -> str | None:
    """Why a kernel does not run on a device: what `why_not` of its file says, if there is one. None = it runs."""
    ask: Callable[[torch.device], str | None] | None = getattr(_MODULES[name], "why_not", None)
    return None if ask is None else ask(torch.device(device))


def serving_kernels(device: torch.device | str) -> tuple[KernelName, ...]:
    """The kernels for serving that run on a device: what `serve-bench` times unless the user names one."""
    return tuple(name for name in SERVING_KERNELS if why_not(name, device) is None)


def in_place(kernel: Kernel) -> Callable[..., Tensor] | None:
    """`attend_at` of a kernel's file: the kernel over the records of all users, some of whom are asked for; or None."""
    return getattr(sys.modules[kernel.__module__], "attend_at", None)


__all__ = [
    "KERNELS",
    "SERVING_KERNELS",
    "Kernel",
    "KernelName",
    "ScorerWeights",
    "folded",
    "fused",
    "gemm",
    "in_place",
    "naive",
    "serving_kernels",
    "why_not",
]
