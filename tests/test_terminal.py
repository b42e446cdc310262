"""Lines that fit a terminal: words and commands stay whole."""

from __future__ import annotations

import io
import sys

import pytest

from lrea_cli.console.terminal import columns, fitted


@pytest.fixture(autouse=True)
def width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")


def lines(text: str) -> list[str]:
    return fitted(text, sys.stderr).split("\n")


def test_a_long_sentence_goes_on_indented() -> None:
    found = lines("warning: the last day has less than a tenth of the events of a usual day")
    assert found == ["warning: the last day has less than a", "  tenth of the events of a usual day"]
    assert lines("  A remedy goes on below its own first word, as far in.")[1] == "  word, as far in."
    assert lines("short  and \x1b kept") == [r"short  and \x1b kept"]
    assert lines("") == [""]


@pytest.mark.parametrize(
    "command", ["lrea train --dataset 'a, b. c' --run one", "lrea eval --run one --cache-age 0,1d,3.5d --json"]
)
def test_a_command_is_never_broken(command: str) -> None:
    assert lines(f"next: {command}, then {command}") == ["next:", f"  {command},", "  then", f"  {command}"]
    assert lines(f"Make it with: {command}. If not, say so.") == ["Make it with:", f"  {command}.", "  If not, say so."]
    assert lines(f"It is `{command}`, then.") == ["It is", f"  `{command}`,", "  then."]


def test_prose_after_a_command_is_broken() -> None:
    assert all(len(line) <= 40 for line in lines("with: lrea eval. " + "Then many words follow. " * 5))


def test_a_path_is_never_broken() -> None:
    path = "/a/path-that/is-longer/than-all-the/columns-of-a/terminal.json"
    assert lines(f"written to {path}") == ["written to", f"  {path}"]


@pytest.mark.parametrize(("given", "expected"), [("", 80), ("x", 80), ("0", 80), ("3", 20), ("132", 132)])
def test_the_width_is_columns_or_80(monkeypatch: pytest.MonkeyPatch, given: str, expected: int) -> None:
    monkeypatch.setenv("COLUMNS", given)
    assert columns(io.StringIO()) == expected
