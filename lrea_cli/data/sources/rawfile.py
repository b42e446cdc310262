"""A raw file as a stream of clean text: plain, gzip or zip by its first bytes, unpacked in place, hashed."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from lrea_cli.errors import UserError

ZIP_MAGIC = b"PK"
GZIP_MAGIC = b"\x1f\x8b"
DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile, NotImplementedError)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a plain, gzip or zip file by its first bytes; the name must not claim another form.

    Raises:
        UserError: it is empty, damaged or not what its name says.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(2)
            file.seek(0)
            _check_form(path, magic)
            if magic == ZIP_MAGIC:
                with zipfile.ZipFile(file) as archive, archive.open(_member(archive, path)) as text:
                    yield text
            elif magic == GZIP_MAGIC:
                with gzip.open(file) as text:
                    yield cast("IO[bytes]", text)
            else:
                yield file
    except DAMAGE as error:
        raise unreadable(path, error) from error
    except PermissionError as error:
        raise UserError(f"{path} may not be read: {error.strerror}.", "Change its permissions.") from error


class CleanBytes(io.RawIOBase):
    """A raw file as valid UTF-8 without a byte order mark; hashed, lines counted, its failure kept."""

    def __init__(self, raw: IO[bytes], path: Path) -> None:
        self.failure: UserError | None = None
        self.sha256 = hashlib.sha256()
        self.newlines = 0
        self._raw = raw
        self._path = path
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._left = b""
        self._started = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._left or self._next(size)
        if size < 0:
            size = len(data)
        self._left = data[size:]
        return data[:size]

    def _next(self, size: int) -> bytes:
        while True:
            try:
                raw = self._raw.read(size)
            except DAMAGE as error:
                self.failure = unreadable(self._path, error)
                raise self.failure from error
            self.sha256.update(raw)
            self.newlines += raw.count(b"\n")
            data = raw if self._started else raw.removeprefix(codecs.BOM_UTF8)
            self._started = True
            if self._decoder.getstate()[0] or not data.isascii():
                data = self._decoder.decode(data, final=not raw).encode()
            if data or not raw:
                return data


def unreadable(path: Path, error: Exception) -> UserError:
    """What to say of a file that breaks while it is read."""
    if "Empty CSV" in str(error):
        return UserError(f"{path} has no rows.", "Download or export it again.")
    reason = (str(error) or type(error).__name__).rstrip(".")
    return UserError(
        f"{path} cannot be read: {reason}.", "It may be incomplete: download it again and compare its size."
    )


def _check_form(path: Path, magic: bytes) -> None:
    if not magic:
        raise UserError(f"{path} is empty.", "Download or export it again.")
    for suffix, form, expected in ((".zip", "zip archive", ZIP_MAGIC), (".gz", "gzip file", GZIP_MAGIC)):
        if path.suffix.lower() == suffix and magic != expected:
            raise UserError(
                f"{path} is not a {form}: it begins with {magic!r}.",
                "Download it again; what lies there may be a web page.",
            )


def _member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    files = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
    if len(files) != 1:
        names = ", ".join(m.filename for m in files[:5]) or "nothing"
        raise UserError(f"{path} must hold one file, and it holds {names}.", "Unpack it and name the file with --raw.")
    return files[0]
