"""`lrea decide` as a user types it: a tiny decision whole, cut off and continued, asked again, and each error path."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from lrea_cli.decide.running.clock import Clock
from lrea_cli.decide.verdict.answer import read_decision
from tests.commands.test_chain import home, lrea, result

__all__ = ["home"]

METHODS = "din,category,codes"
ASK = ["decide", "--dataset", "tiny", "--methods", METHODS, "--seeds", "1", "--hours", "0.5", "--candidates", "50"]


@pytest.fixture
def tiny(home: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A home with a planted dataset of 150 users."""
    lrea(capsys, "prepare", "synthetic", "--users", 150, "--lengths", "week", "--dataset", "tiny", "--threads", 1)
    return home


def run_in_process(home: Path, *arguments: str, kill_at: tuple[str, int] | None = None) -> list[str]:
    """The lines of a command in a process of its own, which is killed when a text was said so many times."""
    lines: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-m", "lrea_cli", *arguments],
        env={**os.environ, "LREA_HOME": str(home), "PYTHONUNBUFFERED": "1", "COLUMNS": "10000"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if kill_at is not None and sum(kill_at[0] in said for said in lines) == kill_at[1]:
                process.send_signal(signal.SIGKILL)
    assert (process.returncode == 0) == (kill_at is None), lines
    return lines


def done_jobs(lines: list[str]) -> list[str]:
    """The jobs that said that they ended."""
    ended = r"^(\S.*?): (valid AUC|test AUC|logits deviate|passed|(?=[\d,]+ bytes a record)|lose|(?=[\d.]+ ms a row))"
    return [f"{found[1]}: {found[2]}" for line in lines if (found := re.match(ended, line))]


@pytest.mark.slow
def test_a_decision_is_killed_goes_on_and_does_nothing_twice(tiny, capsys):
    first = run_in_process(tiny, *ASK, "--jobs", "1", kill_at=("valid AUC", 5))
    second = run_in_process(tiny, *ASK, "--jobs", "1", kill_at=("logits deviate", 1))
    third = run_in_process(tiny, *ASK, "--jobs", "1")
    jobs = Counter(done_jobs([*first, *second, *third]))
    assert min(map(len, map(done_jobs, (first, second, third)))) >= 4
    assert set(jobs.values()) == {1}, jobs
    (folder,) = (tiny / "decisions").iterdir()
    decision = read_decision(folder / "decision.json")
    measured = decision.measured
    assert [each.name for each in measured.contenders] == ["category", "din", "din, codes 16", "din, codes 64"]
    for each in measured.contenders:
        assert each.auc.value is not None
        assert 0 < each.auc.value < 1
        assert each.p99_ms.value is not None
        assert each.p50_ms.value is not None
        assert 0 < each.p50_ms.value <= each.p99_ms.value
        assert {loss.against for loss in each.losses} == {c.name for c in measured.contenders} - {each.name}
        assert [aged.days for aged in each.aged] == ([] if each.name == "din" else [1.0, 3.0])
        shares = [point.share for point in each.curve]
        assert shares == ([] if each.kind == "compressed" else [0.25, 0.5, 1.0])
    assert measured.named("din").kind == "full"
    assert {counter.name for counter in measured.counters} >= {"behaviors on the candidate"}
    assert measured.plan[0].startswith("2 methods with 4 settings each")
    assert "fetch(" not in (folder / "decision.html").read_text()
    # Another budget and tolerance read the same numbers.
    again = result(capsys, *ASK, "--budget-ms", 0.001, "--tolerance", 0.3, "--to", tiny.parent / "page")
    assert again["verdict"]["answer"] in ("over-budget", "no-long-history")
    assert (
        again["measured"]["contenders"] == json.loads((folder / "decision.json").read_text())["measured"]["contenders"]
    )
    assert sorted(p.name for p in (tiny.parent / "page").iterdir()) == [
        "decision.html",
        "decision.json",
        "decision.md",
    ]
    assert len(list((tiny / "decisions").iterdir())) == 1


def test_what_cannot_be_asked_is_refused(home, capsys):
    for arguments, said in (
        (["--methods", "din,sketchy"], "did you mean 'sketch'"),
        (["--methods", "lrea,sdim,codes"], "Name din, too."),
        (["--methods", "din"], "between two methods or more"),
        (["--budget-ms", "0"], "--budget-ms is 0"),
        (["--tolerance", "nan"], "--tolerance is nan"),
        (["--hours", "0"], "--hours is 0"),
        (["--short", "-1"], "short is -1"),
        (["--seeds", "0"], "--seeds is 0"),
        ([], "lrea prepare"),
    ):
        assert said in lrea(capsys, "decide", *arguments, code=2).err


def test_the_time_of_a_killed_process_counts(tmp_path):
    path = tmp_path / "home" / "clock.json"
    first = Clock(path)
    first._before = 100.0
    first.keep()
    assert 100 <= Clock(path).spent() < 200
    path.write_text("cut off")
    assert Clock(path).spent() < 50
