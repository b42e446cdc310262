"""The absolute half of the attention and its gradient in C++, for float32 on a CPU; its slow twin is in `folded`.

    scores_nj = sum_h g w_o |[k_j, 1] M_n|_h,   M_n = [W2 + diag(e_n) W3; e_n W1 + b]

The C++ keeps hidden values in registers. The scores and the small products with values and gradients are torch's.
"""

from __future__ import annotations

from ctypes import byref
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lrea_cli.kernels.native import abi
from lrea_cli.kernels.weights import SLOPE


def takes(*operands: Tensor) -> bool:
    """True if the library is there and the operands are plain float32 tensors on a CPU."""
    plain = all(type(o) in (Tensor, torch.nn.Parameter) and o.dtype == torch.float32 for o in operands)
    return plain and all(o.device.type == "cpu" for o in operands) and abi.load().library is not None


class NativeAbsoluteHalf(torch.autograd.Function):
    """sum_j g |[k_j, 1] M_n| w_o v_j, computed on as many threads as torch uses, with the same bits for any number."""

    @staticmethod
    def forward(ctx: Any, candidates: Tensor, keys: Tensor, values: Tensor, *of_scorer: Tensor) -> Tensor:
        operands = _Operands(candidates, keys, *of_scorer)
        scores_BNR = operands.scores()
        ctx.save_for_backward(candidates, keys, values, *of_scorer, scores_BNR)
        return scores_BNR @ values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        (gradient_BND,) = grad_outputs
        candidates, keys, values, *of_scorer, scores_BNR = ctx.saved_tensors
        d_candidates, d_keys, *of_weights = _Operands(candidates, keys, *of_scorer).gradient(gradient_BND @ values.mT)
        return d_candidates, d_keys, scores_BNR.mT @ gradient_BND, *of_weights


class _Operands:
    """Candidates (B, N, D), keys (B, R, D) and the scorer's weights, in the order of `ScorerWeights`, for C++.

    Args:
        mode: a key of `abi.MODES`.
    """

    def __init__(self, candidates: Tensor, keys: Tensor, *of_scorer: Tensor, mode: str = "auto") -> None:
        g_w_o = (1 - SLOPE) / 2 * of_scorer[-1]
        self._tensors = [t.detach().contiguous() for t in (candidates, keys, *of_scorer[:-1], g_w_o)]
        (B, N, D), R, H = candidates.shape, keys.shape[1], len(g_w_o)
        self._shape, self._mode = (B, N, R), abi.MODES[mode]
        self._attention = abi.CAttention(B, N, R, D, H, *(t.data_ptr() for t in self._tensors))

    def scores(self) -> Tensor:
        """(B, N, R)."""
        scores_BNR = self._tensors[0].new_empty(self._shape)
        _call("lrea_attention_scores", byref(self._attention), self._mode, torch.get_num_threads(), scores_BNR)
        return scores_BNR

    def gradient(self, d_scores_BNR: Tensor) -> tuple[Tensor, ...]:
        """The gradients of all operands, in their order."""
        results = [torch.empty_like(t) for t in self._tensors]
        pointers = abi.CGradient(*(t.data_ptr() for t in results))
        where = self._mode, torch.get_num_threads(), byref(pointers)
        _call("lrea_attention_backward", byref(self._attention), d_scores_BNR.contiguous(), *where)
        return *results[:-1], (1 - SLOPE) / 2 * results[-1]


def _call(name: str, *arguments: Any) -> None:
    """Call a function of the library with the addresses of tensors in their places.

    Raises:
        MemoryError: there is not enough memory.
        RuntimeError: there is no library, or the machine lacks the mode.
    """
    library, reason = abi.load()
    if library is None:
        raise RuntimeError(f"There is no native training kernel: {reason}")
    status = getattr(library, name)(*(a.data_ptr() if isinstance(a, Tensor) else a for a in arguments))
    if status == abi.NO_MEMORY:
        raise MemoryError("There is not enough memory for the attention.")
    if status != abi.OK:
        raise RuntimeError("The machine lacks the instructions of this mode.")
