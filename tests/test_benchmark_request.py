"""`benchmarks/request.py`: equal logits are timed, others end with exit code 3 before any time is printed."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from request import compare, summary

ROOT = Path(__file__).resolve().parents[1]
SMALL = ("--turns", "6", "--per-turn", "1", "--candidates", "20", "--rank", "8", "--short", "8")


def run(base: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "request.py"), "--base", str(base), *SMALL]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_a_tree_against_itself() -> None:
    done = run(ROOT)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("gate: ")
    result = json.loads(lines[-1])
    assert result["gate"]["this against base"] == 0
    assert result["gate"]["this against float64"] < 1e-5
    for what in ("request", "full"):
        for clock in ("cpu_ms", "wall_ms"):
            times = result[what][clock]
            low, high = times["ratio_ci"]
            assert low <= times["ratio"] <= high
            assert min(times["base"], times["this"]) > 0
    for side in ("base", "this"):
        stages = result["stages_cpu_ms"][side]
        assert all(ms > 0 for ms in stages.values()), stages


def test_a_tree_with_other_logits_is_not_timed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "lrea_cli", tmp_path / "lrea_cli", ignore=shutil.ignore_patterns("__pycache__"))
    weights = tmp_path / "lrea_cli" / "kernels" / "weights.py"
    weights.write_text(weights.read_text().replace("SLOPE = 0.01", "SLOPE = 0.02"))
    done = run(tmp_path)
    assert done.returncode == 3, done.stderr
    assert "The gate failed" in done.stderr
    assert done.stdout.startswith("gate: ")
    assert "time" not in done.stdout
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("bad", [2e-5, -2e-5, float("nan")])
@pytest.mark.parametrize("where", ["base", "this"])
def test_one_wrong_logit_fails_the_gate(where: str, bad: float) -> None:
    answers = {side: {"logits": [[0.1, 0.2], [0.3, 0.4]], "errors": [1e-7, 2e-7]} for side in ("base", "this")}
    assert compare(answers) == {
        "this against base": 0.0,
        "base against float64": 2e-7,
        "this against float64": 2e-7,
    }
    answers[where] = {"logits": [[0.1, 0.2], [0.3 + bad, 0.4]], "errors": [1e-7, 2e-7]}
    assert not compare(answers)["this against base"] <= 1e-5
    answers[where] = {"logits": answers["base"]["logits"], "errors": [math.nan, 1e-7]}
    assert math.isnan(compare(answers)[f"{where} against float64"])


def test_ratios_are_of_neighboring_turns() -> None:
    """A machine that grows slower during the run does so for both sides of a turn."""
    base = [2.0 * slow for slow in (1, 2, 4, 8, 16, 32, 64)]
    turns = {
        "base": [{"cpu_ms": ms, "wall_ms": 3 * ms, "page_faults": 1.0} for ms in base],
        "this": [{"cpu_ms": ms / 2, "wall_ms": ms, "page_faults": 0.0} for ms in base],
    }
    result = summary(turns)
    assert result["cpu_ms"] == {"base": 16.0, "this": 8.0, "ratio": 2.0, "ratio_ci": (2.0, 2.0)}
    assert result["wall_ms"]["ratio"] == 3.0
    assert result["page_faults"] == {"base": 1.0, "this": 0.0}
