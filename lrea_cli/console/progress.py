"""What long work calls to say how far it is; the console shows it, tests ignore it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Progress = Callable[[int], None]
"""Called with the number of units just done."""


def ignore(done: int) -> None:
    """A `Progress` that shows nothing."""


class Reporter(Protocol):
    """Shows lines and progress while a command works."""

    def say(self, line: str) -> None:
        """Show one line."""
        ...

    def task(self, description: str, total: int, unit: str) -> AbstractContextManager[Progress]:
        """Show progress with rate and time left until the block ends."""
        ...


class Silent:
    """A `Reporter` that shows nothing."""

    def say(self, line: str) -> None:
        pass

    def task(self, description: str, total: int, unit: str) -> AbstractContextManager[Progress]:
        return nullcontext(ignore)
