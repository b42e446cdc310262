"""Times of several calls that serve the same requests: they take turns, so all see the same machine and users."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lrea_cli.bench.machine import Load, Meter
from lrea_cli.console.progress import Progress, ignore
from lrea_cli.stats.latencies import requests_needed

WARM_UP = 5
"""Requests of each call before the first turn, not timed."""
TURN = 2
"""Requests of one call before the next one's; one more before them is not timed: it pays for what others left behind.

Short, so that a machine that changes meanwhile does so for all calls: with fits of .1 to 3 s, ratios spread half as
much as with turns of 5 (docs/log.md)."""
LEAST_ROUNDS = 10
LEAST_ROUNDS_WITHHELD = 5
"""Where the machine is too busy for a ratio: more of them would not help."""
ENOUGH_ROUNDS = math.ceil(requests_needed(99) / TURN)
PERCENT = 100

Mark = Callable[[], None]
Call = Callable[[int, Mark], None]
"""Serves request number n, from 0 on: marks its beginning and the end of each of its steps."""


@dataclass(frozen=True)
class Timings:
    """What `take_turns` has seen; request i is the same one in each call."""

    marks_ms: np.ndarray
    """(calls, requests, marks), since the beginning of the request."""
    load: Load

    @property
    def rounds(self) -> np.ndarray:
        """(requests,) number of the round that each request was timed in: all calls served it within that round."""
        return np.arange(self.marks_ms.shape[1]) // TURN

    def between(self, call: int, begin: int, end: int) -> np.ndarray:
        """(requests,) ms of one call from one mark to another."""
        return self.marks_ms[call, :, end] - self.marks_ms[call, :, begin]


def take_turns(
    calls: Sequence[Call], seconds: float, seed: int, device: torch.device, progress: Progress = ignore
) -> Timings:
    """Time all calls on requests 0, 1, 2, ..; on a GPU by events, after synchronizing.

    In every round each call serves the next `TURN` requests; who begins is drawn anew for each round. The last round is
    the one that backs p99, or in which the time is up.

    Args:
        seconds: of each call, the mean; what is not timed counts.
        seed: of the order within the rounds.
        progress: told of each hundredth of the work.
    """
    clock = _gpu_clock if device.type == "cuda" else _clock
    rng = np.random.default_rng(seed)
    for call in calls:
        for number in range(WARM_UP):
            clock(call, number)
    rounds: list[np.ndarray] = []
    meter, started, shown = Meter(torch.get_num_threads()), time.perf_counter(), 0

    def taken() -> float:
        return (time.perf_counter() - started) / (seconds * len(calls))

    while not _enough(len(rounds), taken(), meter):
        rounds.append(_round(calls, len(rounds) * TURN, rng.permutation(len(calls)), clock, meter))
        by_time = min(taken(), len(rounds) / LEAST_ROUNDS)
        done = int(PERCENT * min(1.0, max(len(rounds) / ENOUGH_ROUNDS, by_time)))
        progress(done - shown)
        shown = done
    return Timings(np.concatenate(rounds, 1), meter.read())


def _enough(rounds: int, taken: float, meter: Meter) -> bool:
    """Whether to end after so many rounds and this share of the time."""
    if rounds >= ENOUGH_ROUNDS or (rounds >= LEAST_ROUNDS and taken >= 1):
        return True
    if rounds < LEAST_ROUNDS_WITHHELD or taken < 1:
        return False
    return meter.read().reason_to_withhold is not None


Clock = Callable[[Call, int], list[float]]


def _round(calls: Sequence[Call], first: int, order: np.ndarray, clock: Clock, meter: Meter) -> np.ndarray:
    """(calls, TURN, marks) ms of the requests from `first` on."""
    times: list[list[list[float]]] = [[] for _ in calls]
    for n in order:
        clock(calls[n], max(0, first - 1))
        with meter.turn():
            times[n] = [clock(calls[n], number) for number in range(first, first + TURN)]
    return np.array(times)


def _clock(call: Call, number: int) -> list[float]:
    stamps: list[int] = []
    call(number, lambda: stamps.append(time.perf_counter_ns()))
    return [(stamp - stamps[0]) / 1e6 for stamp in stamps]


def _gpu_clock(call: Call, number: int) -> list[float]:
    events: list[torch.cuda.Event] = []

    def mark() -> None:
        events.append(torch.cuda.Event(enable_timing=True))
        events[-1].record()

    torch.cuda.synchronize()
    call(number, mark)
    torch.cuda.synchronize()
    return [events[0].elapsed_time(event) for event in events]
