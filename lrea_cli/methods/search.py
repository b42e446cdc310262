"""Top-k search: for every candidate the k behaviors that match best, and never one that is not there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Found:
    """The behaviors that a search chose.

    Args:
        index: (..., K) int64, places in the history; K = min(k, L).
        mask: (..., K) bool: False where fewer than K behaviors were there to choose.
    """

    index: Tensor
    mask: Tensor


def best(scores: Tensor, allowed: Tensor, k: int) -> Found:
    """The k highest scores; what is not allowed is masked with -inf, so no padding wins over a negative score.

    Args:
        scores: (..., L). allowed: (..., L) bool, broadcast.
    """
    masked = scores.masked_fill(~allowed, float("-inf"))
    top = masked.topk(min(k, masked.shape[-1]), -1)
    return Found(top.indices, top.values > float("-inf"))


def newest(allowed: Tensor, k: int) -> Found:
    """The k newest that are allowed.

    Args:
        allowed: (..., L) bool, newest first.
    """
    return best(-places(allowed).expand(allowed.shape), allowed, k)


def best_then_newest(scores: Tensor, allowed: Tensor, k: int) -> Found:
    """The k highest of whole-numbered scores, of equal ones the newest.

    Args:
        scores: (..., L), whole numbers of at most 2^23 / L, so that float32 holds scores * L - place exactly.
    """
    return best(scores * scores.shape[-1] - places(scores), allowed, k)


def places(like: Tensor) -> Tensor:
    """(L,) 0, 1, ..: how many behaviors are newer."""
    return torch.arange(like.shape[-1], device=like.device, dtype=torch.float32)


def gather(rows_BLD: Tensor, found: Found) -> Tensor:
    """(B, ..., K, D): the rows of the chosen behaviors, zero where none was found.

    Args:
        rows_BLD: of each history. found: index and mask (B, ..., K).
    """
    B, L, D = rows_BLD.shape
    first = torch.arange(B, device=rows_BLD.device).view(B, *[1] * (found.index.dim() - 1)) * L
    chosen = rows_BLD.flatten(0, 1).index_select(0, (found.index + first).flatten())
    return chosen.view(*found.index.shape, D) * found.mask[..., None]
