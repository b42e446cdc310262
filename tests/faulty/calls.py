"""Calls to the system that fail, in this process: the n-th of those that a replacement makes."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

CALLS = ((os, "rename"), (os, "replace"), (os, "open"), (os, "fsync"), (os, "mkdir"), (io, "open"))


@dataclass
class Count:
    """How many calls there have been."""

    calls: int = 0


@contextmanager
def failing(at: int | None, number: int = errno.EIO, *, onward: bool = False) -> Iterator[Count]:
    """Fail the call number `at`, counted from 1; `onward`: all that follow, too; None: only count."""
    count = Count()

    def counted(real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            count.calls += 1
            if at is not None and (count.calls == at or (onward and count.calls > at)):
                raise OSError(number, os.strerror(number), str(arguments[0]))
            return real(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for module, name in CALLS:
            patch.setattr(module, name, counted(getattr(module, name)))
        yield count
