"""phi(x M^T + c) for many rows x at once: the product and the activation in which serving spends its time.

oneDNN does both in one pass over float32 on a CPU, and uses AVX-512 on every CPU that has it; the BLAS of torch (MKL)
leaves it unused on AMD and takes twice as long there. Other dtypes and devices go through BLAS.
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
    """phi(x_bm M_b^T + c_b), where phi(y) = y for y > 0, else slope * y; a slope of -1 makes it |y|. Has no gradient.

    Args:
        rows: (B, M, K).
        maps: (B, C, K).
        offsets: (B, C).
        slope: of phi below zero.
        out: (B, M, C) where the result may go; it may also be new memory.

    Returns:
        (B, M, C).
    """
    operator = onednn_for(rows)
    if operator and len(rows) == 1:
        return operator(rows[0], maps[0], offsets[0], "leaky_relu", [slope], "")[None]
    hidden = torch.baddbmm(offsets[:, None], rows, maps.mT, out=out)
    return hidden.abs_() if slope == -1 else leaky_relu_(hidden, slope)


def onednn_for(rows: Tensor) -> Callable[..., Tensor] | None:
    """oneDNN's operator where it takes such rows, those of one request at a time; else None."""
    return ONEDNN if rows.dtype == torch.float32 and rows.device.type == "cpu" else None


def _operator_of_torch() -> Callable[..., Tensor] | None:
    operator = getattr(getattr(torch.ops.mkldnn, "_linear_pointwise", None), "default", None)
    known = torch.backends.mkldnn.is_available() and str(getattr(operator, "_schema", "")) == SIGNATURE
    return operator if known else None


ONEDNN = _operator_of_torch()
