"""What a shell completes, as typer's script for bash asks for it: commands, options, choices and names."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lrea_cli.cli import COMMANDS, COMPLETION, main
from lrea_cli.commands.options import names_of
from lrea_cli.recipe.recipe import load_recipe
from lrea_cli.records.manifest import CACHES
from lrea_cli.runs.manifest import RUNS
from lrea_cli.workspace.home import Workspace

Complete = Callable[[str], list[str]]


@pytest.fixture
def complete(tiny: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Complete:
    """What may stand at the end of a command line, in `tiny`."""
    monkeypatch.setenv("LREA_HOME", str(tiny.home))

    def ask(line: str) -> list[str]:
        monkeypatch.setenv(COMPLETION, "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([])
        assert (stop.value.code or 0) == 0
        found = capsys.readouterr()
        assert found.err == ""
        return found.out.split()

    return ask


def test_commands_and_options_are_completed(complete: Complete) -> None:
    assert complete("lrea ") == [name for group in COMMANDS.values() for name in group]
    assert complete("lrea prepare tao") == ["taobao"]
    assert complete("lrea train --ra") == ["--rank"]
    assert complete("lrea train --method s") == ["sim", "sdim", "sketch"]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("lrea train --dataset ", ["synthetic"]),
        ("lrea eval --dataset s", ["synthetic"]),
        ("lrea compress --run ", ["tiny-din", "tiny-lrea"]),
        ("lrea compress --run tiny-l", ["tiny-lrea"]),
        ("lrea serve-bench --run tiny-d", ["tiny-din"]),
        ("lrea train --run ", []),
    ],
)
def test_names_of_what_the_home_holds_are_completed(complete: Complete, line: str, names: list[str]) -> None:
    assert complete(line) == names


def test_recipes_are_completed_by_names_that_load(complete: Complete) -> None:
    names = complete("lrea train --recipe taobao")
    assert names == ["taobao-din", "taobao-lrea"]
    assert complete("lrea cost --recipe chosen/mean") == ["chosen/mean"]
    for name in names:
        load_recipe(name)


@pytest.mark.parametrize("home", ["none", "file", "~nobody-of-this-name"])
def test_a_home_that_cannot_be_read_completes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LREA_HOME", home)
    assert names_of(RUNS, CACHES)() == []


def test_half_written_artifacts_are_not_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LREA_HOME", str(tmp_path))
    for name in ("whole", "half", ".partial-whole"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    for name in ("whole", ".partial-whole"):
        (tmp_path / "runs" / name / RUNS.file).touch()
    assert names_of(RUNS)() == ["whole"]


def test_completing_loads_nothing_heavy() -> None:
    program = (
        "import sys, lrea_cli.commands.options as o; from lrea_cli.runs.manifest import RUNS; o.names_of(RUNS)();"
        "print([m for m in ('torch', 'duckdb', 'pyarrow', 'numpy', 'pydantic', 'rich') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"


def test_the_script_for_a_shell_is_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: "bash")
    with pytest.raises(SystemExit) as stop:
        main(["--show-completion"])
    assert (stop.value.code or 0) == 0
    assert f"{COMPLETION}=complete_bash" in capsys.readouterr().out
