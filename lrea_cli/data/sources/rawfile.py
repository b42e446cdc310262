"""A raw file as blocks of clean lines: plain, gzip or zip by its first bytes, unpacked in place, hashed."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from lrea_cli.data.schema import SourceFile
from lrea_cli.errors import UserError
from lrea_cli.progress import Progress, ignore
from lrea_cli.workspace import sha256_of

PACKED = (".gz", ".zip")
ZIP_MAGIC = b"PK"
GZIP_MAGIC = b"\x1f\x8b"
DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile, NotImplementedError)
SMALL_BYTES = 1 << 20


class RawFile:
    """One raw file of text, read once from its beginning to its end.

    Args:
        progress: is told the bytes of the file as it lies that were read.

    Attributes after `blocks` has ended:
        sha256: of the text as it would lie unpacked.
    """

    def __init__(self, path: Path, progress: Progress = ignore) -> None:
        self.path = path
        self.sha256 = ""
        self._packed = False
        self._progress = progress

    @property
    def source(self) -> SourceFile:
        """The file as it lies, which is not read again for its hash where it lies unpacked."""
        return SourceFile(
            self.path.name, self.path.stat().st_size, sha256_of(self.path) if self._packed else self.sha256
        )

    def blocks(self, size: int) -> Iterator[bytes]:
        """Whole lines, about `size` bytes at a time: valid UTF-8 without a byte order mark; LF or CRLF as they are.

        Raises:
            UserError: the file is empty, damaged or not what its name says.
        """
        digest, decoder = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")("replace")
        with opened(self.path) as (text, file):
            self._packed = text is not file
            told, rest, started = 0, b"", False
            while raw := text.read(size):
                digest.update(raw)
                self._progress(file.tell() - told)
                told = file.tell()
                data = raw if started else raw.removeprefix(codecs.BOM_UTF8)
                started = True
                if decoder.getstate()[0] or not data.isascii():
                    data = decoder.decode(data).encode()
                cut = data.rfind(b"\n") + 1
                if cut:
                    yield rest + data[:cut] if rest else data[:cut]
                    rest = data[cut:]
                else:
                    rest += data
            if rest := rest + decoder.decode(b"", final=True).encode():
                yield rest
        self.sha256 = digest.hexdigest()

    def start(self) -> bytes:
        """The first megabyte, cut after its last whole line.

        Raises:
            UserError: as `blocks`.
        """
        return next(self.blocks(SMALL_BYTES), b"")


@contextmanager
def opened(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Open a plain, gzip or zip file by its first bytes: the text, and the file as it lies.

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
                    yield text, file
            elif magic == GZIP_MAGIC:
                with gzip.open(file) as text:
                    yield cast("IO[bytes]", text), file
            else:
                yield file, file
    except DAMAGE as error:
        raise unreadable(path, error) from error
    except PermissionError as error:
        raise UserError(f"{path} may not be read: {error.strerror}.", "Change its permissions.") from error


def unpacked_name(path: Path) -> str:
    """The name of the text in a file that may be packed."""
    return path.name.removesuffix(path.suffix) if path.suffix in PACKED else path.name


def unpacked_bytes(path: Path) -> int:
    """How many bytes of text a file holds; of gzip, which does not say it reliably, from the ratio of its start.

    Raises:
        UserError: it is empty, damaged or not what its name says.
    """
    with opened(path) as (text, file):
        if text is file:
            return path.stat().st_size
        if isinstance(text, zipfile.ZipExtFile):
            file.seek(0)
            with zipfile.ZipFile(file) as archive:
                return _member(archive, path).file_size
        read = len(text.read(16 * SMALL_BYTES))
        at_end = not text.read(1)
        return read if at_end else round(path.stat().st_size * read / file.tell())


def unreadable(path: Path, error: Exception) -> UserError:
    """What to say of a file that breaks while it is read."""
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
