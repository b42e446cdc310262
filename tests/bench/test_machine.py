"""What a process got of the CPU: counted, said, and too little of it withholds a ratio."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from lrea_cli.bench import machine as machine_module
from lrea_cli.bench.machine import Load, Meter

STAT = """cpu  9 9 9 9 9 9 9 9 9 9
cpu0 {user} 0 0 {idle} 7 0 0 0 99 99
cpu1 100 10 20 300 40 1 2 {steal} 0 0
cpu2 999 0 0 0 0 0 0 0 0 0
intr 1
"""


class Machine:
    """Clocks and counters of two CPUs that a test moves; a third one is not this process's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.wall = self.thread = self.process = 0.0
        self.path = folder / "stat"
        clocks = SimpleNamespace(
            perf_counter=lambda: self.wall, thread_time=lambda: self.thread, process_time=lambda: self.process
        )
        monkeypatch.setattr(machine_module, "time", clocks)
        monkeypatch.setattr(machine_module, "PROC_STAT", self.path)
        monkeypatch.setattr(machine_module, "own_cpus", lambda: {0, 1})
        monkeypatch.setattr(machine_module.os, "sysconf", lambda _: 100)
        self.count(0, 0, 0)

    def count(self, user: int, idle: int, steal: int) -> None:
        self.path.write_text(STAT.format(user=user, idle=idle, steal=steal))

    def turn(self, meter: Meter, wall: float, thread: float) -> None:
        with meter.turn():
            self.wall += wall
            self.thread += thread
            self.process += 2 * thread


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    return Machine(monkeypatch, tmp_path)


def test_the_share_is_of_the_turns_alone(machine: Machine) -> None:
    meter = Meter(2)
    for wall, thread in [(1.0, 0.9)] * 9 + [(1.0, 0.4)]:
        machine.turn(meter, wall, thread)
        machine.wall += 5.0  # between turns
    found = meter.read()
    assert found.share == pytest.approx(0.85)
    assert found.share_worst == pytest.approx(0.4)
    assert (found.cpus, found.threads) == (2, 2)


def test_others_are_all_that_was_busy_but_this_process(machine: Machine) -> None:
    """Of 10 s: 8 s busy on CPU 0, 1 s stolen of CPU 1, 6 s of this process; idle and iowait are not busy."""
    meter = Meter(2)
    machine.turn(meter, 10.0, 3.0)
    machine.count(800, 200, 100)
    assert meter.read().others == pytest.approx((8 + 1 - 6) / 10)


def test_others_are_unknown_over_less_than_the_ticks_show_or_without_counters(machine: Machine) -> None:
    meter = Meter(2)
    machine.turn(meter, 0.5, 0.5)
    assert meter.read().others is None
    machine.turn(meter, 5.0, 5.0)
    assert meter.read().others is not None
    machine.path.unlink()
    assert meter.read().others is None
    machine.path.write_text("cpu0 1 1 1 1 1 1 1 1\n")
    assert meter.read().others is None


def test_this_machine_is_read() -> None:
    meter = Meter(1)
    with meter.turn():
        sum(range(200_000))
    found = meter.read()
    assert 0 < found.share <= 1
    assert found.share_worst == found.share
    assert found.others is None
    assert found.cpus >= 1


@pytest.mark.parametrize(
    ("load", "words"),
    [
        (Load(0.91, 0.2, 0.0, 2, 2), None),
        (Load(0.89, 0.88, 0.0, 2, 2), "11% of the time the thread that serves had no CPU (limit 10%)"),
        (Load(1.0, 1.0, None, 2, 2), None),
        (Load(1.0, 1.0, 0.09, 2, 2), None),
        (
            Load(1.0, 1.0, 1.0, 16, 16),
            "other processes kept 1.00 of 16 CPUs busy, and this one, with 16 threads, needs 1.00",
        ),
        (Load(1.0, 1.0, 1.0, 16, 15), None),
        (Load(1.0, 1.0, 1.2, 16, 15), "needs 0.20 of those"),
        (Load(1.0, 1.0, 0.05, 2, 8), None),
    ],
)
def test_too_little_cpu_is_a_reason_to_withhold(load: Load, words: str | None) -> None:
    reason = load.reason_to_withhold
    assert (reason is None) == (words is None)
    assert words is None or (reason is not None and words in reason)


def test_a_sentence_says_it() -> None:
    all_turns = "CPU: the thread that serves had one for 99% of the time, in nine of ten turns for at least 98%"
    assert str(Load(0.994, 0.981, None, 2, 2)) == all_turns
    others = "other processes kept 0.02 of 2 CPUs busy"
    assert str(Load(0.994, 0.981, 0.021, 2, 2)) == f"{all_turns}; {others}"
