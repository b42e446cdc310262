"""Ctrl-C and SIGTERM as one exception, and the moments in which neither may come between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Stopped(KeyboardInterrupt):
    """The user, or the system, ended the command by a signal, whose `name` is as the user knows it."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.name = NAMES[signal.Signals(number)]
        self.exit_code = 128 + number  # as shells have it


@contextmanager
def stoppable() -> Iterator[list[int]]:
    """Raise `Stopped` in the main thread when a signal comes, until the block ends.

    Yields the signals that came: a library may turn the exception into one of its own.
    """
    arrived: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        arrived.append(number)
        raise Stopped(number)

    with _handled_by(stop):
        yield arrived


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let a signal wait until the block has ended: for steps of which either all or none must happen."""
    arrived: list[int] = []
    with _handled_by(lambda number, frame: arrived.append(number)):
        yield
    if arrived:
        signal.raise_signal(arrived[0])


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Other threads than the main one never get a signal."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in NAMES}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old or signal.SIG_DFL)
