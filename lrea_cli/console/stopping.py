"""Ctrl-C and SIGTERM as one exception, and the moments in which neither may come between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Stopped(KeyboardInterrupt):
    """The user, or the system, ended the command by a signal."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.number = signal.Signals(number)

    @property
    def name(self) -> str:
        """As the user knows it."""
        return NAMES[self.number]

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM, as shells have it."""
        return 128 + self.number


@contextmanager
def stoppable() -> Iterator[list[int]]:
    """Raise `Stopped` in the main thread when a signal comes, until the block ends.

    Yields:
        the signals that came: a library may turn the exception into one of its own.
    """
    arrived: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        arrived.append(number)
        raise Stopped(number)

    if threading.current_thread() is not threading.main_thread():
        yield arrived
        return
    before = {number: signal.signal(number, stop) for number in NAMES}
    try:
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let a signal wait until the block has ended: for steps of which either all or none must happen."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: arrived.append(number)) for number in NAMES}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
    if arrived:
        signal.raise_signal(arrived[0])
