"""A command reads the manifest of its dataset and of its cache once: a second reading could find another version."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lrea_cli.bench import gate as gate_module
from lrea_cli.cli import main
from lrea_cli.workspace import home as workspace_module
from lrea_cli.workspace.home import Workspace, read_artifact

BENCH = "--candidates 5 --seconds 0.1"


@pytest.fixture
def reads(workspace_copy: Workspace, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Artifact within the home -> times that its manifest was read."""
    found: Counter[str] = Counter()

    def counted(kind: Any, path: Path) -> Any:
        found[str(path.relative_to(workspace_copy.home))] += 1
        return read_artifact(kind, path)

    monkeypatch.setattr(workspace_module, "read_artifact", counted)
    monkeypatch.setattr(gate_module, "GATE_USERS", 2)
    monkeypatch.setenv("LREA_HOME", str(workspace_copy.home))
    return found


def run(line: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(line.split())
    assert not stop.value.code


@pytest.mark.slow
def test_no_manifest_of_a_dataset_or_cache_is_read_twice(reads: Counter[str]) -> None:
    run("compress --run tiny-din --cache few --as-of 2025-12-01")
    run("eval --run tiny-lrea")
    for line in (
        "compress --run tiny-din --as-of 2025-12-01",
        "eval --cache few",
        "eval --run tiny-din",
        f"serve-bench --cache few {BENCH}",
        f"serve-bench --run tiny-din {BENCH}",
        "compare tiny-lrea few",
        "cost",
    ):
        reads.clear()
        run(line)
        assert reads, line
        twice = [path for path, times in reads.items() if times > 1 and not path.startswith("runs/")]
        assert not twice, line  # runs are listed once more at the end, for the command that is proposed next
