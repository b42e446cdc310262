"""Rows of numbers as int8 with one scale a row: a quarter of float32's bytes.

    row ~ scale * numbers,   scale = max |row| / 127 in float16,   numbers = round(row / scale)

The error of a number is at most scale / 2. A row that was read is written as the same bytes again.
"""

from __future__ import annotations

import torch
from torch import Tensor

HIGHEST = 127
LEAST_SCALE = 2.0**-14
"""Float16 has fewer digits below; so numbers smaller than half of it become 0."""


def rounded_to(dtype: str, numbers: Tensor) -> Tensor:
    """Numbers as a dtype keeps them, by way of float32; float32 of what int8 keeps."""
    if dtype == "int8":
        return dequantized(*quantized(numbers))
    return numbers.float().to(getattr(torch, dtype))


def quantized(rows: Tensor) -> tuple[Tensor, Tensor]:
    """int8 numbers (.., D) and float16 scales (..) of rows (.., D); the scale is infinite where a row does not fit."""
    rows = rows.float()
    scales = (rows.abs().amax(-1) / HIGHEST).clamp(min=LEAST_SCALE).half()
    numbers = (rows / scales.float()[..., None]).round().clamp(-HIGHEST, HIGHEST)
    return numbers.nan_to_num().to(torch.int8), scales


def dequantized(numbers: Tensor, scales: Tensor) -> Tensor:
    """float32 rows (.., D)."""
    return numbers.float() * scales.float()[..., None]
