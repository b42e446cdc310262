"""What a command shows: one JSON object on stdout, all else on stderr, and a table in 80 columns."""

import json

import pytest

from lrea_cli.console import output as console_module
from lrea_cli.console.output import Console


def test_json_is_alone_on_stdout(capsys):
    console = Console(as_json=True)
    console.say("a line")
    console.table("a table", ["name", "value"], [["x", 1234], ["y", None]])
    console.warn("careful")
    console.result({"auc": None, "rows": 3}, then="lrea eval")
    found = capsys.readouterr()
    assert json.loads(found.out) == {"auc": None, "rows": 3}
    assert found.out.count("\n") == 1
    for part in ("a line", "1,234", "n/a", "warning: careful", "next: lrea eval"):
        assert part in found.err


def test_without_json_results_are_on_stdout_and_warnings_are_not(capsys):
    console = Console(as_json=False)
    console.say("[not markup]")
    console.warn("careful")
    console.result({"auc": 0.5}, then="lrea eval")
    found = capsys.readouterr()
    assert found.out == "[not markup]\nnext: lrea eval\n"
    assert found.err == "warning: careful\n"


def test_a_number_that_json_has_not_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        Console(as_json=True).result({"auc": float("nan")})


def test_progress_without_a_terminal_is_a_line_now_and_then(capsys, monkeypatch):
    clock = iter([0.0, 4.0, 10.0, 12.0, 20.0])
    monkeypatch.setattr(console_module.time, "monotonic", lambda: next(clock))
    with Console(as_json=False).task("epoch 1", 400, "samples") as progress:
        for _ in range(4):
            progress(50)
    assert capsys.readouterr().err.splitlines() == [
        "epoch 1: 100 of 400 samples, 10/s, 30 s left",
        "epoch 1: 200 of 400 samples, 10/s, 20 s left",
    ]


def test_progress_on_a_terminal_is_a_bar_that_ends(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with Console(as_json=False).task("epoch 1", 2, "rows") as progress:
        progress(1)
        progress(1)
    assert "epoch 1" in capsys.readouterr().err
