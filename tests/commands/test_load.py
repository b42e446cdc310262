"""What is said of load: whether a server keeps up, what the capacity is, and which options go together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lrea_cli.bench.bench import read_bench
from lrea_cli.bench.load.capacity import Capacity
from lrea_cli.bench.load.overload import Backlog
from lrea_cli.bench.load.results import Latencies, OpenLoop
from lrea_cli.bench.peers import PeerGate
from lrea_cli.cli import main
from lrea_cli.commands.load import LoadOptions, chosen_peers
from lrea_cli.commands.load_tables import capacity_sentence, show_peer_gates, verdict
from lrea_cli.commands.serve_bench import ServeBenchOptions
from lrea_cli.errors import UserError
from lrea_cli.workspace.home import Workspace
from tests.conftest import QuietConsole

ROW = OpenLoop(
    "gemm", 2, 50.0, 8.0, 400, 0, 49.0, 95.0, 12.0, 0.1, 5.0,
    Backlog(0.01, (-0.5, 0.52), 1.4, 6), False, Latencies(5.0, 12.0, None, (5.0,)),
)  # fmt: skip
GROWING = Backlog(20.0, (15.0, 25.0), 90.0, 180)


class Heard(QuietConsole):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)

    def warn(self, line: str) -> None:
        self.warned.append(line)


def test_a_server_that_keeps_up_and_one_that_does_not() -> None:
    assert verdict(ROW) == "gemm keeps up: its backlog does not grow (mean 1.4, most 6)"
    said = verdict(replace(ROW, backlog=GROWING, overloaded=True))
    assert "overloaded at 50 requests a second: its backlog grows by 20 a second (95%: 15 to 25)" in said


@pytest.mark.parametrize(
    ("capacity", "said"),
    [
        (Capacity(20.0, 99.0, 61.0, 64.0, ()), "gemm: 61 requests a second keep p99 within 20 ms; 64 do not"),
        (Capacity(20.0, 95.0, 61.0, None, ()), "gemm: 61 requests a second keep p95 within 20 ms"),
        (Capacity(20.0, None, None, 0.5, ()), "gemm: no rate down to 0.5 requests a second keeps p99 within 20 ms"),
    ],
)
def test_the_capacity_is_a_sentence(capacity: Capacity, said: str) -> None:
    assert capacity_sentence("gemm", capacity) == said


def test_a_peer_that_is_not_timed_is_warned_of() -> None:
    heard = Heard()
    show_peer_gates(heard, {"onnxruntime": PeerGate(True, 3e-7, "x"), "openvino": PeerGate(False, 2e-3, "logit of 7")})
    assert heard.said == ["gate of onnxruntime passed: largest relative error of a logit 3.0e-07"]
    assert "openvino is not timed: relative error 0.002 (limit 1e-05) in logit of 7" in heard.warned[0]


@pytest.mark.parametrize(
    "option", [{"users": "uniform"}, {"cold": True}, {"without_record": 0.1}, {"on_missing": "summarize"}]
)
def test_an_option_of_load_needs_load(option: dict[str, object]) -> None:
    name = next(iter(option)).replace("_", "-")
    with pytest.raises(UserError, match=f"--{name} counts only under load"):
        LoadOptions(**option).require_used()  # type: ignore[arg-type]
    for load in ({"clients": 1}, {"rate": 3.0}, {"slo_ms": 5.0}):
        LoadOptions(**{**option, **load}).require_used()  # type: ignore[arg-type]
    LoadOptions().require_used()
    assert not LoadOptions().is_load


def test_peers_are_named_with_commas() -> None:
    assert chosen_peers(None) == ()
    assert chosen_peers("openvino, onnxruntime,openvino") == ("onnxruntime", "openvino")
    with pytest.raises(UserError, match="did you mean 'openvino'"):
        chosen_peers("openvin")
    assert ServeBenchOptions().peer is None


def said_by(capfd: pytest.CaptureFixture[str], line: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop:
        main(line.split())
    found = capfd.readouterr()
    return int(stop.value.code or 0), found.out + found.err


def test_the_command_measures_load_and_keeps_its_result(
    workspace_copy: Workspace, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LREA_HOME", str(workspace_copy.home))
    options = "--run tiny-lrea --candidates 5 --seconds 0.1"
    load = f"serve-bench {options} --clients 2 --rate 100 --without-record 0.5 --users uniform"
    code, said = said_by(capfd, load)
    assert code == 0, said
    for words in ("closed loop", "open loop", "users drawn uniform", "without a record", "what a miss costs"):
        assert words in said
    (file,) = (workspace_copy.home / "bench").glob("*.json")
    with pytest.raises(UserError, match="was measured under load"):
        read_bench(file)
    code, said = said_by(capfd, f"compare {file.name} {file.name}")
    assert (code, "was measured under load" in said) == (2, True)
    code, said = said_by(capfd, "serve-bench --methods all --rate 5")
    assert (code, "--methods times one request at a time" in said) == (2, True)


@pytest.mark.slow
def test_zipf_is_said_with_its_exponent(
    workspace_copy: Workspace, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from lrea_cli.bench.load import measure

    monkeypatch.setenv("LREA_HOME", str(workspace_copy.home))
    monkeypatch.setattr(measure.Workers, "closed", lambda workers, server, seconds, clients: closed())
    code, said = said_by(capfd, "serve-bench --run tiny-lrea --candidates 5 --seconds 0.1 --clients 1")
    assert code == 0, said
    assert "users drawn Zipf, exponent 1" in said


def closed():
    from lrea_cli.bench.load.loops import Trial

    start = np.arange(5) * 0.01
    return Trial(start, start, start + 0.01, start, np.zeros(5, int))
