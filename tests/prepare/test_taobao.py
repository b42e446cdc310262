"""Taobao's raw format: every trap is counted by reason; nothing is lost; archives are read in place."""

from __future__ import annotations

import gzip
import hashlib
import re
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrea_cli.errors import LreaError, UserError
from lrea_cli.prepare.events import sort_events
from lrea_cli.prepare.reading.judge import REJECTED_PER_REASON
from lrea_cli.prepare.sources import taobao
from lrea_cli.prepare.sources.base import Sampling
from lrea_cli.prepare.sources.taobao import LAST_DAY, WINDOW_FROM, WINDOW_LAST, Taobao
from lrea_cli.prepare.vocabulary import number_users, number_values
from tests.fixtures.taobao_raw import write_taobao
from tests.prepare.found import Found, intake_of
from tests.prepare.loops.prepare import read_taobao
from tests.selection import examples


def extract(*files: Path, source: Taobao | None = None, **settings: Any) -> Found:
    """Read raw files up to the point where repeats are gone."""
    with duckdb.connect(config={"threads": 2}) as db:
        intake = intake_of(db, **settings)
        found = (source or Taobao()).extract(intake, list(files))
        number_users(db)
        for field in found.fields:
            number_values(db, field, 0)
        sort_events(intake, found, 1000)
        intake.rejected += Counter()  # without zeros
        intake.check_published(found.published)
        events = db.execute(
            "SELECT u.user, time, i.value, c.value FROM events JOIN users AS u USING (user_id) "
            "JOIN vocab_item AS i ON f_item = i.id JOIN vocab_category AS c ON f_category = c.id ORDER BY source_row"
        ).fetchall()
    assert intake.read == len(events) + intake.rejected.total()
    return Found(found, intake, events)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [False, True])
def test_every_trap_is_counted(tmp_path: Path, newline: str, bom: bool) -> None:
    raw = write_taobao(tmp_path / "UserBehavior.csv", users=20, newline=newline, bom=bom)
    found = extract(raw.path)
    assert found.rejected == raw.rejected
    assert found.intake.read == raw.rows
    assert found.extract.sampling == Sampling()
    assert (found.extract.utc_offset_minutes, found.extract.last_day) == (480, LAST_DAY)
    expected, _ = read_taobao(raw.lines)
    assert found.events == [(e.user, e.time, e.item, e.category) for e in expected]
    assert [(r.line, r.text) for r in found.examples] == [
        (n, text) for n, text in enumerate(raw.lines, 1) if n in {r.line for r in found.examples}
    ]
    assert len(found.examples) == sum(found.rejected.values())


def test_window_is_that_of_china_and_its_last_day_is_2017_12_03(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    times = (WINDOW_FROM - 1, WINDOW_FROM, WINDOW_LAST, WINDOW_LAST + 1)
    path.write_text("".join(f"1,{n},3,pv,{t}\n" for n, t in enumerate(times)))
    found = extract(path)
    assert [row[1] for row in found.events] == [WINDOW_FROM, WINDOW_LAST]
    assert found.rejected == {"outside_window": 2}
    assert LAST_DAY * 86_400 == 1_512_259_200  # 2017-12-03 as a date


def test_behaviors_option(tmp_path: Path) -> None:
    raw = write_taobao(tmp_path / "UserBehavior.csv", users=20)
    for option in ("pv,cart", " buy , fav"):
        wanted = tuple(word.strip() for word in option.split(","))
        found = extract(raw.path, source=Taobao(behaviors=option))
        expected, rejected = read_taobao(raw.lines, wanted)
        assert (len(found.events), found.rejected) == (len(expected), rejected)
    with pytest.raises(UserError, match=r"--behaviors has 'carts' \(did you mean 'cart'\?\)"):
        Taobao(behaviors="pv,carts")


cells = st.one_of(
    st.sampled_from(
        [
            "1",
            "2",
            "-0",
            "+7",
            "007",
            " 1",
            "1.5",
            "1e3",
            "0x1",
            "1_0",
            "",
            '"1',
            "9" * 19,
            "-" + "9" * 30,
            "\uff11",
        ]
    ),
    st.text(st.characters(exclude_characters="\r\n,", exclude_categories=["Cs"]), max_size=4),
)
lines = st.one_of(
    st.builds("{},{},3,{},{}".format, cells, cells, st.sampled_from(["pv", "pv", "buy", "PV"]), st.just(WINDOW_FROM)),
    st.lists(cells, min_size=1, max_size=7).map(",".join),
    st.just("5,6,7,pv,1511600000"),
)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(lines, min_size=1, max_size=12), st.sampled_from([16, 1 << 20]))
def test_read_is_kept_plus_rejected_for_any_text(tmp_path_factory: Any, rows: list[str], block_bytes: int) -> None:
    """Blocks of a line or two are parsed the fast way where that line allows it, whole files the slow way."""
    path = tmp_path_factory.mktemp("t") / "a.csv"
    rows = ["1,1,1,pv,1511600001", *rows]
    path.write_bytes(("\n".join(rows) + "\n").encode())
    found = extract(path, block_bytes=block_bytes)
    expected, reasons = read_taobao(rows)
    assert found.intake.read == len(rows)
    assert found.rejected == reasons
    assert found.events == [(e.user, e.time, e.item, e.category) for e in expected]
    assert all(r.text == rows[r.line - 1][:500] for r in found.examples)


