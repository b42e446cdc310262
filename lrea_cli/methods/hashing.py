"""SimHash (Charikar 2002): the signs of random projections, of which vectors at a small angle share most.

Signs are computed in float64 offline and online: in float32 a projection near zero could change its sign.
"""

from __future__ import annotations

import torch
from torch import Tensor

BYTE = 8


def sign_bits(vectors: Tensor, planes: Tensor) -> Tensor:
    """(..., m) bool: on which side of each plane a vector lies.

    Args:
        vectors: (..., D).
        planes: (D, m) normals of the planes.
    """
    return (vectors.detach().double() @ planes.double()) > 0


def packed(bits: Tensor) -> Tensor:
    """(..., ceil(m / 8)) uint8 from bits (..., m): the first bit is the lowest of the first byte; bits past m are 0."""
    missing = -bits.shape[-1] % BYTE
    by_byte = torch.nn.functional.pad(bits, (0, missing)).unflatten(-1, (-1, BYTE))
    return (by_byte.to(torch.uint8) << _powers(bits.device)).sum(-1, dtype=torch.uint8)


def unpacked(codes: Tensor) -> Tensor:
    """(..., 8 W) bool from codes (..., W) uint8, the inverse of `packed`."""
    return ((codes[..., None] >> _powers(codes.device)) & 1).bool().flatten(-2)


def agreements(a_BNM: Tensor, b_BLM: Tensor) -> Tensor:
    """(B, N, L) float32: equal bits minus different ones, m - 2 Hamming distance, as one matrix product."""
    signs_BNM, signs_BLM = (bits.float() * 2 - 1 for bits in (a_BNM, b_BLM))
    return signs_BNM @ signs_BLM.transpose(1, 2)


def buckets(bits: Tensor, tau: int) -> Tensor:
    """(..., m / tau) int64 below 2^tau: each tau bits of (..., m) as one number, the first bit the lowest."""
    powers = 2 ** torch.arange(tau, device=bits.device)
    return (bits.unflatten(-1, (-1, tau)) * powers).sum(-1)


def _powers(device: torch.device) -> Tensor:
    return torch.arange(BYTE, dtype=torch.uint8, device=device)
