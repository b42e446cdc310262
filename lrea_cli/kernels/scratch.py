"""Memory that a thread reuses in each call: new memory costs a page fault for every 4 kB."""

from __future__ import annotations

import math
import threading

import torch
from torch import Tensor


class Scratch(threading.local):
    """Keeps one growing piece of memory for each thread, name and dtype.

    A tensor from `take` is valid until the same thread takes the same name again, so a result must never be part of it.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, torch.dtype], Tensor] = {}

    def take(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Uninitialized memory of `like`'s dtype and device; on a GPU always new, since torch reuses it by stream."""
        if like.device.type != "cpu":
            return like.new_empty(shape)
        numbers, key = math.prod(shape), (name, like.dtype)
        kept = self._kept.get(key)
        if kept is None or kept.numel() < numbers:
            with torch.inference_mode(False):  # a tensor made in inference mode could be written only there
                kept = self._kept[key] = torch.empty(numbers, dtype=like.dtype)
        return kept[:numbers].view(shape)
