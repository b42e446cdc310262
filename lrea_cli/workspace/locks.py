"""Locks that every process, container and host of one file system sees; the system takes them off a process that ends.

A lock is `flock` on a file that is never deleted: deleting it would let two processes hold two files of one name.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lrea_cli.errors import UserError

FOLDER = ".locks"
POLL_SECONDS = 0.02


class Held(Exception):
    """Another process, or another thread of this one, holds the lock."""


@contextmanager
def lock(path: Path, patience_s: float = 0.0) -> Iterator[None]:
    """Hold the lock of this file, whose folder is made, until the block ends.

    Args:
        patience_s: how long to wait for another holder.

    Raises:
        Held: another one still holds it then.
        UserError: the file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        deadline = time.monotonic() + patience_s
        while not try_lock(descriptor, path):
            if time.monotonic() >= deadline:
                raise Held(path)
            time.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int, path: Path) -> bool:
    """Whether this call locks the open file, until it is closed; a `UserError` where the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK):
            raise UserError(
                f"The file system of {path.parent} has no file locks ({error.strerror}).",
                "Set LREA_HOME to a folder on a file system that has them.",
            ) from error
        raise
    return True