def test_one_more_good_row_is_one_more_kept(tmp_path: Path) -> None:
    raw = write_taobao(tmp_path / "UserBehavior.csv", users=8)
    before = extract(raw.path)
    with raw.path.open("a") as file:
        file.write("987654,1,1,pv,1511600000\n")
    after = extract(raw.path)
    assert after.rejected == before.rejected
    assert after.intake.read == before.intake.read + 1
    assert len(after.events) == raw.kept + 1


def test_line_numbers_hold_across_blocks(tmp_path: Path) -> None:
    """Several megabytes, malformed rows anywhere: a wrong count would shift all lines after it."""
    rows = [f"{n},2,3,pv,1511600000" if n % 1000 else "short" for n in range(120_000)]
    rows[70_001] = "x,2,3,pv,1511600000"
    rows[90_002] = rows[90_001]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(rows))
    found = extract(path, block_bytes=1 << 16)
    assert [(r.line, r.text) for r in found.examples if r.reason == "duplicate"] == [
        (90_003, "90001,2,3,pv,1511600000")
    ]
    assert [r.line for r in found.examples if r.reason == "not_an_integer"] == [70_002]
    short = [r for r in found.examples if r.reason == "wrong_number_of_columns"]
    assert [(r.line, r.text) for r in short] == [(n, "short") for n in range(1, 120_001, 1000)]
    assert [row[0] for row in found.events] == [n for n in range(120_000) if n % 1000 and n not in (70_001, 90_002)]
    assert found.intake.read == 120_000


