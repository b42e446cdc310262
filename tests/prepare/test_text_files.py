"""Bytes to columns of text: encodings, ends of lines, delimiters, escapes, and files that are no text."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from lrea_cli.errors import UserError
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.reading import rawfile
from lrea_cli.prepare.reading.delimited import STAND_INS
from lrea_cli.prepare.reading.rawfile import RawFile
from lrea_cli.prepare.sources.table import Table
from lrea_cli.prepare.sources.taobao import Taobao
from tests.prepare import test_taobao
from tests.prepare.test_table import NOON, extract

pytestmark = pytest.mark.every_third
HEADER = "user,item,time\n"


def rows(*users: str) -> str:
    return "".join(f"{user},9,{NOON + n}\n" for n, user in enumerate(users))


def file(folder: Path, content: bytes | str, encoding: str = "utf-8", name: str = "a.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode(encoding) if isinstance(content, str) else content)
    return path


def users(path: Path, source: Table | None = None, **settings: Any) -> list[str]:
    return [event["user"] for event in extract(source or Table(), path, **settings).events]


def refusal(path: Path, source: Table | None = None, **settings: Any) -> str:
    with pytest.raises(UserError) as caught:
        extract(source or Table(), path, **settings)
    assert str(path) in caught.value.message
    assert caught.value.remedy
    return f"{caught.value.message} {caught.value.remedy}"


@pytest.mark.parametrize("block_bytes", [20, 1 << 20])
def test_bytes_that_are_no_utf8_are_refused_by_line(tmp_path: Path, block_bytes: int) -> None:
    path = file(tmp_path, HEADER + rows("anna", "bert", "José", "Josè"), "latin-1")
    message = refusal(path, block_bytes=block_bytes)
    assert f"{path}, line 4: the byte 0xe9 in " in message
    assert "--encoding latin-1" in message


@pytest.mark.each_once
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("block_bytes", [7, 1 << 20])
def test_text_is_read_in_its_encoding(tmp_path: Path, encoding: str, newline: str, block_bytes: int) -> None:
    names = ["José", "Josè", "ਊ", "x"] if encoding.startswith("utf") else ["José", "Josè", "x"]
    path = file(tmp_path, (HEADER + rows(*names)).replace("\n", newline), encoding)
    found = extract(Table(), path, encoding=encoding, block_bytes=block_bytes)
    assert [(e["user"], e["source_row"]) for e in found.events] == [(name, n) for n, name in enumerate(names, 2)]


@pytest.mark.parametrize(
    ("encoding", "good", "bad"),
    [
        ("utf-16", "ਊ\u010a", b"\x00\xd8a\x00\n\x00"),  # half of a pair; characters with the byte of a line feed
        ("gb18030", "中文", b"\xff,1,1\n"),
        ("cp1252", "é", b"\x81,1,1\n"),
    ],
)
@pytest.mark.parametrize("block_bytes", [9, 1 << 20])
def test_the_line_is_named_in_every_encoding(
    tmp_path: Path, encoding: str, good: str, bad: bytes, block_bytes: int
) -> None:
    path = file(tmp_path, (HEADER + rows(good, "b", good)).encode(encoding) + bad)
    assert ", line 5: the byte 0x" in refusal(path, encoding=encoding, block_bytes=block_bytes)


@pytest.mark.parametrize(
    ("encoding", "asked"), [("utf-16-be", "utf-16"), ("utf-16-be", "utf-16-be"), ("utf-16-le", "utf-16-le")]
)
def test_the_byte_order_is_that_of_the_mark(tmp_path: Path, encoding: str, asked: str) -> None:
    text = HEADER + rows("é", "b")
    path = file(tmp_path, "\ufeff" + text, encoding)
    assert users(path, encoding=asked) == ["é", "b"]
    bad = tmp_path / "bad.csv"
    bad.write_bytes(path.read_bytes() + "\n\ud800a".encode(encoding, "surrogatepass"))
    for size in range(1, 80):
        assert b"".join(lines.data for lines in RawFile(path, encoding=asked).lines(size)).decode() == text
        with pytest.raises(UserError, match=", line 5: the byte 0x"):
            list(RawFile(bad, encoding=asked).lines(size))


@pytest.mark.parametrize("encoding", ["latin-1", "cp1251", "koi8-r"])
def test_utf8_is_not_read_in_an_encoding_of_one_byte(tmp_path: Path, encoding: str) -> None:
    """In a folder of files in two encodings one user would become two."""
    path = file(tmp_path, HEADER + rows(*["Жук"] * 20))
    for block_bytes in (7, 1 << 20):
        assert "is UTF-8, not " in refusal(path, encoding=encoding, block_bytes=block_bytes)
    assert users(path) == ["Жук"] * 20
    assert len(users(file(tmp_path, HEADER + rows("é")), encoding=encoding)) == 1  # too little to be sure


def test_other_sources_are_as_strict(tmp_path: Path) -> None:
    path = file(tmp_path, b"1,2,3,pv,1511600000\n1,2,3,p\xe9,1511600000\n")
    with pytest.raises(UserError, match=r"line 2: the byte 0xe9 .* no utf-8"):
        test_taobao.extract(path, source=Taobao())
    assert test_taobao.extract(path, encoding="latin-1").rejected == {"unknown_behavior": 1}


def test_utf16_is_named_by_its_mark_and_without_it(tmp_path: Path) -> None:
    text = HEADER + rows("a")
    for encoding, remedy in (("utf-16", "utf-16"), ("utf-32", "utf-32"), ("utf-16-be", "utf-16-le")):
        assert f"--encoding {remedy}" in refusal(file(tmp_path, text, encoding))
    assert "Leave --encoding cp1252 out" in refusal(file(tmp_path, text, "utf-8-sig"), encoding="cp1252")
    assert "text cannot be read as utf-16" in refusal(file(tmp_path, text, "latin-1"), encoding="utf-16")


@pytest.mark.parametrize("name", ["latin1", "ISO-8859-1", "L1"])
def test_spellings_of_an_encoding_are_one(name: str) -> None:
    assert PrepareOptions(encoding=name).text_encoding == "iso8859-1"


@pytest.mark.parametrize("name", ["utf-9", "base64", "rot13", "", "a\0b"])
def test_unknown_encodings_fail_before_any_work(name: str) -> None:
    with pytest.raises(UserError, match="--encoding is"):
        PrepareOptions(encoding=name)


@pytest.mark.parametrize("end", ["\r", ""])
def test_lone_carriage_returns_end_lines(tmp_path: Path, end: str) -> None:
    path = file(tmp_path, HEADER + rows("a", "b")[:-1] + end)
    assert users(path) == ["a", "b"]
    broken = file(tmp_path, HEADER + f"a\r,9,{NOON}\n" + rows("b"))
    found = extract(Table(), broken)
    assert [event["user"] for event in found.events] == ["b"]  # a good row is not the one that is quoted
    assert {(r.line, r.text) for r in found.examples} == {(2, "a"), (3, f",9,{NOON}")}


@pytest.mark.parametrize("inside", ["\x0b", "\x85", "\u2028", "\x1c"])
def test_only_line_feeds_end_the_header(tmp_path: Path, inside: str) -> None:
    path = file(tmp_path, f"no{inside}te,{HEADER}" + "".join(f"q,{row}\n" for row in rows("a", "b").splitlines()))
    assert users(path) == ["a", "b"]


def test_a_long_line_is_refused_before_it_fills_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rawfile, "LONGEST_LINE", 1 << 16)
    path = file(tmp_path, HEADER + rows("a") + "1" * (1 << 20) + "\n" + rows("b"))
    read = 0

    def progress(count: int) -> None:
        nonlocal read
        read += count

    for size in (1 << 10, 1 << 18):
        read = 0
        with pytest.raises(UserError, match=", line 3: the line is longer than") as caught:
            for _ in RawFile(path, progress).lines(size):
                pass
        assert caught.value.remedy
        assert read <= 3 * max(size, 1 << 16)


def test_a_line_longer_than_what_a_thread_takes_at_once_is_read(tmp_path: Path) -> None:
    path = file(tmp_path, HEADER + rows("a") + f"b,{'z' * (5 << 20)},{NOON}\n" + rows("c"))
    found = extract(Table(), path)
    assert [len(event["item"]) for event in found.events] == [1, 5 << 20, 1]


def test_columns_without_a_name_may_be_several(tmp_path: Path) -> None:
    assert users(file(tmp_path, f",,{HEADER}" + f"0,0,{rows('a')}")) == ["a"]
    assert users(file(tmp_path, f"0,0,{rows('a')}"), Table(columns=",,user,item,time")) == ["a"]
    assert "more than one column named 'x'" in refusal(file(tmp_path, f"x,x,{HEADER}" + f"0,0,{rows('a')}"))


def test_a_column_without_a_name_is_named_by_its_place(tmp_path: Path) -> None:
    said = refusal(file(tmp_path, "user,,time\n"), Table())
    assert "has no column 'item'" in said
    assert "It has: user, column 2 (no name), time." in said


def test_names_are_read_without_blanks_at_their_ends(tmp_path: Path) -> None:
    header = " user, item ,\ttime\u00a0\n"
    assert users(file(tmp_path, header + rows("a"))) == ["a"]
    assert "no column ' user' (did you mean 'user'?)" in refusal(file(tmp_path, header), Table(user_column=" user"))
    assert "more than one column named 'x'" in refusal(file(tmp_path, f"x, x,{HEADER}"))


def test_a_long_name_in_the_header(tmp_path: Path) -> None:
    path = file(tmp_path, HEADER.replace("\n", f",{'x' * 200_000}\n") + rows("a").replace("\n", ",1\n"))
    assert users(path) == ["a"]
    assert len(refusal(path, Table(user_column="y"))) < 1_000


@pytest.mark.parametrize("delimiter", ["::", "|~|", "¦", "\t", ";", " "])
def test_a_delimiter_may_have_several_characters(tmp_path: Path, delimiter: str) -> None:
    quoted = f'"x{delimiter}{STAND_INS[0]}"'
    path = file(tmp_path, (HEADER + rows(quoted, "b")).replace(",", delimiter))
    assert users(path, Table(delimiter=delimiter)) == [f"x{delimiter}{STAND_INS[0]}", "b"]


def test_delimiters_of_the_shell_and_impossible_ones() -> None:
    assert (
        Table(delimiter="\\t")._layout().separation.delimiter
        == Table(delimiter="tab")._layout().separation.delimiter
        == "\t"
    )
    for delimiter in ("", '"', "a", "\n", "\\"):
        with pytest.raises(UserError, match="--delimiter is"):
            Table(delimiter=delimiter)


def test_columns_of_a_file_without_a_header(tmp_path: Path) -> None:
    path = file(tmp_path, rows("a", "b"))
    assert users(path, Table(columns="user, item,time")) == ["a", "b"]
    assert "line 1: wrong_number_of_columns" in refusal(path, Table(columns="user,item,x,time"))
    for columns, message in (("", "--columns is ''"), ("a,b,a", "--columns has 'a' more than once")):
        with pytest.raises(UserError, match=message):
            Table(columns=columns)


def test_escaped_quotes_are_read_or_refused_by_line(tmp_path: Path) -> None:
    path = file(tmp_path, HEADER + rows("a") + f'b,"say \\"hi\\" x",{NOON}\n' + rows("c"))
    message = refusal(path)
    assert f"{path}, line 3: a backslash stands before a quote" in message
    assert "--backslash" in message
    found = extract(Table(backslash=True), path)
    assert [event["item"] for event in found.events] == ["9", 'say "hi" x', "9"]
    ends = file(tmp_path, HEADER + f'"C:\\",9,{NOON}\n')  # a value that ends with a backslash
    assert users(ends) == ["C:\\"]


@pytest.mark.parametrize(("suffix", "pack"), [(".bz2", bz2.compress), (".xz", lzma.compress), (".GZ", gzip.compress)])
def test_packed_text_is_read_in_place(tmp_path: Path, suffix: str, pack: Any) -> None:
    packed = pack((HEADER + rows(*map(str, range(500)))).encode())
    for name in (f"a.csv{suffix}", "a.csv"):  # by its first bytes
        assert len(users(file(tmp_path, packed, name=name))) == 500
    path = file(tmp_path, packed[: len(packed) // 2], name=f"b.csv{suffix}")
    assert "cannot be read" in refusal(path)
    assert "is not a " in refusal(file(tmp_path, HEADER, name=f"c.csv{suffix}"))


@pytest.mark.parametrize(
    ("start", "named"),
    [
        (b"\x28\xb5\x2f\xfd", "Zstandard"),
        (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Excel"),
        (b"SQLite format 3\x00", "SQLite"),
        (b"ARROW1", "Arrow"),
        (b"\x7fELF\x02\x01\x01\x00", "zero bytes"),
        (b"log.csv".ljust(257, b"x") + b"ustar", "tar archive"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_what_is_no_text_is_named(tmp_path: Path, start: bytes, named: str, pack: Any) -> None:
    message = refusal(file(tmp_path, pack(start + b"\x01\x02" * 30)))
    assert named in message
    assert "has no column" not in message


def test_text_that_is_packed_twice_is_named(tmp_path: Path) -> None:
    assert "packed twice" in refusal(file(tmp_path, gzip.compress(gzip.compress(HEADER.encode()))))


def test_parquet_is_named_where_text_is_expected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a Parquet file"):
        test_taobao.extract(file(tmp_path, b"PAR1" + bytes(50), name="UserBehavior.csv"))


def test_archives_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    workbook = tmp_path / "a.xlsx"
    with zipfile.ZipFile(workbook, "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
        archive.writestr("xl/workbook.xml", "<x/>")
    assert "Excel" in refusal(workbook)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", HEADER)
    content = bytearray(path.read_bytes())
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(magic) + flags] |= 1
    path.write_bytes(content)
    assert "is encrypted" in refusal(path)


def test_a_few_zero_bytes_in_a_value_are_text(tmp_path: Path) -> None:
    assert users(file(tmp_path, HEADER + rows("a\0b", "c", "d"))) == ["a\0b", "c", "d"]


def test_a_header_may_begin_with_the_letters_of_zip(tmp_path: Path) -> None:
    path = file(tmp_path, f"PK,user,item,time\n1,a,9,{NOON}\n")
    assert users(path) == ["a"]


def test_messages_hold_no_terminal_escapes(tmp_path: Path) -> None:
    evil = "\x1b[31m\x07"
    header = file(tmp_path, f"{evil},item,time\n")
    archive_path = tmp_path / "b.zip"
    with zipfile.ZipFile(archive_path, "w") as archive:
        for name in ("a", evil):
            archive.writestr(name, HEADER)
    for path, source in ((header, Table()), (archive_path, Table()), (file(tmp_path, "", name=f"{evil}.csv"), Table())):
        with pytest.raises(UserError) as caught:
            extract(source, path)
        assert not re.search(r"[\x00-\x1f]", caught.value.message)
        assert r"\x1b[31m" in caught.value.message
