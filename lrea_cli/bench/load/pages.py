"""The page cache: takes the records of a cache out of memory, and says whether the system did."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PROC_IO = Path("/proc/self/io")


class PageCache:
    """The pages of some files.

    Args:
        paths: files that are not written meanwhile.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [os.open(path, os.O_RDONLY) for path in paths]
        for file in self._files:
            os.fsync(file)  # pages that are not on the disk yet are never dropped

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            os.close(file)
        self._files = []

    def drop(self) -> None:
        """Ask the system to take all pages of the files out of memory; where it cannot be asked nothing happens."""
        if hasattr(os, "posix_fadvise"):
            for file in self._files:
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)

    def resident(self) -> int | None:
        """How many bytes of the files are in memory, in whole pages; None where the system does not say."""
        sizes = [_resident(file) for file in self._files]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def drops(self) -> bool:
        """Whether `drop` works here: nothing is in memory afterwards, and what is read is."""
        self.drop()
        cold = self.resident()
        for file in self._files:
            os.pread(file, 1, 0)
        return cold == 0 and bool(self.resident())


@contextmanager
def page_cache(paths: Sequence[Path]) -> Iterator[PageCache]:
    """Opened, and closed behind the block."""
    pages = PageCache(paths)
    try:
        yield pages
    finally:
        pages.close()


def disk_bytes() -> int | None:
    """Bytes that this process had read from disks so far; None where the system does not say."""
    try:
        lines = PROC_IO.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("read_bytes:")), None)


def _resident(file: int) -> int | None:
    """Bytes of a file in memory, by mincore of a private mapping; it reads nothing in."""
    size = os.fstat(file).st_size
    if not size:
        return 0
    try:
        mincore = ctypes.CDLL(None, use_errno=True).mincore
        mapping = mmap.mmap(file, size, access=mmap.ACCESS_COPY)
    except (AttributeError, OSError, TypeError):
        return None
    pages = -(-size // mmap.PAGESIZE)
    marks = (ctypes.c_ubyte * pages)()
    start = (ctypes.c_char * size).from_buffer(mapping)
    failed = mincore(ctypes.c_void_p(ctypes.addressof(start)), ctypes.c_size_t(size), marks)
    del start
    mapping.close()
    return None if failed else mmap.PAGESIZE * sum(mark & 1 for mark in marks)
