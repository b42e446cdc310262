"""phi(x M^T + c) for many rows x at once: the product and the activation that take most of the time of serving.

For float32 on a CPU, oneDNN does both in one pass and uses AVX-512 on every CPU that has it. The BLAS of torch (MKL)
does not use AVX-512 on AMD and takes twice as long there. Other dtypes and devices go through BLAS.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu_

SIGNATURE = (
    "mkldnn::_linear_pointwise(Tensor X, Tensor W, Tensor? B, str attr, Scalar?[] scalars, str? algorithm) -> Tensor Y"
)
"""Of the operator that torch's compiler emits for this. It is not public: with another signature it is not called."""


def leaky_affine(rows: Tensor, maps: Tensor, offsets: Tensor, slope: float, out: Tensor | None = None) -> Tensor:
    """phi(x_bm M_b^T + c_b) (B, M, C), where phi(y) = y for y > 0, else slope * y. Has no gradient.

    Args:
        rows: x (B, M, K).
        maps: M (B, C, K).
        offsets: c (B, C).
        slope: slope of phi below zero; -1 makes phi(y) = |y|.
        out: (B, M, C) memory that the result may use; it may also be new memory.
    """
    operator = onednn_for(rows)
    if operator and len(rows) == 1:
        return operator(rows[0], maps[0], offsets[0], "leaky_relu", [slope], "")[None]
    hidden = torch.baddbmm(offsets[:, None], rows, maps.mT, out=out)
    return hidden.abs_() if slope == -1 else leaky_relu_(hidden, slope)


def onednn_for(rows: Tensor) -> Callable[..., Tensor] | None:
    """oneDNN's operator if it takes such rows, of one request at a time; else None."""
    return ONEDNN if rows.dtype == torch.float32 and rows.device.type == "cpu" else None


def _operator_of_torch() -> Callable[..., Tensor] | None:
    operator = getattr(getattr(torch.ops.mkldnn, "_linear_pointwise", None), "default", None)
    known = torch.backends.mkldnn.is_available() and str(getattr(operator, "_schema", "")) == SIGNATURE
    return operator if known else None


ONEDNN = _operator_of_torch()
