"""What the commands print fits 80 columns: sentences, tables and help; commands to copy and paths stay whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from lrea_cli.cli import app, main

SMALL = "--epochs 1 --batch-size 64 --threads 1 --rank 4 --long 20 --short 5"
CHAIN = (
    "prepare synthetic --users 60",
    f"train {SMALL}",
    "train --method din --epochs 1 --batch-size 64 --threads 1 --long 20 --short 5",
    "compress --run synthetic-din-1 --compressor clusters --target 0.1",
    "serve-bench --candidates 5 --seconds 0.1",
    "eval --cache-age 1d",
    "eval --run synthetic-lrea-1",
    "compare synthetic-lrea-1 synthetic-din-1",
    "serve-bench --candidates 5 --seconds 0.1 --clients 2 --rate 50 --slo-ms 100 --without-record 0.1",
    "serve-bench --methods lrea,din --candidates 5 --seconds 0.1",
    "cost",
    "verify",
    "train --dataset a-name-that-is-long-enough-for-a-line-of-its-own-and-names-no-dataset",
    "serve-bench --methods all --run synthetic-lrea-1",
)
WHOLE = re.compile(r"[^ ]*|`?(lrea|then lrea|next: lrea) .*")
"""What may be wider, without the indent: one word, such as a path, or a command."""


@pytest.fixture
def at_80_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LREA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def shown(capfd: pytest.CaptureFixture[str], command: str) -> list[str]:
    """All lines of a command, of both streams."""
    capfd.readouterr()
    with pytest.raises(SystemExit):
        main(command.split())
    found = capfd.readouterr()
    return [*found.out.splitlines(), *found.err.splitlines()]


def commands(command: Any, path: str = "") -> Iterator[str]:
    """Every command with its groups: `prepare`, `prepare taobao`, .."""
    for name, inner in getattr(command, "commands", {}).items():
        yield f"{path} {name}".strip()
        yield from commands(inner, f"{path} {name}")


@pytest.mark.slow
def test_no_line_of_the_chain_is_wider(at_80_columns: None, capfd: pytest.CaptureFixture[str]) -> None:
    for command in CHAIN:
        lines = shown(capfd, command)
        assert lines, command
        wide = [line for line in lines if len(line) > 80 and not WHOLE.fullmatch(line.strip())]
        assert wide == [], command


@pytest.mark.parametrize("command", ["", *commands(get_command(app))])
def test_help_is_readable(at_80_columns: None, capfd: pytest.CaptureFixture[str], command: str) -> None:
    lines = shown(capfd, f"{command} --help")
    assert [line for line in lines if len(line) > 80 or "…" in line] == []
    options = [re.match(r"│ (--[a-z-]+ +<[^>]*> +)", line) for line in lines]
    assert all(len(found[1]) <= 47 for found in options if found), command
