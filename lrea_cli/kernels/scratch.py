"""Memory that a thread uses again at each call: fresh intermediates cost a page fault for every 4 kB of them."""

from __future__ import annotations

import math
import threading

import torch
from torch import Tensor


class Scratch(threading.local):
    """One growing piece of memory for each name and dtype, of each thread that asks for it.

    What `take` gives is valid until the same thread takes the same name again: a result must never be part of it.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, torch.dtype], Tensor] = {}

    def take(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Uninitialized memory of `like`'s dtype and device; on a GPU always new, as torch keeps it by stream there."""
        if like.device.type != "cpu":
            return like.new_empty(shape)
        numbers, key = math.prod(shape), (name, like.dtype)
        kept = self._kept.get(key)
        if kept is None or kept.numel() < numbers:
            with torch.inference_mode(False):  # or it could be written in inference mode alone
                kept = self._kept[key] = torch.empty(numbers, dtype=like.dtype)
        return kept[:numbers].view(shape)