def test_rejected_rows_are_capped_and_counted_in_full(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    bad = 2 * REJECTED_PER_REASON
    path.write_text("1,2,3,pv,1511600000\n" + "1,2,3,pv,1\n" * bad + "1\n" * bad)
    found = extract(path)
    assert found.rejected == {"outside_window": bad, "wrong_number_of_columns": bad}
    assert len(found.examples) == 2 * REJECTED_PER_REASON


@pytest.mark.parametrize("form", ["gz", "zip"])
def test_archives_are_read_in_place(tmp_path: Path, form: str) -> None:
    raw = write_taobao(tmp_path / "UserBehavior.csv", users=8)
    packed = pack(raw.path, form)
    found, plain = extract(packed), extract(raw.path)
    assert (found.rejected, found.events) == (plain.rejected, plain.events)
    assert found.intake.files[0].sha256 == hashlib.sha256(packed.read_bytes()).hexdigest()
    assert set(tmp_path.iterdir()) == {raw.path, packed}  # nothing was unpacked


@pytest.mark.parametrize("form", ["gz", "zip"])
@pytest.mark.parametrize("cut", [3, 0.5, -20])
def test_truncated_archive(tmp_path: Path, form: str, cut: float) -> None:
    packed = pack(write_taobao(tmp_path / "UserBehavior.csv", users=8).path, form)
    content = packed.read_bytes()
    packed.write_bytes(content[: int(cut * len(content)) if isinstance(cut, float) else cut])
    with pytest.raises(UserError, match="cannot be read") as caught:
        extract(packed)
    assert "download it again" in caught.value.remedy


def test_damaged_zip(tmp_path: Path) -> None:
    packed = pack(write_taobao(tmp_path / "UserBehavior.csv", users=8).path, "zip")
    content = bytearray(packed.read_bytes())
    content[len(content) // 2] ^= 0xFF
    packed.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read"):
        extract(packed)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv.zip", b"<!DOCTYPE html>", "is not a zip archive"),
        ("a.csv.gz", b"1,2,3,pv,1511600000\n", "is not a gzip file"),
        ("a.csv", b"\xef\xbb\xbf", "is empty"),
        ("a.csv", b"user,item,category,behavior,time\n", "No row of .* line 1: not_an_integer: 'user,item"),
        ("a.csv", b"<html><body>Sign in</body></html>\n", "No row of"),
        ("a.csv", b"1,2,3,pv,1\xff\xfe\n", "line 1: the byte 0xff"),
        ("a.csv", b"\x00" * 100, "holds zero bytes"),
        ("a.csv", b"1" * 3_000_000, "cannot be read|No row of"),
    ],
)
def test_unusable_files_are_the_users_mistake(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        extract(path)
    assert str(path) in caught.value.message
    assert caught.value.remedy


def test_zip_with_two_files(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "1")
        archive.writestr("__MACOSX/._a.csv", "x")
        archive.writestr("b.csv", "1")
    with pytest.raises(UserError, match=r"must hold one file, and it holds a\.csv, b\.csv"):
        extract(path)


def test_published_counts_are_asserted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = write_taobao(tmp_path / "UserBehavior.csv", users=8)
    monkeypatch.setattr(taobao, "PUBLISHED_SHA256", hashlib.sha256(raw.path.read_bytes()).hexdigest())
    monkeypatch.setattr(taobao, "PUBLISHED_ROWS", raw.rows)
    monkeypatch.setattr(taobao, "PUBLISHED_OUTSIDE", raw.rejected["outside_window"])
    monkeypatch.setattr(taobao, "PUBLISHED_CLICKS", raw.kept)
    assert extract(pack(raw.path, "zip")).rejected == raw.rejected
    monkeypatch.setattr(taobao, "PUBLISHED_CLICKS", raw.kept + 1)
    with pytest.raises(LreaError, match="counts differ"):
        extract(raw.path)

    every = Taobao(behaviors="pv,cart,fav,buy")
    monkeypatch.setattr(taobao, "PUBLISHED_KEPT", raw.kept + raw.rejected["other_behavior"])
    monkeypatch.setattr(taobao, "PUBLISHED_DUPLICATES", raw.rejected["duplicate"])
    assert extract(raw.path, source=every).rejected["duplicate"] == raw.rejected["duplicate"]
    monkeypatch.setattr(taobao, "PUBLISHED_DUPLICATES", raw.rejected["duplicate"] + 1)
    with pytest.raises(LreaError, match="counts differ"):
        extract(raw.path, source=every)


def pack(path: Path, form: str) -> Path:
    packed = path.with_name(f"{path.name}.{form}")
    if form == "gz":
        packed.write_bytes(gzip.compress(path.read_bytes()))
    else:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(path, "folder/UserBehavior.csv")
    return packed


def test_a_wrong_format_stops_early_and_shows_its_first_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    good = [f"{n},2,3,pv,1511600000" for n in range(2000)]
    path.write_text("\n".join([*good, *["pv,1,2,3,1511600000"] * 300_000]))
    with pytest.raises(UserError) as caught:
        extract(path, max_rejected="1%", block_bytes=1 << 16)
    found = re.search(
        r"([\d,]+) of the first ([\d,]+) rows cannot be used: more than --max-rejected 1\.00%", str(caught.value)
    )
    assert found is not None
    assert int(found[2].replace(",", "")) < 10_000
    assert "a.csv, line 2001: not_an_integer: 'pv,1,2,3,1511600000'. a.csv, line 2002:" in caught.value.message
    assert "user, item, category, behavior, time" in caught.value.remedy
    assert extract(path, max_rejected="100%").rejected == {"not_an_integer": 300_000}


@pytest.mark.parametrize(
    ("share", "bad", "stops"), [("1%", 100, False), ("1%", 101, True), ("20%", 101, False), ("0%", 1, True)]
)
def test_a_few_bad_rows_stop_nothing_unless_none_is_allowed(tmp_path: Path, share: str, bad: int, stops: bool) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n".join([*(f"{n},2,3,pv,1511600000" for n in range(500)), *["x"] * bad]))
    if stops:
        with pytest.raises(UserError, match="cannot be used"):
            extract(path, max_rejected=share)
    else:
        assert extract(path, max_rejected=share).rejected == {"wrong_number_of_columns": bad}


def test_what_the_protocol_leaves_out_is_no_wrong_form(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("1,2,3,pv,1511600000\n" + "1,2,3,cart,1511600000\n" * 500)
    assert extract(path, max_rejected="0%").rejected == {"other_behavior": 500}
