"""`benchmarks/request.py`: logits near float64 are timed, others end with exit code 3 before any time is printed."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from request import LIMIT, LIMITS, compare, named, summary

ROOT = Path(__file__).resolve().parents[1]
SMALL = ("--turns", "6", "--per-turn", "1", "--candidates", "20", "--rank", "8", "--short", "8")


def run(base: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "request.py"), "--base", str(base), *SMALL]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.mark.slow
def test_a_tree_against_itself() -> None:
    done = run(ROOT)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("largest error of a logit: base torch")
    result = json.loads(lines[-1])
    assert result["gate"]["torch"] == result["gate"]["base torch"] < LIMIT
    assert {"base torch", "base full", "torch", "full"} <= set(result["times"])
    assert result["floor_ms"] > 0
    for row in result["times"].values():
        for clock in ("cpu_ms", "wall_ms"):
            low, high = row[clock]["ratio_ci"]
            assert low <= row[clock]["ratio"] <= high
            assert 0 < row[clock]["least"] <= row[clock]["median"]


@pytest.mark.slow
def test_a_tree_with_other_logits_is_not_timed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "lrea_cli", tmp_path / "lrea_cli", ignore=shutil.ignore_patterns("__pycache__"))
    mlp = tmp_path / "lrea_cli" / "mlp.py"
    mlp.write_text(mlp.read_text().replace("addmv(self._last_bias,", "addmv(1 + self._last_bias,"))
    done = run(tmp_path)
    assert done.returncode == 3, done.stderr
    assert "The gate failed (base torch" in done.stderr
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("bad", [1e-4, math.nan])
def test_one_wrong_logit_fails_the_gate(bad: float) -> None:
    answers = {("base", "torch"): {"errors": [1e-7, bad, 2e-7]}, ("this", "x6"): {"errors": [1e-7, 3e-7]}}
    errors = compare(answers)
    assert errors["x6"] == 3e-7
    assert not errors["base torch"] <= LIMIT
    assert LIMITS["x3"] > LIMIT


def test_ratios_are_of_neighboring_turns() -> None:
    """A machine that grows slower during the run does so for all contenders of a round."""
    base = [2.0 * slow for slow in (1, 2, 4, 8, 16, 32, 64)]
    first = {"cpu_ms": base, "wall_ms": [3 * ms for ms in base], "page_faults": [1.0] * 7}
    own = {"cpu_ms": [ms / 2 for ms in base], "wall_ms": base, "page_faults": [0.0] * 7}
    result = summary(own, first, floor=0.5)
    assert result["cpu_ms"] == {"least": 1.0, "median": 8.0, "ratio": 2.0, "ratio_ci": (2.0, 2.0)}
    assert (result["wall_ms"]["ratio"], result["page_faults"], result["share_of_peak"]) == (3.0, 0.0, 0.5)
    assert [named(c) for c in (("this", "x6"), ("base", "torch"))] == ["x6", "base torch"]
