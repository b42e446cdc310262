"""Runs `benchmarks/gpu.py` on a device that is not there: what the card would be asked is answered by the CPU.

A replayed CUDA graph does nothing here, so the cells of graphs have a wrong result, and say so.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from types import SimpleNamespace

import gpu
import torch
from on_gpu import exact, timing

from tests.pretend_device import NAME, dense_embeddings, pretending


class Event:
    """The clock of the CPU."""

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        self.seconds = time.perf_counter()

    def elapsed_time(self, later: Event) -> float:
        return 1e3 * (later.seconds - self.seconds)


class Stream:
    """Waits for nothing."""

    def wait_stream(self, other: Stream) -> None:
        assert isinstance(other, Stream)


class Graph:
    """Replays nothing."""

    def replay(self) -> None:
        pass


@contextmanager
def block(value: object):
    yield value


CUDA = {
    "Event": Event,
    "Stream": Stream,
    "CUDAGraph": Graph,
    "stream": block,
    "graph": block,
    "current_stream": Stream,
    "is_available": lambda: True,
    "set_device": lambda device: None,
    "synchronize": lambda: None,
    "empty_cache": lambda: None,
    "set_sync_debug_mode": lambda mode: None,
    "memory_allocated": lambda: 1_000_000,
    "max_memory_allocated": lambda: 3_000_000,
    "reset_peak_memory_stats": lambda: None,
    "get_device_properties": lambda device: SimpleNamespace(
        name="a card that is not there", multi_processor_count=1, total_memory=10**9, L2_cache_size=1 << 14
    ),
}


def main() -> int:
    os.environ.pop("TRITON_INTERPRET", None)  # its tensors are no memory that Triton could read
    timing.CARDS.add(NAME)
    timing.LEAST_SAMPLES = timing.MOST_SAMPLES = timing.TURN = 1
    exact.POISON_MB = 1
    for name, value in CUDA.items():
        setattr(torch.cuda, name, value)
    with pretending() as device, dense_embeddings():
        return gpu.main(["--device", str(device), "--smoke", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
