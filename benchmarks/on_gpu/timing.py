"""Times by CUDA events: contenders take turns, inputs rotate beyond the L2 cache, nothing is thrown away."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from on_gpu.rows import Timed, described

Call = Callable[[], object]
T = TypeVar("T")
R = TypeVar("R")

TURN = 4
"""Calls of one contender before the next one's: A B A B .., so a clock that falls does so for all."""

LEAST_SAMPLES, MOST_SAMPLES = 24, 80
WARM_UP = 2
COMPILERS = 12
"""Threads that compile at once."""

CARDS = {"cuda"}
"""Kinds of device with events, graphs and memory of their own."""


@dataclass(frozen=True)
class Contender:
    """One way to compute a cell.

    Args:
        name: of it. calls: the same work on different inputs, taken in turn.
    """

    name: str
    calls: Sequence[Call]


@dataclass(frozen=True)
class NotTimed:
    """Why a contender has no time."""

    status: str
    note: str


def in_turns(
    contenders: Sequence[Contender],
    device: torch.device,
    seconds: float,
    wall: bool = False,
    least: int | None = None,
) -> dict[str, Timed | NotTimed]:
    """Time contenders in turns.

    Args:
        seconds: for all; a contender of which `LEAST_SAMPLES` do not fit in is skipped, the slowest first.
        wall: clock time from before the call until the device has ended, in place of the device's own.
        least: samples of each; None = `LEAST_SAMPLES`, and more where the time suffices.
    """
    fewest, most = (LEAST_SAMPLES, MOST_SAMPLES) if least is None else (least, least)
    found: dict[str, Timed | NotTimed] = {}
    cost: dict[str, float] = {}
    for contender in contenders:
        try:
            cost[contender.name] = _warm(contender, device)
        except Exception as error:
            found[contender.name] = NotTimed("error", described(error))
            release(device)
    while cost and fewest * sum(cost.values()) > seconds:
        slowest = max(cost, key=lambda name: cost[name])
        needed = fewest * cost.pop(slowest)
        found[slowest] = NotTimed("skipped", f"{fewest} calls would take {needed:.1f} of {seconds:.1f} s left")
    going = [c for c in contenders if c.name in cost]
    samples = int(min(most, max(fewest, 0.5 * seconds / max(sum(cost.values()), 1e-9))))
    times: dict[str, list[float]] = {c.name: [] for c in going}
    for turn in range(-(-samples // TURN)):
        for contender in [c for c in going if c.name not in found]:
            part = [contender.calls[(turn * TURN + i) % len(contender.calls)] for i in range(TURN)]
            try:
                times[contender.name] += (_wall if wall else _device)(part, device)
            except Exception as error:
                found[contender.name] = NotTimed("error", described(error))
                release(device)
    timed = {name: _timed(values) for name, values in times.items() if name not in found}
    return {c.name: {**found, **timed}[c.name] for c in contenders}


def captured(call: Call, device: torch.device) -> tuple[Call, object]:
    """A CUDA graph of a call.

    A call that waits for the device is refused before anything is captured: a capture that fails leaves torch's random
    numbers unusable for the rest of the process.

    Returns:
        what replays it, and the result that each replay fills.

    Raises:
        RuntimeError: the call waits for the device, or cannot be captured.
    """
    if not is_card(device):
        raise RuntimeError("there are no CUDA graphs on this device")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        call()
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            call()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = call()
    return graph.replay, result


def at_once(work: Callable[[T], R], items: Sequence[T], device: torch.device) -> list[R]:
    """The result for each item; on a card several threads work, since Triton compiles what it has not met.

    The first item is alone: it loads the driver.
    """
    if not is_card(device) or device.type != "cuda":
        return [work(item) for item in items]

    def prepare() -> None:
        torch.cuda.set_device(device.index or 0)

    with ThreadPoolExecutor(COMPILERS, initializer=prepare) as pool:
        return [*map(work, items[:1]), *pool.map(work, items[1:])]


def is_card(device: torch.device) -> bool:
    """Whether work on the device is launched, and ends later."""
    return device.type in CARDS


def release(device: torch.device) -> None:
    """Give memory that nothing uses back to the device."""
    if is_card(device):
        torch.cuda.empty_cache()


def synchronize(device: torch.device) -> None:
    """Wait until the device has ended."""
    if is_card(device):
        torch.cuda.synchronize()


def _warm(contender: Contender, device: torch.device) -> float:
    """Seconds of one call, after others."""
    for number in range(WARM_UP):
        contender.calls[number % len(contender.calls)]()
    synchronize(device)
    started = time.perf_counter()
    contender.calls[-1]()
    synchronize(device)
    return time.perf_counter() - started


def _device(calls: Sequence[Call], device: torch.device) -> list[float]:
    """Microseconds of each call between two events."""
    if not is_card(device):
        return _wall(calls, device)
    pairs = []
    for call in calls:
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        before.record()
        call()
        after.record()
        pairs.append((before, after))
    torch.cuda.synchronize()
    return [1e3 * before.elapsed_time(after) for before, after in pairs]


def _wall(calls: Sequence[Call], device: torch.device) -> list[float]:
    times = []
    for call in calls:
        synchronize(device)
        started = time.perf_counter()
        call()
        synchronize(device)
        times.append(1e6 * (time.perf_counter() - started))
    return times


def _timed(values: Sequence[float]) -> Timed:
    low, median, high = np.quantile(values, [0.1, 0.5, 0.9])
    return Timed(float(median), float(low), float(high), len(values))
