"""docs/fidelity.md: each mechanism has a status and a test; `faithful` is refused where that test does not pass."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lrea_cli.recipe.settings import METHOD_NAMES
from tests.mechanisms import STATUSES, count_statuses, read_mechanisms

ROOT = Path(__file__).parents[1]
MECHANISMS = read_mechanisms()
PINNED = sorted({m.test for m in MECHANISMS if m.status == "faithful"})


def test_every_mechanism_has_a_status_and_a_test() -> None:
    text = (ROOT / "docs" / "fidelity.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "|---" not in line]
    headings = [line for line in rows if line.startswith(("| mechanism |", "| place |"))]
    assert len(MECHANISMS) == len(rows) - len(headings) > 60
    assert {m.status for m in MECHANISMS} == set(STATUSES)


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=lambda m: f"{m.section[:9]}: {m.name}")
def test_the_named_test_exists(mechanism) -> None:
    path, _, name = mechanism.test.partition("::")
    assert re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)


def test_every_method_of_a_paper_has_a_section_and_something_faithful() -> None:
    counts = count_statuses()
    for method in METHOD_NAMES:
        if method not in ("mean", "din-short", "category"):  # of no paper
            assert counts[method.upper()]["faithful"] > 0, method
    assert sum(sum(section.values()) for section in counts.values()) == len(MECHANISMS)


@pytest.mark.slow
def test_what_is_called_faithful_is_pinned_by_a_test_that_passes() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-m", "slow or not slow", "-p", "no:cacheprovider", *PINNED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    outcomes = re.findall(r"^(PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS) (\S+?)(?:\[|$| )", done.stdout, re.MULTILINE)
    for test in PINNED:
        assert {outcome for outcome, name in outcomes if name == test} == {"PASSED"}, f"{test}\n{done.stdout}"
