"""A disk that takes no more: a sentence, no traceback, and nothing half-written stays."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from lrea_cli import cli
from tests.fixtures.taobao_raw import write_taobao


@pytest.mark.parametrize("limit", [50_000, 1_000_000], ids=["while reading", "later"])
def test_a_preparation_that_cannot_write_says_so_and_leaves_nothing(tmp_path: Path, limit: int) -> None:
    """No file may grow above a limit, which fails as a full disk does."""
    raw, home = write_taobao(tmp_path / "UserBehavior.csv").path, tmp_path / "home"
    done = subprocess.run(
        [sys.executable, "-m", "lrea_cli", "prepare", "taobao", "--raw", str(raw)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        env=os.environ | {"LREA_HOME": str(home)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((home / "data").iterdir()) == []


def test_a_full_disk_has_a_remedy(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(command: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "where")

    monkeypatch.setattr(cli, "get_command", full)
    with pytest.raises(SystemExit) as stop:
        cli.main(["train"])
    said = capsys.readouterr().err
    assert stop.value.code == 1
    assert "error: No space left on device: where\n" in said
    assert "set LREA_HOME to a folder on a larger disk" in said
