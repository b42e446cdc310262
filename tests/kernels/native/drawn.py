"""Operands of the native training kernel, and its slow twin: autograd of the formula in float64."""

from __future__ import annotations

import torch
from torch import Tensor

from lrea_cli.kernels.native import abi

MODES = [mode for mode in abi.MODES if abi.path_of(mode)]
"""Those that this machine has."""
NAMES = ["e", "k", "W1", "W2", "W3", "b", "w"]

Shape = tuple[int, int, int, int, int]
"""B, N, R, D, H."""

SHAPES: list[Shape] = [
    (1, 1, 1, 1, 1),
    (2, 3, 0, 4, 5),
    (3, 1, 5, 7, 3),
    (2, 9, 65, 4, 6),
    (1, 2, 129, 3, 64),
    (2, 70, 49, 16, 8),  # candidates of two pieces of work
    (70, 2, 13, 33, 17),  # three requests in a part
    (3, 2, 500, 32, 64),
    (2, 2, 100, 48, 150),  # three blocks of hidden units
    (2, 2, 96, 17, 80),
]


def shapes_of(B: int, N: int, R: int, D: int, H: int) -> list[tuple[int, ...]]:
    """Of the operands, in the order of `NAMES`."""
    return [(B, N, D), (B, R, D), (D, H), (D, H), (D, H), (H,), (H,)]


def draw_integers(shape: Shape, seed: int) -> tuple[list[Tensor], Tensor]:
    """Operands and d_scores (B, N, R) of -2 .. 2: all sums are exact in float32, and many hidden values are 0."""
    generator = torch.Generator().manual_seed(seed)
    B, N, R, _, _ = shape
    wanted = [*shapes_of(*shape), (B, N, R)]
    *operands, d_scores = (torch.randint(-2, 3, s, generator=generator).float() for s in wanted)
    return operands, d_scores


def in_float64(operands: list[Tensor], d_scores: Tensor) -> tuple[Tensor, list[Tensor]]:
    """scores (B, N, R) and the gradients of sum d_scores * scores, in the order of `NAMES`."""
    e, k, W1, W2, W3, b, w = exact = [operand.double().requires_grad_() for operand in operands]
    products_BNRD = e[:, :, None] * k[:, None]
    hidden_BNRH = (e @ W1)[:, :, None] + (k @ W2)[:, None] + products_BNRD @ W3 + b
    scores = hidden_BNRH.abs() @ w
    return scores.detach(), list(torch.autograd.grad((scores * d_scores).sum(), exact))
