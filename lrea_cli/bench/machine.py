"""The machine that times are taken on: its name, what this process got of the CPU meanwhile, and what others took."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lrea_cli.console.counts import counted

if TYPE_CHECKING:
    import torch

LIMIT = 0.1
"""Of the CPU that is missing or contended, before no ratio is given: with a busy loop beside it .3 to .5 is missing."""
WORST = 0.1
"""Share of the turns that the worst ones are."""
LEAST_SECONDS = 1.0
"""`/proc/stat` counts in ticks of 10 ms: over less it says too little of other processes."""

PROC_STAT = Path("/proc/stat")
IDLE = (3, 4)
"""idle and iowait, among a CPU's first eight counters; what a hypervisor steals counts as taken by others."""


@dataclass(frozen=True)
class Machine:
    """What times are taken on."""

    cpu: str
    threads: int
    device: str

    @classmethod
    def of(cls, device: torch.device) -> Machine:
        """This machine, with the threads that torch computes with."""
        import torch  # some need the name of the processor alone

        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
        return cls(cpu_name(), torch.get_num_threads(), name)

    def __str__(self) -> str:
        return f"{self.cpu}, {counted(self.threads, 'thread')}, {self.device}"


def cpu_name() -> str:
    """The processor, as the system names it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@dataclass(frozen=True)
class Load:
    """The CPU while times were taken, between the first turn and the last.

    Args:
        share: CPU time of the thread that serves over the wall clock, all turns together: .98 or more where nothing
            else runs, as it computes or spins until its helpers are done.
        share_worst: the same of the turn that nine of ten are better than.
        others: CPUs that other processes kept busy, the mean; None where the system does not say.
        cpus: that this process may use.
        threads: that it computes with.
    """

    share: float
    share_worst: float
    others: float | None
    cpus: int
    threads: int

    @property
    def contended(self) -> float:
        """See `contention`."""
        return contention(self.others, self.cpus, self.threads)

    @property
    def reason_to_withhold(self) -> str | None:
        """Why no ratio of times should be given; None where the machine was free enough."""
        if 1 - self.share > LIMIT:
            return f"{1 - self.share:.0%} of the time the thread that serves had no CPU (limit {LIMIT:.0%})"
        return reason_contended(self.others, self.cpus, self.threads)

    def __str__(self) -> str:
        others = "" if self.others is None else f"; other processes kept {self.others:.2f} of {self.cpus} CPUs busy"
        return (
            f"CPU: the thread that serves had one for {self.share:.0%} of the time, in nine of ten turns for at least"
            f" {self.share_worst:.0%}{others}"
        )


def contention(others: float | None, cpus: int, threads: int) -> float:
    """CPUs that others kept busy beyond those that the threads of this process leave free."""
    return max(0.0, (others or 0.0) - max(0, cpus - threads))


def reason_contended(others: float | None, cpus: int, threads: int) -> str | None:
    """Why no ratio should be given where others needed the CPUs of this process; None where they did not."""
    if (needed := contention(others, cpus, threads)) <= LIMIT:
        return None
    return (
        f"other processes kept {others:.2f} of {counted(cpus, 'CPU')} busy, and this one, with "
        f"{counted(threads, 'thread')}, needs {needed:.2f} of those (limit {LIMIT:g})"
    )


class Meter:
    """Watches turns of timed work of the thread that it is made in; the process computes with `threads`."""

    def __init__(self, threads: int) -> None:
        self.threads, self.cpus = threads, sorted(own_cpus())
        self._turns: list[tuple[float, float]] = []
        self._started = time.perf_counter(), self._busy(), time.process_time()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One turn of timed work."""
        wall, cpu = time.perf_counter(), time.thread_time()
        yield
        self._turns.append((time.perf_counter() - wall, time.thread_time() - cpu))

    def read(self) -> Load:
        """What was seen since the beginning; there has been a turn."""
        wall, cpu = np.array(self._turns).T
        shares = np.minimum(1.0, cpu / wall)
        worst = float(np.quantile(shares, WORST, method="inverted_cdf"))
        return Load(min(1.0, cpu.sum() / wall.sum()), worst, self.others(), len(self.cpus), self.threads)

    def others(self) -> float | None:
        """CPUs that other processes kept busy since the beginning, the mean; None where the system does not say."""
        started, busy_before, own_before = self._started
        seconds, busy = time.perf_counter() - started, self._busy()
        if busy is None or busy_before is None or seconds < LEAST_SECONDS:
            return None
        own = time.process_time() - own_before
        return max(0.0, (busy - busy_before - own) / seconds)

    def _busy(self) -> float | None:
        """Seconds that the CPUs of this process were busy since the system started; None where it does not say."""
        try:
            lines = [line.split() for line in PROC_STAT.read_text(encoding="ascii").splitlines()]
            counters = {line[0]: [int(n) for n in line[1:9]] for line in lines if line and line[0].startswith("cpu")}
            own = [counters[f"cpu{number}"] for number in self.cpus]
        except (OSError, KeyError):
            return None
        return sum(sum(c) - sum(c[i] for i in IDLE) for c in own) / os.sysconf("SC_CLK_TCK")


def own_cpus() -> set[int]:
    """The CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))
