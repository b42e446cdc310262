"""What a file is by its first bytes: text, packed text, or something else that is named as what it is."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import zipfile
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lrea_cli.console.terminal import clean
from lrea_cli.errors import UserError

START_BYTES = 4096
"""So many first bytes tell what a file is."""

MOST_ZEROS = 0.05
"""The largest share of zero bytes in text: a few may stand in a value by mistake."""

NOT_READ = (".zst", ".lz4", ".z", ".7z", ".rar", ".tar", ".tgz", ".xlsx", ".xls", ".orc", ".avro", ".feather", ".arrow")
"""Suffixes of what may hold a log and is not read: in a folder it is told of."""


@dataclass(frozen=True)
class Packing:
    """A way in which one file of text is packed.

    Args:
        suffix: the end of such a file's name.
        noun: what such a file is called.
        magic: a pattern of its first bytes.
        unpack: opens a stream of the text.
    """

    suffix: str
    noun: str
    magic: re.Pattern[bytes]
    unpack: Callable[[IO[bytes]], Any]


@contextmanager
def _open_zip(file: IO[bytes]) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(file) as archive, archive.open(only_member(archive)) as text:
        yield text


PACKINGS = (
    Packing(".gz", "gzip file", re.compile(rb"\x1f\x8b"), gzip.open),
    Packing(".zip", "zip archive", re.compile(rb"PK[\x03\x05\x07]"), _open_zip),
    Packing(".bz2", "bzip2 file", re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"), bz2.open),
    Packing(".xz", "xz file", re.compile(rb"\xfd7zXZ\x00"), lzma.open),
)
SUFFIXES = tuple(packing.suffix for packing in PACKINGS)

ENCRYPTED = 1
OFFICE = "[Content_Types].xml"

PARQUET_MAGIC = b"PAR1"
FOREIGN = (
    (PARQUET_MAGIC, "a Parquet file", "Read it with `lrea prepare table`, unpacked."),
    (b"\x28\xb5\x2f\xfd", "packed by Zstandard", "Unpack it with `zstd -d`."),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "Unpack it with `7z x`."),
    (b"Rar!", "a RAR archive", "Unpack it."),
    (b"\x04\x22\x4d\x18", "packed by LZ4", "Unpack it with `lz4 -d`."),
    (b"\x1f\x9d", "packed by compress (.Z)", "Unpack it with `uncompress`."),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office file, such as an Excel workbook", "Save its sheet as CSV."),
    (b"SQLite format 3\x00", "an SQLite database", "Export its table as CSV."),
    (b"\x89HDF", "an HDF5 file", "Export its table as Parquet or CSV."),
    (b"ARROW1", "an Arrow (Feather) file", "Write it as Parquet."),
    (b"Obj\x01", "an Avro file", "Write it as Parquet."),
    (b"ORC", "an ORC file", "Write it as Parquet."),
    (b"%PDF-", "a PDF document", "Export its table as CSV."),
)
WIDE_BOMS = (
    (BOM_UTF32_LE, "utf-32"),
    (BOM_UTF32_BE, "utf-32"),
    (BOM_UTF16_LE, "utf-16"),
    (BOM_UTF16_BE, "utf-16"),
)


def unpacked(path: str | Path) -> str:
    """The path without the suffix of a packing."""
    root, suffix = os.path.splitext(path)
    return root if suffix.lower() in SUFFIXES else str(path)


def packing_of(path: Path, start: bytes) -> Packing | None:
    """The packing that a file's first bytes show, if any; UserError: it is empty, or its name promises another one."""
    if not start:
        raise EmptyFile(path)
    shown = next((packing for packing in PACKINGS if packing.magic.match(start)), None)
    for packing in PACKINGS:
        if path.suffix.lower() == packing.suffix and packing is not shown:
            raise UserError(
                f"{clean(path)} is not a {packing.noun}: it begins with {start[:2]!r}.",
                "Download it again; what lies there may be a web page.",
            )
    return shown


def only_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """The one file of an archive; UserError: it holds several or none, is encrypted or an Office file."""
    path = clean(archive.filename)
    files = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
    if OFFICE in (m.filename for m in files):
        raise UserError(
            f"{path} is an Office file, such as an Excel workbook.", "Save its sheet as CSV, and name that."
        )
    if len(files) != 1:
        names = ", ".join(clean(m.filename) for m in files[:5]) or "nothing"
        raise UserError(f"{path} must hold one file, and it holds {names}.", "Unpack it and name the file with --raw.")
    if files[0].flag_bits & ENCRYPTED:
        raise UserError(f"{path} is encrypted.", "Unpack it with its password, and name the unpacked file with --raw.")
    return files[0]


def check_text(path: Path, start: bytes, encoding: str) -> None:
    """Raise a UserError where the first bytes, after unpacking, are no text in this encoding, but something else."""
    for magic, noun, remedy in FOREIGN:
        if start.startswith(magic):
            raise UserError(f"{clean(path)} is no text: it is {noun}.", remedy)
    for packing in (packing for packing in PACKINGS if packing.magic.match(start)):
        raise UserError(f"{clean(path)} is packed twice: it holds a {packing.noun}.", "Unpack it once.")
    if start[257:262] == b"ustar":
        raise UserError(f"{clean(path)} is a tar archive.", "Unpack it, and name its file or folder with --raw.")
    wide = encoding.startswith(("utf-16", "utf-32"))
    if not wide and (bom := next((name for bom, name in WIDE_BOMS if start.startswith(bom)), None)):
        raise UserError(f"{clean(path)} is text in {bom.upper()}, not in {encoding}.", f"Add --encoding {bom}.")
    if not wide and (b"\0" in start.partition(b"\n")[0] or start.count(b"\0") > MOST_ZEROS * len(start)):
        raise UserError(
            f"{clean(path)} holds zero bytes: it is no text, or text in UTF-16.",
            "If it is text, name its encoding, such as --encoding utf-16-le.",
        )
    if start.startswith(BOM_UTF8) and encoding != "utf-8":
        raise UserError(f"{clean(path)} begins with the mark of UTF-8.", f"Leave --encoding {encoding} out.")


class NotTheLog(UserError):
    """A file that is no part of the log: one that is named is refused, one of several is passed over and told of."""


class EmptyFile(NotTheLog):
    """A file without a byte, without a line of text, or without a header."""

    def __init__(self, path: Path, fault: str = "is empty", remedy: str = "Download or export it again.") -> None:
        super().__init__(f"{clean(path)} {fault}.", remedy)
