"""Closed loops: what is left out, when each ends, and that they take turns."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
import torch

from lrea_cli.serving import timing as timing_module
from lrea_cli.serving.timing import ENOUGH_REQUESTS, LEAST_REQUESTS, TURN, WARM_UP, measure, measure_in_turns

CPU = torch.device("cpu")


def counted() -> Iterator[Callable[[], int]]:
    """Calls that return their own number, from 0 on."""
    for number in itertools.count():
        yield lambda number=number: number


def test_warm_up_is_left_out_and_the_loop_ends_where_p99_is_backed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing_module, "_timed", lambda call: call())
    calls = counted()
    assert measure(calls, 1e6, CPU) == list(range(WARM_UP, WARM_UP + ENOUGH_REQUESTS))
    assert next(calls)() == WARM_UP + ENOUGH_REQUESTS
    assert ENOUGH_REQUESTS == 459


def test_a_few_requests_are_made_though_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing_module, "_timed", lambda call: call())
    assert measure(counted(), 0.0, CPU) == list(range(WARM_UP, WARM_UP + LEAST_REQUESTS))


def test_the_loop_ends_when_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that moves 250 ms a call: latencies are in ms, and warm-up takes nothing of the time."""
    now = [0]

    def call() -> None:
        now[0] += 250_000_000

    clock = SimpleNamespace(perf_counter=lambda: now[0] / 1e9, perf_counter_ns=lambda: now[0])
    monkeypatch.setattr(timing_module, "time", clock)
    assert measure(itertools.repeat(call), 5.0, CPU) == [250.0] * 20


def named(name: str, calls: list[str]) -> Iterator[Callable[[], None]]:
    """Calls that write down their name."""
    return itertools.repeat(lambda: calls.append(name))


def test_loops_take_turns() -> None:
    calls: list[str] = []
    found = measure_in_turns([named(name, calls) for name in "ABC"], 0.0, CPU)
    assert [len(latencies) for latencies in found] == [LEAST_REQUESTS] * 3
    turns = ["A" * TURN + "B" * TURN + "C" * TURN] * (LEAST_REQUESTS // TURN)
    assert "".join(calls) == "A" * WARM_UP + "B" * WARM_UP + "C" * WARM_UP + "".join(turns)
    assert TURN == 5


def test_each_loop_ends_by_its_own_time_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 5 s: 20 calls of 250 ms, 40 of 125 ms, and the 10 that are made at least, of 1 s."""
    now, order, ended = [0], [], []

    def taking(ms: int) -> Callable[[], None]:
        def call() -> None:
            now[0] += ms * 1_000_000
            order.append(ms)

        return call

    clock = SimpleNamespace(perf_counter=lambda: now[0] / 1e9, perf_counter_ns=lambda: now[0])
    monkeypatch.setattr(timing_module, "time", clock)
    wanted = [(250, 20), (125, 40), (1000, LEAST_REQUESTS)]
    found = measure_in_turns([itertools.repeat(taking(ms)) for ms, _ in wanted], 5.0, CPU, ended.append)
    assert found == [[float(ms)] * count for ms, count in wanted]
    assert order[-20:] == [125] * 20
    assert sum(ended) == 3
    assert len(ended) > 3  # told as it happens, not at the end
