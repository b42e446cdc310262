"""What is said of times: gates of few users, a busy machine, ratios, when a record pays; in 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import pytest

from lrea_cli.bench import gate
from lrea_cli.bench.bench import Bench, BenchSettings
from lrea_cli.bench.gate import GATE_USERS, GateResult
from lrea_cli.bench.machine import Load
from lrea_cli.commands.options import Session
from lrea_cli.commands.serve_bench import bench_run, show_gate, show_speedup, when_it_pays
from lrea_cli.commands.trade_off import show_load
from lrea_cli.console.counts import counted
from lrea_cli.errors import UserError
from lrea_cli.runs.checkpoint import Run
from lrea_cli.stats.latencies import NO_RATIO, Ratio
from tests.conftest import QuietConsole

RATIO = Ratio(12.345, (11.9, 12.81), 12.0, (11.0, 13.0))
RATIOS = {
    "request": {"real": Ratio(1.37, (1.33, 1.41), 1.4, (1.3, 1.5)), "padded": RATIO},
    "interest": {"real": RATIO, "padded": RATIO},
}


def bench(ratios: Any, withheld: str | None) -> Bench:
    """What is shown of ratios; the rest counts for nothing."""
    rest: Any = dict.fromkeys(field.name for field in fields(Bench))
    shown = {"speedup_vs_full": ratios, "speedup_kernel": "gemm", "withheld": withheld}
    return Bench(**{**rest, **shown})


class Heard(QuietConsole):
    """Keeps what is said, warned of and shown."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.warned: list[str] = []
        self.tables: list[Sequence[Sequence[object]]] = []

    def say(self, line: str) -> None:
        self.said.append(line)

    def warn(self, line: str) -> None:
        self.warned.append(line)

    def table(self, title: str, headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        self.said.append(title)
        self.tables.append(rows)


def test_a_kernel_that_the_device_rules_out_is_refused(quiet_session: Session, lrea_run: Run) -> None:
    with pytest.raises(UserError, match="The kernel fused cannot run on cpu: it runs on a CUDA device") as refused:
        bench_run(quiet_session, lrea_run, None, BenchSettings(7, 0.01, 3), "fused")
    assert refused.value.remedy == "Leave out --kernel."


@pytest.mark.parametrize("users", [GATE_USERS - 1, GATE_USERS])
def test_a_gate_of_few_users_is_warned_of(users: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "GATE_USERS", GATE_USERS)
    heard = Heard()
    show_gate(heard, GateResult(True, 1e-7, users + 2, "nowhere", 8 * (users + 2), 3, made=2))
    made = "2 of them made up, of lengths that no user of the cache has"
    assert heard.said[0] == f"gate passed: largest relative error 1.0e-07 over {users + 2} users, {made}"
    assert "3 of" in heard.said[1]
    assert [f"compared {counted(users, 'user')} only" in line for line in heard.warned] == [True] * (users < GATE_USERS)


def test_a_busy_machine_is_told_of_with_what_to_do() -> None:
    heard = Heard()
    show_load(heard, Load(0.99, 0.9, 0.02, 2, 2))
    assert (len(heard.said), heard.warned) == (1, [])
    show_load(heard, Load(0.56, 0.3, 0.99, 2, 2))
    assert "no ratio is given: 44% of the time" in heard.warned[0]
    assert "--threads" in heard.said[-1]


def test_the_whole_request_stands_above_the_interest() -> None:
    heard = Heard()
    show_speedup(heard, bench(RATIOS, None))
    assert heard.tables == [
        [
            ["whole request", "1.37x (1.33 to 1.41)", "12.35x (11.90 to 12.81)"],
            ["interest alone", "12.35x (11.90 to 12.81)", "12.35x (11.90 to 12.81)"],
        ]
    ]
    assert "totals of the same requests" in heard.said[0]


def test_ratios_that_are_withheld_are_not_shown() -> None:
    heard = Heard()
    none = {stage: dict.fromkeys(row, NO_RATIO) for stage, row in RATIOS.items()}
    show_speedup(heard, bench(none, "busy"))
    assert (heard.said, heard.tables) == ([], [])


@pytest.mark.parametrize(
    ("saved_ms", "words"),
    [
        (None, "cannot be said"),
        (0.0, "it never pays"),
        (-2.0, "it never pays"),
        (12.5, "one request saves 12.5 ms, so the first request after a refresh pays for it"),
        (3.0, "one request saves 3 ms, so the first request"),
        (2.9, "so it pays where a user sends 2 requests or more between two refreshes"),
        (0.001, "so it pays where a user sends 3,000 requests or more"),
    ],
)
def test_when_a_record_pays_is_a_sentence(saved_ms: float | None, words: str) -> None:
    """Of a record that takes 3 ms to make."""
    assert words in when_it_pays(saved_ms, 3.0 / saved_ms if saved_ms and saved_ms > 0 else None)
