"""Turns: what is left out, when they end, who begins, and that request i is the same one in every call."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lrea_cli.bench import machine as machine_module
from lrea_cli.bench import timing as timing_module
from lrea_cli.bench.machine import Load, Meter
from lrea_cli.bench.timing import (
    ENOUGH_ROUNDS,
    LEAST_ROUNDS,
    LEAST_ROUNDS_WITHHELD,
    TURN,
    WARM_UP,
    Call,
    Mark,
    take_turns,
)
from lrea_cli.stats import latencies as latencies_module
from lrea_cli.stats.latencies import Ratio, paired_ratio

CPU = torch.device("cpu")
FREE = Load(1.0, 1.0, 0.0, 2, 2)


@pytest.fixture(autouse=True)
def load(monkeypatch: pytest.MonkeyPatch) -> list[Load]:
    """The machine that is read, in place of this one."""
    seen = [FREE]
    monkeypatch.setattr(Meter, "read", lambda _: seen[-1])
    return seen


class Clock:
    """A clock that moves only when a call takes time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ns = 0
        fake = SimpleNamespace(perf_counter=lambda: self.ns / 1e9, perf_counter_ns=lambda: self.ns)
        monkeypatch.setattr(timing_module, "time", fake)

    def taking(self, name: str, ms: int, calls: list[tuple[str, int]]) -> Call:
        """Two steps, the first a tenth of it; writes its name and the request down."""

        def call(number: int, mark: Mark) -> None:
            calls.append((name, number))
            mark()
            self.ns += ms * 100_000
            mark()
            self.ns += ms * 900_000
            mark()

        return call


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_steps_are_in_ms_since_the_beginning(clock: Clock) -> None:
    found = take_turns([clock.taking("a", 20, []), clock.taking("b", 50, [])], 1e-9, 1, CPU)
    assert found.marks_ms.shape == (2, LEAST_ROUNDS * TURN, 3)
    assert found.marks_ms[0] == pytest.approx(np.tile([0, 2, 20], (LEAST_ROUNDS * TURN, 1)))
    assert found.between(1, 1, 2) == pytest.approx(np.full(LEAST_ROUNDS * TURN, 45.0))
    assert found.between(0, 0, 2) == pytest.approx(np.full(LEAST_ROUNDS * TURN, 20.0))
    assert found.rounds.tolist() == [r for r in range(LEAST_ROUNDS) for _ in range(TURN)]
    assert found.load == FREE


def test_every_call_serves_every_request_and_each_turn_begins_with_one_that_is_not_timed(clock: Clock) -> None:
    calls: list[tuple[str, int]] = []
    take_turns([clock.taking(name, 1, calls) for name in "ab"], 1e-9, 1, CPU)
    assert calls[: 2 * WARM_UP] == [(name, n) for name in "ab" for n in range(WARM_UP)]
    turns = calls[2 * WARM_UP :]
    size = TURN + 1
    assert len(turns) == 2 * LEAST_ROUNDS * size
    for number in range(LEAST_ROUNDS):
        both = turns[2 * number * size : 2 * (number + 1) * size]
        first = number * TURN
        served = [max(0, first - 1), *range(first, first + TURN)]
        assert {both[0][0], both[size][0]} == {"a", "b"}
        assert [n for _, n in both] == served * 2
        assert all(name == both[0][0] for name, _ in both[:size])


def test_who_begins_changes_and_follows_the_seed(clock: Clock) -> None:
    def begins(seed: int) -> str:
        calls: list[tuple[str, int]] = []
        take_turns([clock.taking(name, 1, calls) for name in "abc"], 1e-9, seed, CPU)
        return "".join(name for name, _ in calls[3 * WARM_UP :: 3 * (TURN + 1)])

    assert begins(1) == begins(1)
    assert begins(1) != begins(2)
    assert set(begins(1)) == set("abc")


