"""The absolute half of the attention and its gradient in C++, for float32 on a CPU; its slow twin is in `folded`.

    scores_nj = sum_h w_h |[k_j, 1] M_n|_h,   M_n = [W2 + diag(e_n) W3; e_n W1 + b],   w = g w_o

The C++ keeps hidden values in registers. The small products of the scores and their gradient are torch's.
"""

from __future__ import annotations

from ctypes import byref
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lrea_cli.kernels.native import abi
from lrea_cli.kernels.weights import SLOPE

G = (1 - SLOPE) / 2
"""phi(x) = a x + g |x|."""


def takes(*operands: Tensor) -> bool:
    """True if the library is there and the operands are plain float32 tensors on a CPU."""
    plain = all(type(o) in (Tensor, nn.Parameter) and o.dtype == torch.float32 for o in operands)
    return plain and all(o.device.type == "cpu" for o in operands) and abi.load().library is not None


class NativeAbsoluteHalf(torch.autograd.Function):
    """sum_j g |[k_j, 1] M_n| w_o v_j, computed on as many threads as torch uses, with the same bits for any number."""

    @staticmethod
    def forward(ctx: Any, candidates: Tensor, keys: Tensor, values: Tensor, *of_scorer: Tensor) -> Tensor:
        operands = Operands(candidates, keys, *of_scorer[:-1], G * of_scorer[-1])
        scores_BNR = operands.scores()
        ctx.save_for_backward(candidates, keys, values, *of_scorer, scores_BNR)
        return scores_BNR @ values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The C++ turns the gradient of the scores, d_interest v^T, into those of its operands."""
        (gradient_BND,) = grad_outputs
        candidates, keys, values, *of_scorer, scores_BNR = ctx.saved_tensors
        operands = Operands(candidates, keys, *of_scorer[:-1], G * of_scorer[-1])
        d_candidates, d_keys, *of_maps, d_w = operands.gradient(gradient_BND @ values.mT)
        return d_candidates, d_keys, scores_BNR.mT @ gradient_BND, *of_maps, G * d_w


class Operands:
    """What the C++ reads, all float32 on the CPU.

    Args:
        candidates: (B, N, D).
        keys: (B, R, D).
        of_scorer: W1, W2, W3 (D, H), b (H,) and w = g w_o (H,).
        mode: a key of `abi.MODES`.

    Raises:
        RuntimeError: of `scores` and `gradient`: there is no library, or the machine lacks the mode.
        MemoryError: of `scores` and `gradient`.
    """

    def __init__(self, candidates: Tensor, keys: Tensor, *of_scorer: Tensor, mode: str = "auto") -> None:
        self._tensors = [tensor.detach().contiguous() for tensor in (candidates, keys, *of_scorer)]
        (B, N, D), R, H = candidates.shape, keys.shape[1], len(of_scorer[-1])
        self._shape, self._mode = (B, N, R), abi.MODES[mode]
        self._attention = abi.CAttention(B, N, R, D, H, *(tensor.data_ptr() for tensor in self._tensors))

    def scores(self) -> Tensor:
        """sum_h w_h |[k_r, 1] M_n|_h, (B, N, R)."""
        scores_BNR = self._tensors[0].new_empty(self._shape)
        _call("lrea_attention_scores", byref(self._attention), self._mode, torch.get_num_threads(), scores_BNR)
        return scores_BNR

    def gradient(self, d_scores_BNR: Tensor) -> list[Tensor]:
        """The gradients of sum d_scores * scores, in the order of the operands."""
        results = [torch.empty_like(tensor) for tensor in self._tensors]
        pointers = abi.CGradient(*(tensor.data_ptr() for tensor in results))
        where = self._mode, torch.get_num_threads(), byref(pointers)
        _call("lrea_attention_backward", byref(self._attention), d_scores_BNR.contiguous(), *where)
        return results


def _call(name: str, *arguments: Any) -> None:
    """Call a function of the library; a tensor stands for the address of its numbers."""
    library, reason = abi.load()
    if library is None:
        raise RuntimeError(f"There is no native training kernel: {reason}")
    status = getattr(library, name)(*(a.data_ptr() if isinstance(a, Tensor) else a for a in arguments))
    if status == abi.NO_MEMORY:
        raise MemoryError("There is not enough memory for the attention.")
    if status != abi.OK:
        raise RuntimeError("The machine lacks the instructions of this mode.")
