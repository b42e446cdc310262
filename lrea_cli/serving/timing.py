"""Closed loops of requests, timed: one alone, or several that take turns, so that all see the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import torch

from lrea_cli.progress import Progress, ignore
from lrea_cli.serving.percentiles import requests_needed

WARM_UP = 5
LEAST_REQUESTS = 10
ENOUGH_REQUESTS = requests_needed(99)
TURN = 5
"""Requests of one loop before the next one's."""

Calls = Iterator[Callable[[], object]]
"""One call a request, for ever."""


def measure(calls: Calls, seconds: float, device: torch.device) -> list[float]:
    """Latencies in ms of one loop: see `measure_in_turns`."""
    return measure_in_turns([calls], seconds, device)[0]


def measure_in_turns(
    loops: Sequence[Calls], seconds: float, device: torch.device, progress: Progress = ignore
) -> list[list[float]]:
    """Latencies in ms of each loop, warm-up left out; on a GPU by events, after synchronizing.

    Loops take turns of `TURN` requests, A B C A B C .., so a machine that grows slower does so for all of them.

    Args:
        seconds: of each loop: it ends when p99 is backed, or when its own requests have taken so long.
        progress: told of each loop that ends.
    """
    for calls in loops:
        for _ in range(WARM_UP):
            next(calls)()
    timed = _timed_on_gpu if device.type == "cuda" else _timed
    found: list[list[float]] = [[] for _ in loops]
    taken = [0.0] * len(loops)

    def ended(loop: int) -> bool:
        have = len(found[loop])
        return have >= ENOUGH_REQUESTS or (have >= LEAST_REQUESTS and taken[loop] >= seconds)

    going = list(range(len(loops)))
    while going:
        for loop in going:
            for _ in range(TURN):
                if ended(loop):
                    break
                started = time.perf_counter()
                found[loop].append(timed(next(loops[loop])))
                taken[loop] += time.perf_counter() - started
        still = [loop for loop in going if not ended(loop)]
        progress(len(going) - len(still))
        going = still
    return found


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - started) / 1e6


def _timed_on_gpu(call: Callable[[], object]) -> float:
    before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    before.record()
    call()
    after.record()
    torch.cuda.synchronize()
    return before.elapsed_time(after)