def test_they_end_together_when_the_time_of_all_is_up(clock: Clock) -> None:
    """A round takes 3 x (10 + 30) ms = .12 s; 2 x 2 s are up in the 34th."""
    found = take_turns([clock.taking("a", 10, []), clock.taking("b", 30, [])], 2.0, 1, CPU)
    assert found.marks_ms.shape[:2] == (2, 34 * TURN)


def test_they_end_where_p99_is_backed(clock: Clock) -> None:
    done: list[int] = []
    found = take_turns([clock.taking("a", 1, [])], 1e6, 1, CPU, done.append)
    assert found.marks_ms.shape[1] == ENOUGH_ROUNDS * TURN == 460
    assert sum(done) == 100
    assert len(done) == ENOUGH_ROUNDS


def test_the_bar_is_full_where_the_time_ends_it(clock: Clock) -> None:
    done: list[int] = []
    take_turns([clock.taking("a", 10, [])], 1.0, 1, CPU, done.append)
    assert sum(done) == 100


@pytest.mark.parametrize(("share", "rounds"), [(0.5, LEAST_ROUNDS_WITHHELD), (0.95, LEAST_ROUNDS)])
def test_a_machine_too_busy_for_a_ratio_is_not_waited_for(
    clock: Clock, load: list[Load], share: float, rounds: int
) -> None:
    load.append(Load(share, share, None, 2, 2))
    found = take_turns([clock.taking("a", 10, [])], 1e-9, 1, CPU)
    assert found.marks_ms.shape[1] == rounds * TURN
    assert found.load.share == share


def test_a_busy_machine_may_become_free_while_there_is_time(clock: Clock, load: list[Load]) -> None:
    """A round takes 30 ms: 1 s is up in the 34th."""
    load.append(Load(0.5, 0.5, None, 2, 2))
    assert take_turns([clock.taking("a", 10, [])], 1.0, 1, CPU).marks_ms.shape[1] == 34 * TURN


def test_only_what_is_timed_is_metered(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The meter sees the turns, without the request that is not timed."""
    seen: list[float] = []
    monkeypatch.setattr(
        machine_module,
        "time",
        SimpleNamespace(perf_counter=lambda: clock.ns / 1e9, thread_time=lambda: 0.0, process_time=lambda: 0.0),
    )
    monkeypatch.setattr(Meter, "read", lambda self: seen.extend(wall for wall, _ in self._turns) or FREE)
    take_turns([clock.taking("a", 10, [])], 1e-9, 1, CPU)
    assert seen[-LEAST_ROUNDS:] == pytest.approx([TURN * 0.01] * LEAST_ROUNDS)


def test_a_ratio_survives_a_machine_that_is_slow_by_fits(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """For .1 to 3 s at a time all takes four times as long; the true ratio is 3, and most of 40 intervals hold it."""
    monkeypatch.setattr(latencies_module, "RATIO_DRAWS", 500)

    def tried(seed: int) -> Ratio:
        rng = np.random.default_rng(seed)
        ends = (1e9 * np.cumsum(rng.uniform(0.1, 3, 1000))).astype(np.int64)
        clock.ns = 0

        def taking(ms: float) -> Call:
            def call(number: int, mark: Mark) -> None:
                mark()
                slow = 4 if np.searchsorted(ends, clock.ns) % 2 else 1
                clock.ns += int(ms * slow * rng.uniform(0.8, 1.2) * 1e6)
                mark()

            return call

        found = take_turns([taking(10), taking(30)], 4.0, seed, CPU)
        return paired_ratio(found.between(1, 0, 1), found.between(0, 0, 1), found.rounds)

    ratios = [tried(seed) for seed in range(40)]
    held = [r.ci is not None and r.ci[0] <= 3 <= r.ci[1] for r in ratios]
    assert sum(held) >= 33
    for first, second in itertools.pairwise(ratios):
        assert first.value is not None
        assert first.ci is not None
        assert second.value is not None
        assert second.ci is not None
        assert abs(first.value - second.value) < max(first.ci[1] - first.ci[0], second.ci[1] - second.ci[0])
