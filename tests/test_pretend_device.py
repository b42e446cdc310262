"""What the commands run on a GPU, on a device that is not there: nothing meets a tensor that stayed on the CPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lrea_cli.workspace.home import Workspace

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_training_compressing_the_gate_and_eval_keep_to_their_device(workspace_copy: Workspace) -> None:
    command = [sys.executable, "-W", "error", "-m", "tests.product_on_pretend_device", str(workspace_copy.home)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.strip() == "done"
