"""Pages that are dropped are gone: the system says so, and the next read comes from the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lrea_cli.bench.load import pages as module
from lrea_cli.bench.load.pages import disk_bytes, page_cache

SIZE = 1 << 20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "records-00000.bin"
    path.write_bytes(os.urandom(SIZE))
    return path


def require_dropping(file: Path) -> None:
    with page_cache([file]) as pages:
        if not pages.drops():
            pytest.skip("this file system does not take files out of memory: set TMPDIR to a disk")


def test_dropped_pages_are_read_from_the_disk(file: Path) -> None:
    require_dropping(file)
    with page_cache([file]) as pages:
        file.read_bytes()
        assert pages.resident() == SIZE
        pages.drop()
        assert pages.resident() == 0
        before = disk_bytes()
        file.read_bytes()
        assert pages.resident() == SIZE
        assert before is None or (disk_bytes() or 0) - before >= SIZE


def test_all_files_are_dropped(file: Path) -> None:
    require_dropping(file)
    other = file.with_name("records-00001.bin")
    other.write_bytes(os.urandom(SIZE))
    with page_cache([file, other]) as pages:
        file.read_bytes()
        assert pages.resident() == 2 * SIZE
        pages.drop()
        assert pages.resident() == 0
        assert pages.drops()
        other.read_bytes()
        assert (pages.resident() or 0) >= SIZE


def test_a_system_that_drops_nothing_is_seen(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    with page_cache([file]) as pages:
        assert not pages.drops()


def test_a_system_that_does_not_say_is_not_trusted(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_resident", lambda file: None)
    with page_cache([file]) as pages:
        assert pages.resident() is None
        assert not pages.drops()
    monkeypatch.setattr(module, "PROC_IO", file.with_name("none"))
    assert disk_bytes() is None


def test_an_empty_file_has_no_pages(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    with page_cache([path]) as pages:
        assert pages.resident() == 0
    assert pages._files == []
