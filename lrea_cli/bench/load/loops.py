"""Load from several threads: a closed loop, and an open one whose latency counts from the scheduled arrival.

Knows nothing of models: what is served is a function of a request's number, called on the thread that serves it.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

WARM_UP = 5
"""Requests that each thread serves before a measurement, not timed."""
GIVE_UP = 1.0
"""An open loop begins what is left for at most this share of its time after that time."""


@dataclass(frozen=True)
class Server:
    """Serves requests by number, from any thread.

    Args:
        name: such as `gemm` or `onnxruntime`.
        serve: serves request n; it returns when the logits are there.
        prepare: what a thread does with request n before its time counts, such as dropping pages; None = nothing.
    """

    name: str
    serve: Callable[[int], object]
    prepare: Callable[[int], None] | None = None


@dataclass(frozen=True)
class Trial:
    """The requests of one measurement, in seconds since its beginning.

    Args:
        scheduled: (n,) when each request was due; of a closed loop, when its thread sent it.
        started: (n,) when a thread began with it; inf where none did.
        done: (n,) when its logits were there; inf where none did.
        free: (n,) since when the thread that served it had waited for it; inf where none did.
        worker: (n,) the number of that thread.
    """

    scheduled: np.ndarray
    started: np.ndarray
    done: np.ndarray
    free: np.ndarray
    worker: np.ndarray

    @property
    def latencies_ms(self) -> np.ndarray:
        """(n,) from the scheduled time to the logits; inf where a request was never served."""
        return 1e3 * (self.done - self.scheduled)

    @property
    def service_ms(self) -> np.ndarray:
        """(served,) from the start on a thread to the logits, of those that were served."""
        return 1e3 * (self.done[self.served] - self.started[self.served])

    @property
    def late_ms(self) -> np.ndarray:
        """(m,) by how much a thread that was free started too late: the error of the load generator itself."""
        waited = self.served & (self.free < self.scheduled)
        return 1e3 * (self.started[waited] - self.scheduled[waited])

    @property
    def served(self) -> np.ndarray:
        """(n,) bool."""
        return np.isfinite(self.done)

    @property
    def per_second(self) -> float:
        """Requests a second: the sum of what each thread did from its first start to its last result."""
        total = 0.0
        for worker in np.unique(self.worker[self.served]):
            own = self.served & (self.worker == worker)
            total += own.sum() / (self.done[own].max() - self.started[own].min())
        return float(total)


class Workers:
    """Threads that serve side by side, one request each at a time.

    Args:
        count: C, the threads.
        setup: what each thread does once, such as setting torch's threads to one.
    """

    def __init__(self, count: int, setup: Callable[[], None] = lambda: None) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, "lrea-load", initializer=setup)
        self._stop = threading.Event()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()

    def closed(self, server: Server, seconds: float, clients: int | None = None) -> Trial:
        """Each of `clients` threads (None = all) sends its next request as soon as it has the last one's logits.

        Requests 0, 1, 2, .. go to whichever thread is free. A thread ends with the request during which the time is up.
        """
        numbers = itertools.count()

        def client(worker: int, begin: float) -> list[tuple[float, ...]]:
            seen = []
            while not self._stop.is_set():
                number = next(numbers)
                if server.prepare:
                    server.prepare(number)
                started = time.perf_counter() - begin
                if seen and started >= seconds:
                    break
                server.serve(number)
                seen.append((started, started, time.perf_counter() - begin, started, worker))
            return seen

        rows = np.array(sorted(self._together(server, client, clients or self.count)))
        scheduled, started, done, free, worker = rows.T
        return Trial(scheduled, started, done, free, worker.astype(int))

    def open(self, server: Server, arrivals: np.ndarray, seconds: float, rest: float | None = None) -> Trial:
        """Request n is due at `arrivals[n]`, whatever has become of those before it; threads take them in this order.

        A thread that is free waits for the next one; where none is free the request waits, and its latency counts the
        wait, since it counts from the scheduled time. When the time is over the threads begin what is left
        for `rest` seconds more; then it is given up.

        Args:
            arrivals: (n,) ascending, in [0, seconds).
            rest: None = `GIVE_UP` of the time.
        """
        numbers, last = itertools.count(), seconds + (GIVE_UP * seconds if rest is None else rest)
        times = np.full((3, len(arrivals)), np.inf)
        worker_of = np.zeros(len(arrivals), int)

        def take(worker: int, begin: float) -> None:
            for number in numbers:
                if number >= len(arrivals) or self._stop.is_set():
                    return
                if server.prepare:
                    server.prepare(number)
                free = time.perf_counter() - begin
                if free > last:
                    return
                if (wait := arrivals[number] - free) > 0:
                    time.sleep(wait)
                started = time.perf_counter() - begin
                server.serve(number)
                times[:, number] = started, time.perf_counter() - begin, free
                worker_of[number] = worker

        self._together(server, take, self.count)
        started, done, free = times
        return Trial(arrivals, started, done, free, worker_of)

    def _together(self, server: Server, client: Callable[[int, float], Any], count: int) -> list[Any]:
        """Run `count` clients, each on its own thread, all from the same moment; return what they return, joined."""
        begin = [0.0]
        barrier = threading.Barrier(count, action=partial(_now, begin))

        def run(worker: int) -> Any:
            with _aborting(barrier):
                for number in range(WARM_UP):
                    server.serve(number)
                barrier.wait()
            try:
                return client(worker, begin[0])
            except BaseException:
                self._stop.set()
                raise

        futures = [self._pool.submit(run, worker) for worker in range(count)]
        try:
            results = [future.result() for future in futures]
        except BaseException:
            self._stop.set()
            raise
        return [row for rows in results if rows for row in rows]


def _now(begin: list[float]) -> None:
    begin[0] = time.perf_counter()


@contextmanager
def _aborting(barrier: threading.Barrier) -> Iterator[None]:
    """Let no thread wait for one that failed."""
    try:
        yield
    except BaseException:
        barrier.abort()
        raise
