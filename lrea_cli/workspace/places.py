"""How a folder takes its place: made beside it, renamed into it, and put back where a replacement was cut off.

A place is `<home>/<kind>/<name>`, or where a symbolic link of this name leads to: a folder on a larger disk is replaced
there. Beside it lie `.partial-<name>-<id>` (being made) and `.old-<name>-<id>` (moved aside by a replacement) as long
as somebody works on it or until somebody clears up. Whoever makes, replaces or clears up holds the lock of the place:
`flock`, which every process, container and host of a file system sees, and which ends with the process.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from lrea_cli.console.stopping import undisturbed
from lrea_cli.errors import UserError
from lrea_cli.workspace.kinds import FOLDERS

FOLDER = ".locks"
"""Of a home: its lock files. None is ever deleted, or two processes could hold two files of one name."""
POLL_SECONDS = 0.02

PARTIAL = ".partial-"
OLD = ".old-"
LEFTOVER = re.compile(rf"({re.escape(PARTIAL)}|{re.escape(OLD)})(.+)-([0-9a-f]{{32}}|\d+)", re.DOTALL)
SWAP_SECONDS = 5.0
"""Longest wait for another process that is between the two renames of a replacement."""


def place_of(path: Path) -> Path:
    """Where the folder really lies or will lie."""
    return path.resolve() if path.is_symlink() else path


def lock_of(place: Path) -> Path:
    """The lock file of a place: in `<home>/.locks/`, or in `.locks/` beside a folder that lies in no home."""
    if place.parent.name in FOLDERS:
        return place.parent.parent / FOLDER / f"{place.parent.name}-{place.name}.lock"
    return place.parent / FOLDER / f"{place.name}.lock"


def beside(place: Path, prefix: str) -> Path:
    """A path beside the place, of a name that nobody else has: `PARTIAL` or `OLD`, the place's name, an id."""
    return place.parent / f"{prefix}{place.name}-{uuid4().hex}"


def swap_in(partial: Path, place: Path) -> None:
    """Rename `partial` to `place`; where a step fails, what was there before is there again.

    A process that ends between two steps leaves the old folder aside, and `restore` puts it back.
    """
    old = beside(place, OLD) if os.path.lexists(place) else None
    if old is not None:
        place.rename(old)
    try:
        partial.rename(place)
        fsync(place.parent)
    except BaseException:
        _undo(partial, place, old)
        raise
    if old is not None:
        _discard(old, partial)


def _discard(old: Path, partial: Path) -> None:
    """Delete an old folder under the name of a partial one: half deleted it must never be put back."""
    with suppress(OSError):
        old = old.rename(partial)
    remove(old)


def _undo(partial: Path, place: Path, old: Path | None) -> None:
    """Each rename is tried twice: what failed for a moment must not hide a folder."""
    for _ in range(2):
        with suppress(OSError):
            if os.path.lexists(place):
                place.rename(partial)
            if old is not None:
                old.rename(place)
            return


def hide(path: Path) -> Path:
    """Rename a folder to a partial one, which nobody reads and any command may delete; delete a symbolic link."""
    partial = beside(path, PARTIAL)
    if path.is_symlink():
        path.unlink()
    else:
        path.rename(partial)
    fsync(path.parent)
    return partial


def remove(folder: Path) -> None:
    """Delete a folder; a signal waits for it, and what fails for a moment is tried again."""
    with undisturbed():
        for _ in range(2):
            shutil.rmtree(folder, ignore_errors=True)


def fsync(path: Path) -> None:
    """Bring a file's bytes, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def leftovers(folder: Path) -> Iterator[tuple[str, Path]]:
    """Partial and old folders in a folder: the name that each belongs to, and where it lies."""
    with suppress(FileNotFoundError):
        for entry in sorted(folder.iterdir()):
            if match := LEFTOVER.fullmatch(entry.name):
                yield match[2], entry


def clear(folder: Path) -> None:
    """Delete partial folders whose process has ended; put back old folders whose replacement was cut off."""
    for name in dict.fromkeys(name for name, _ in leftovers(folder)):
        with suppress(Held), lock(lock_of(folder / name)):
            clear_held(folder / name)


def clear_held(place: Path) -> None:
    """The same for one place, whose lock is held."""
    for name, entry in leftovers(place.parent):
        if name != place.name:
            continue
        if not entry.name.startswith(OLD):
            remove(entry)
        elif os.path.lexists(place):
            _discard(entry, beside(place, PARTIAL))
        else:
            entry.rename(place)


def restore(place: Path) -> None:
    """Put back what a replacement that was cut off had moved aside; wait for a replacement that is under way."""
    aside = (entry.name.startswith(OLD) for name, entry in leftovers(place.parent) if name == place.name)
    if not os.path.lexists(place) and any(aside):
        with suppress(Held, OSError), lock(lock_of(place), SWAP_SECONDS):
            clear_held(place)


class Held(Exception):
    """Another process, or another thread of this one, holds the lock."""


@contextmanager
def lock(path: Path, patience_s: float = 0.0) -> Iterator[None]:
    """Hold the lock of this file, whose folder is made, until the block ends.

    Raises:
        Held: another one holds it for longer than `patience_s`.
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
