"""Loops: every request once, latency from the schedule, threads side by side; and what the backlog says."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from lrea_cli.bench.load.loops import WARM_UP, Server, Trial, Workers
from lrea_cli.bench.load.overload import backlog_of
from lrea_cli.bench.load.results import ClosedLoop, OpenLoop, closed_loop, scaling
from lrea_cli.bench.load.traffic import Traffic

SLEEP = 0.02


def sleeping(seconds: float = SLEEP) -> Server:
    """Serves by waiting without the interpreter's lock."""
    return Server("sleep", lambda number: time.sleep(seconds))


class Seen:
    """A server that notes which thread served which request."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, str]] = []
        self.server = Server("seen", self.serve)

    def serve(self, number: int) -> None:
        self.calls.append((number, threading.current_thread().name))
        time.sleep(0.001)


def open_loop(server: Server, rate: float, seconds: float, clients: int = 2) -> OpenLoop:
    with Workers(clients) as workers:
        trial = workers.open(server, Traffic("uniform", 0, 5).arrivals(rate, seconds), seconds)
    return OpenLoop.of(server.name, clients, (rate, seconds), trial)


def test_two_threads_serve_twice_as_much() -> None:
    with Workers(2) as workers:
        alone, both = (workers.closed(sleeping(), 0.8, clients) for clients in (1, 2))
    assert 0.5 / SLEEP < alone.per_second < 1 / SLEEP
    assert both.per_second / alone.per_second == pytest.approx(2, rel=0.2)
    assert set(both.worker) == {0, 1}


def test_a_closed_loop_serves_each_request_once_in_order() -> None:
    seen = Seen()
    with Workers(3) as workers:
        trial = workers.closed(seen.server, 0.1)
    timed = sorted(number for number, _ in seen.calls)
    for warm in list(range(WARM_UP)) * 3:
        timed.remove(warm)
    assert timed == list(range(len(trial.done)))
    assert len({thread for _, thread in seen.calls}) == 3
    assert (np.diff(trial.started) >= 0).all()
    np.testing.assert_array_equal(trial.latencies_ms, trial.service_ms)


def test_an_open_loop_serves_each_request_once_and_none_before_it_is_due() -> None:
    seen, arrivals = Seen(), np.array([0.0, 0.001, 0.002, 0.05, 0.1])
    with Workers(2) as workers:
        trial = workers.open(seen.server, arrivals, 0.2)
    assert sorted(number for number, _ in seen.calls[2 * WARM_UP :]) == [0, 1, 2, 3, 4]
    assert (trial.started >= arrivals).all()
    assert trial.served.all()
    assert (trial.done[:-1] < trial.done[-1]).all()


def test_latency_counts_from_the_scheduled_arrival() -> None:
    """Ten requests at once, one thread: the k-th waits for those before it. Counted from the send all take the same."""
    with Workers(1) as workers:
        trial = workers.open(sleeping(), np.zeros(10), 1.0)
    assert (trial.service_ms >= 1e3 * SLEEP).all()
    assert (trial.latencies_ms >= trial.service_ms.cumsum()).all()
    assert trial.latencies_ms[-1] == 1e3 * trial.done[-1]


def test_an_overloaded_server_is_said_to_be_and_its_latencies_hold_the_wait() -> None:
    rate = 1.5 * 2 / SLEEP
    row = open_loop(sleeping(), rate, 1.5)
    assert row.overloaded
    assert row.backlog.growth == pytest.approx(0.5 * 2 / SLEEP, rel=0.35)
    assert row.backlog.most > 40
    assert row.latency.p50_ms is not None
    assert row.latency.p50_ms > 10 * 1e3 * SLEEP
    assert row.service_ms < 2 * 1e3 * SLEEP
    assert not row.keeps(1e9)


def test_a_server_at_80_percent_keeps_up() -> None:
    row = open_loop(sleeping(), 0.8 * 2 / SLEEP, 2.0)
    assert not row.overloaded
    assert row.unserved == 0
    assert row.backlog.ci[0] < 0 < row.backlog.ci[1]
    assert row.latency.p50_ms is not None
    assert row.latency.p50_ms < 5 * 1e3 * SLEEP
    assert row.per_second == pytest.approx(0.8 * 2 / SLEEP, rel=0.2)


def test_what_is_not_served_in_time_is_given_up_and_counts_as_longer_than_all() -> None:
    row = open_loop(sleeping(0.05), 400.0, 0.3, clients=1)
    assert row.requests > 90
    assert row.unserved > 0.8 * row.requests
    assert row.latency.p50_ms is None
    assert row.percent_ms is None
    assert row.latency.latencies_ms.count(None) == row.unserved
    assert not row.keeps(1e9)


def test_what_is_left_is_begun_for_as_long_as_is_asked() -> None:
    arrivals = np.zeros(40)
    with Workers(1) as workers:
        cut, whole = (workers.open(sleeping(), arrivals, 0.1, rest) for rest in (0.05, 5.0))
    assert 3 < cut.served.sum() < 20
    assert whole.served.all()


def test_an_error_of_a_server_ends_the_measurement() -> None:
    def fail(number: int) -> None:
        if number == 7:
            raise ValueError("request 7")

    with Workers(2) as workers, pytest.raises(ValueError, match="request 7"):
        workers.closed(Server("fails", fail), 60.0)
    with Workers(2) as workers, pytest.raises(ValueError, match="request 7"):
        workers.open(Server("fails", fail), np.arange(0.0, 60.0, 0.01), 60.0)


def test_an_error_while_warming_up_ends_the_measurement() -> None:
    def fail(number: int) -> None:
        raise ValueError("at once")

    with Workers(3) as workers, pytest.raises((ValueError, threading.BrokenBarrierError)):
        workers.closed(Server("fails", fail), 60.0)


def test_what_is_prepared_does_not_count() -> None:
    prepared: list[int] = []

    def prepare(number: int) -> None:
        prepared.append(number)
        time.sleep(0.02)

    with Workers(1, setup=lambda: prepared.append(-1)) as workers:
        closed = workers.closed(Server("quick", lambda number: None, prepare), 0.1)
        opened = workers.open(Server("quick", lambda number: None, prepare), np.array([0.1, 0.2]), 0.3)
    assert max(closed.latencies_ms.max(), opened.latencies_ms.max()) < 15
    assert prepared[0] == -1
    assert prepared[1 : 1 + len(closed.done)] == list(range(len(closed.done)))
    assert prepared[-2:] == [0, 1]


def trial(scheduled: np.ndarray, done: np.ndarray) -> Trial:
    return Trial(scheduled, done - 0.001, done, scheduled, np.zeros(len(done), int))


def queue(rate: float, seconds: float, seed: int, service: float = 0.01, servers: int = 2) -> Trial:
    """A queue without a machine: Poisson arrivals, `servers` of them, each request takes the same time."""
    arrivals = Traffic("uniform", 0, seed).arrivals(rate, seconds)
    free, done = np.zeros(servers), []
    for due in arrivals:
        place = int(free.argmin())
        free[place] = max(due, free[place]) + service
        done.append(free[place])
    return trial(arrivals, np.array(done))


@pytest.mark.parametrize(("load", "least", "most"), [(0.5, 0, 0), (0.8, 0, 0.02), (1.2, 0.98, 1), (1.5, 1, 1)])
def test_overload_is_said_where_it_is(load: float, least: float, most: float) -> None:
    """200 queues of 10 s, about 2,000 requests each."""
    said = [backlog_of(queue(200 * load, 10.0, seed), 10.0).overloaded for seed in range(200)]
    assert least <= np.mean(said) <= most


def test_the_backlog_is_counted_at_the_ends_of_windows() -> None:
    scheduled = np.arange(40) * 0.5 + 0.25
    assert backlog_of(trial(scheduled, scheduled + 0.1), 20.0).most == 0
    kept = backlog_of(trial(scheduled, scheduled + 0.3), 20.0)  # at each end but the first one is being served
    assert (kept.growth, kept.mean, kept.most, kept.overloaded) == (0.05, 1.0, 1, False)
    never = backlog_of(trial(scheduled, np.full(40, np.inf)), 20.0)
    assert never.overloaded
    assert (never.growth, never.most) == (2.0, 40)


def test_a_burst_that_is_worked_off_is_no_overload() -> None:
    scheduled = np.concatenate([np.zeros(30), np.arange(1, 20)])
    done = np.concatenate([np.arange(1, 31) * 0.1, np.arange(1, 20) + 0.05])
    assert not backlog_of(trial(scheduled, done), 20.0).overloaded


def test_the_generator_tells_its_own_error() -> None:
    row = open_loop(sleeping(0.001), 50.0, 1.0)
    assert row.late_p50_ms is not None
    assert 0 < row.late_p50_ms < 5
    late = Trial(*(np.array(v) for v in ([1.0, 2.0], [1.002, 2.5], [1.1, 2.6], [0.5, 2.4])), np.zeros(2, int))
    assert late.late_ms == pytest.approx([2.0])  # the second one waited for a thread


def test_requests_a_second_are_those_of_each_thread_added() -> None:
    """Two requests in .2 s on one thread and one in 1 s on the other: the first one's rest counts for neither."""
    started, done = np.array([0.0, 0.1, 0.0]), np.array([0.1, 0.2, 1.0])
    assert Trial(started, started, done, started, np.array([0, 0, 1])).per_second == pytest.approx(10 + 1)


def row(per_second: list[float], alone: list[float] | None) -> ClosedLoop:
    def of(rate: float) -> Trial:
        start = np.arange(20) / rate
        return Trial(start, start, start + 1 / rate, start, np.zeros(20, int))

    return closed_loop("x", 2, [of(r) for r in per_second], None if alone is None else [of(r) for r in alone], 1.5)


def test_scaling_is_a_ratio_of_rounds_with_an_interval() -> None:
    found = row([190.0, 200.0, 210.0], [100.0, 100.0, 100.0])
    assert found.per_second == pytest.approx(200)
    assert found.scaling == pytest.approx((1.9 * 2.0 * 2.1) ** (1 / 3))
    assert found.scaling_ci is not None
    assert found.scaling_ci[0] < 1.9 < 2.1 < found.scaling_ci[1]
    assert found.requests == 60
    assert row([100.0], None).scaling is None
    assert scaling(np.array([2.0]), np.array([1.0])) == (2.0, None)
    assert found.without_scaling().scaling_ci is None
