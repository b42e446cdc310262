"""Bytes of text in any encoding -> whole lines of valid UTF-8 that end with LF, and the line where that fails."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from io import IncrementalNewlineDecoder
from itertools import chain, repeat

from lrea_cli.errors import UserError

UTF8 = "utf-8"
LONGEST_LINE = 1 << 24
"""A line of more bytes is no row: it is refused before it fills the memory."""

SURELY_UTF8 = 10
"""So many bytes beyond one a character, all of them as UTF-8 has them, are no chance."""

EXCERPT = 20
OTHER_ENCODINGS = "latin-1, cp1252, gb18030 or utf-16"


@dataclass
class LineFault(Exception):
    """Text that cannot be read on.

    Args:
        lines_before: whole lines between the end of what was read and the bad one.
        what: the fault, to stand behind "file, line n: ".
    """

    lines_before: int
    what: str
    remedy: str


def known_encoding(name: str) -> str:
    """An encoding as Python names it, `utf-8` for all its spellings that allow a byte order mark or ASCII.

    Raises:
        UserError: there is no such encoding of text.
    """
    try:
        encoding = codecs.lookup(name).name
        if "a,1\n".encode(encoding).decode(encoding) != "a,1\n":
            raise LookupError(name)
    except (LookupError, UnicodeError, ValueError) as error:
        raise UserError(f"--encoding is '{name}'.", f"Use utf-8, or another such as {OTHER_ENCODINGS}.") from error
    return UTF8 if encoding in ("utf-8-sig", "ascii") else encoding


def whole_lines(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Cut text after lines: valid UTF-8 without a byte order mark; CRLF and lone CR become LF.

    Args:
        pieces: of the text as it lies, cut anywhere.
        encoding: as `known_encoding` returns it.

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
