"""Commands that run in the process of a test: parsed by one command line, and gates of few users."""

from __future__ import annotations

from typing import Any

import pytest
from typer.main import get_command

from lrea_cli import cli
from lrea_cli.bench import gate
from lrea_cli.cli import app


@pytest.fixture(scope="session")
def command() -> Any:
    """All of `lrea`; a process of its own would make it once, too."""
    return get_command(app)


@pytest.fixture(autouse=True)
def quick_commands(monkeypatch: pytest.MonkeyPatch, command: Any) -> None:
    """The gate itself is tested in `tests/bench/test_gate.py`."""
    monkeypatch.setattr(cli, "get_command", lambda app: command)
    monkeypatch.setattr(gate, "GATE_USERS", 3)
