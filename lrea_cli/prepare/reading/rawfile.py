"""A raw file of text as clean lines of UTF-8: plain or packed, in any encoding, unpacked in place, hashed."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from io import IncrementalNewlineDecoder
from itertools import chain, repeat
from pathlib import Path
from typing import IO

from lrea_cli.console.progress import Progress, ignore
from lrea_cli.console.terminal import clean
from lrea_cli.dataset.fields import SourceFile
from lrea_cli.errors import UserError
from lrea_cli.prepare.reading.blocks import Lines
from lrea_cli.prepare.reading.forms import START_BYTES, EmptyFile, check_text, only_member, packing_of
from lrea_cli.workspace.home import sha256_of

DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError)
SMALL_BYTES = 1 << 20
UTF8 = "utf-8"
LONGEST_LINE = 1 << 24
"""A line of more bytes is no row: it is refused before it fills the memory."""

SURELY_UTF8 = 10
"""So many bytes beyond one a character, all of them as UTF-8 has them, are no chance."""

EXCERPT = 20
OTHER_ENCODINGS = "latin-1, cp1252, gb18030 or utf-16"


class RawFile:
    """One raw file of text, read once from its beginning to its end.

    Args:
        path: of the file as it lies, plain or packed.
        progress: is told the bytes of that file that were read.
        encoding: of the text, as `known_encoding` returns it.
        first_bytes: of the text, after which reading ends with a whole line; None = all.

    Attributes after `lines` has ended:
        content: SHA-256 of the text as it would lie unpacked; empty where only its first bytes were read.
        bytes_read: of that text.
    """

    def __init__(
        self, path: Path, progress: Progress = ignore, encoding: str = UTF8, first_bytes: int | None = None
    ) -> None:
        self.path = path
        self.encoding = encoding
        self.content = ""
        self.bytes_read = 0
        self._packed = False
        self._progress = progress
        self._first_bytes = first_bytes

    @property
    def source(self) -> SourceFile:
        """The file as it lies, which is not read again for its hash where it lies unpacked."""
        whole = self._packed and self._first_bytes is None
        return SourceFile(self.path.name, self.path.stat().st_size, sha256_of(self.path) if whole else self.content)

    def lines(self, size: int) -> Iterator[Lines]:
        """All lines, about `size` bytes at a time: valid UTF-8 without a byte order mark, each ends with LF.

        Raises:
            UserError: the file is empty, damaged, not what its name says, not in its encoding, or has a line of many
                megabytes.
        """
        digest, line = hashlib.sha256(), 1
        try:
            with opened(self.path) as (text, file):
                self._packed = text is not file
                for data in whole_lines(self._pieces(text, file, size, digest.update), self.encoding):
                    lines = Lines(data, line)
                    line += lines.count
                    yield lines
                    if self._first_bytes is not None and self.bytes_read >= self._first_bytes:
                        return
        except LineFault as fault:
            raise UserError(
                f"{clean(self.path)}, line {line + fault.lines_before:,}: {fault.what}.", fault.remedy
            ) from fault
        if line == 1:
            raise EmptyFile(self.path)
        self.content = digest.hexdigest()

    def start(self) -> bytes:
        """The first megabyte, cut after its last whole line; it raises as `lines` does."""
        return next(RawFile(self.path, encoding=self.encoding).lines(SMALL_BYTES)).data

    def _pieces(
        self, text: IO[bytes], file: IO[bytes], size: int, update: Callable[[bytes], object]
    ) -> Iterator[bytes]:
        self.bytes_read = told = 0
        while raw := text.read(min(size, self._first_bytes or size)):
            if not self.bytes_read:
                check_text(self.path, raw[:START_BYTES], self.encoding)
            update(raw)
            self.bytes_read += len(raw)
            self._progress(file.tell() - told)
            told = file.tell()
            yield raw


@contextmanager
def opened(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Yield the text and the file as it lies; UserError: it is empty, damaged or not what its name says."""
    try:
        with path.open("rb") as file:
            packing = packing_of(path, file.read(START_BYTES))
            file.seek(0)
            with packing.unpack(file) if packing else nullcontext(file) as text:
                yield text, file
    except DAMAGE as error:
        raise unreadable(path, error) from error
    except PermissionError as error:
        raise UserError(f"{clean(path)} may not be read: {error.strerror}.", "Change its permissions.") from error
    except OSError as error:
        if error.errno is None:  # of bzip2, which has no exception of its own for damage
            raise unreadable(path, error) from error
        raise


