"""A new metric is one file and one entry of `METRICS`: eval, its slices, compare and the tables of a sweep show it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from lrea_cli.workspace.home import Workspace

PROGRAM = """
import sys
from lrea_cli.stats import metrics

def share(rows):
    return float((rows.logits > -1).mean()) if len(rows.labels) else None

NEW = metrics.Metric("high_share", "share of high logits", "near 1", share, share, column="share")
metrics.METRICS = (*metrics.METRICS, NEW)

from lrea_cli.reporting.results import SHORT, TRAINED
assert "share" in SHORT and "share" in TRAINED

from lrea_cli.cli import main
main(sys.argv[1:])
"""


def lrea(home: Workspace, *arguments: str) -> tuple[dict[str, Any], list[str]]:
    """The JSON of a command, and the lines of its tables."""
    environment = {**os.environ, "LREA_HOME": str(home.home), "COLUMNS": "200"}
    command = [sys.executable, "-W", "error", "-c", PROGRAM, *arguments, "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr.splitlines()


@pytest.mark.slow
def test_a_metric_that_is_added_is_shown_everywhere(workspace_copy: Workspace) -> None:
    content, lines = lrea(workspace_copy, "eval", "--run", "tiny-lrea")
    assert 0 < content["high_share"] < 1
    assert "high_share" in content["slices"]["long 0"]
    assert any("share of high logits" in line for line in lines)
    assert any("slice" in line and "share" in line for line in lines)
    compared, lines = lrea(workspace_copy, "compare", "tiny-lrea", "tiny-lrea")
    assert compared["rows"][0]["high_share"] == content["high_share_cached"]
    assert any("share of high logits" in line for line in lines)
