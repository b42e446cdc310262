"""A matrix product whose bits do not depend on the shape of a batch, for records that must equal those made anew.

BLAS sums in an order that the shapes decide. Here every sum is exact, so its order cannot matter.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

MANTISSA = 53
"""Bits of a whole number that float64 holds."""


def exact_product(rows: Tensor, columns: Tensor) -> Tensor:
    """rows @ columns, of numbers that are rounded first, so far that float64 adds their products without an error.

    Each row and each column becomes whole numbers of b bits times a power of two, b = (53 - log2 D) / 2 rounded down:
    24 bits for D = 32, relative to the largest entry of the row or column.

    Args:
        rows: (.., D) float64.
        columns: (D, R) float64.

    Returns:
        (.., R) float64.
    """
    bits = (MANTISSA - math.ceil(math.log2(rows.shape[-1]))) // 2
    (left, left_unit), (right, right_unit) = _whole(rows, -1, bits), _whole(columns, 0, bits)
    return (left @ right) * left_unit * right_unit


def _whole(numbers: Tensor, axis: int, bits: int) -> tuple[Tensor, Tensor]:
    """Whole numbers of at most 2^bits, and the unit of each row or column: a power of two."""
    exponent = torch.frexp(numbers.abs().amax(axis, keepdim=True)).exponent - bits
    unit = torch.ldexp(torch.ones_like(exponent, dtype=numbers.dtype), exponent)
    return (numbers / unit).round(), unit