def unpacked_bytes(path: Path) -> int:
    """How many bytes of text a file holds; where it does not say it reliably, from the ratio of its start."""
    with opened(path) as (text, file):
        if text is file:
            return path.stat().st_size
        if isinstance(text, zipfile.ZipExtFile):
            file.seek(0)
            with zipfile.ZipFile(file) as archive:
                return only_member(archive).file_size
        read = len(text.read(16 * SMALL_BYTES))
        at_end = not text.read(1)
        return read if at_end else round(path.stat().st_size * read / file.tell())


def unreadable(path: Path, error: Exception) -> UserError:
    """What to say of a file that breaks while it is read."""
    reason = (str(error) or type(error).__name__).rstrip(".")
    return UserError(
        f"{clean(path)} cannot be read: {clean(reason)}.",
        "It may be incomplete: download it again and compare its size.",
    )


@dataclass
class LineFault(Exception):
    """Text that cannot be read on; `lines_before` are whole lines between what was read and the bad one."""

    lines_before: int
    what: str
    remedy: str


def known_encoding(name: str) -> str:
    """Python's name of an encoding, `utf-8` also for ASCII and UTF-8 with a mark; UserError: there is no such one."""
    try:
        encoding = codecs.lookup(name).name
        if "a,1\n".encode(encoding).decode(encoding) != "a,1\n":
            raise LookupError(name)
    except (LookupError, UnicodeError, ValueError) as error:
        raise UserError(f"--encoding is '{name}'.", f"Use utf-8, or another such as {OTHER_ENCODINGS}.") from error
    return UTF8 if encoding in ("utf-8-sig", "ascii") else encoding


def whole_lines(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Cut text, in pieces cut anywhere, after lines: UTF-8 without its mark; CRLF and lone CR become LF.

    Raises:
        LineFault: bytes are not of that encoding, or a line is longer than `LONGEST_LINE`.
    """
    rest = b""
    for data in _as_utf8(_no_utf8(pieces, encoding) if _one_byte(encoding) else pieces, encoding):
        cut = data.rfind(b"\n") + 1
        if len(rest) + (data.find(b"\n") if cut else len(data)) > LONGEST_LINE:
            raise LineFault(
                0, f"the line is longer than {LONGEST_LINE >> 20} MiB", "Is it a table with a row a line? Export it so."
            )
        if cut:
            yield rest + data[:cut]
            rest = data[cut:]
        else:
            rest += data
    if rest:
        yield rest


def _as_utf8(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """The same text as UTF-8 with line feeds, without its mark."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line_feeds = IncrementalNewlineDecoder(None, translate=True)
    at_start = True
    for piece, final in chain(zip(pieces, repeat(False)), [(b"", True)]):
        _, mode = decoder.getstate()
        try:
            text = decoder.decode(piece, final)
            data = line_feeds.decode(text.removeprefix("\ufeff") if at_start else text, final).encode()
        except UnicodeDecodeError as error:
            decoder.setstate((b"", mode))
            good = line_feeds.decode(decoder.decode(error.object[: error.start]))
            excerpt = error.object[max(0, error.start - EXCERPT) : error.end + EXCERPT]
            raise LineFault(
                good.count("\n"),
                f"the byte 0x{error.object[error.start]:02x} in {excerpt!r} is no {encoding}",
                f"Name the encoding of the text, such as --encoding {OTHER_ENCODINGS}; or convert it to UTF-8.",
            ) from error
        except UnicodeError as error:  # such as UTF-16 without its mark
            raise LineFault(
                0, f"text cannot be read as {encoding}: {error}.", "Name the encoding of the file."
            ) from error
        at_start = at_start and not text
        yield data


def _one_byte(encoding: str) -> bool:
    """Whether every byte is a character, so that text in UTF-8 can be read by mistake."""
    upper = bytes(range(128, 256))
    return encoding != UTF8 and len(upper.decode(encoding, "replace")) == len(upper)


def _no_utf8(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """The same pieces; refuses, at their end, what was UTF-8 from its beginning: no other text looks so for long."""
    decoder = codecs.getincrementaldecoder(UTF8)()
    is_utf8, longer = True, 0
    for piece in pieces:
        try:
            longer += len(piece) - len(decoder.decode(piece)) if is_utf8 else 0
        except UnicodeDecodeError:
            is_utf8 = False
        yield piece
    if is_utf8 and longer >= SURELY_UTF8:
        raise LineFault(
            0,
            f"all text up to here is UTF-8, not {encoding}",
            "Leave --encoding out; all files of a log must share one.",
        )
