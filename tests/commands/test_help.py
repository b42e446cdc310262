"""Help: an option of one name has one meaning in all commands; every command has a short first line and an example."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import lrea_cli.commands as package
from lrea_cli.cli import COMMANDS, app

PERMITTED = {
    "--dataset": ("Name for the new dataset; ", "Which dataset to read; ", "Read the latest run of this dataset; "),
    "--run": ("Name for the new run; ", "Which run to read; "),
    "--cache": ("Name for the new cache; ", "Which cache to read"),
    "--seed": ("Seed of all random draws",),
    "--rank": ("Pseudo items that a history is compressed to",),
    "--dtype": ("Number format of the records",),
    "--methods": ("Compare methods by their runs on the dataset: ", "Decide between these, "),
    "--to": ("The folder to make.", "Also write the page into this folder."),
}
"""How the help of an option begins; what follows is the default, which commands differ in."""

MANY_MEANINGS = {"--missing", "--raw", "--split", "--users"}
ROOT = get_command(app)


def commands(command: Any = ROOT, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every command that runs, with its path: `train`, `prepare taobao`."""
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{path} {name}".strip())
    if not hasattr(command, "commands"):
        yield path, command


def helps() -> dict[str, dict[str, str]]:
    """Option -> command -> help."""
    by_option: dict[str, dict[str, str]] = defaultdict(dict)
    for path, command in commands():
        for parameter in command.params:
            if parameter.param_type_name == "option":
                by_option[parameter.opts[0]][path] = parameter.help
    return by_option


HELPS = helps()


@pytest.mark.parametrize("option", HELPS)
def test_an_option_of_one_name_has_one_meaning(option: str) -> None:
    said = HELPS[option]
    if option in PERMITTED:
        assert {path: text for path, text in said.items() if not text.startswith(PERMITTED[option])} == {}
    elif option not in MANY_MEANINGS:
        assert len(set(said.values())) == 1, said


def test_what_is_new_is_named_by_its_maker_alone() -> None:
    for option, maker in (("--dataset", "prepare"), ("--run", "train"), ("--cache", "compress")):
        new = {path.split()[0] for path, text in HELPS[option].items() if text.startswith("Name for the new")}
        assert new == {maker}


@pytest.mark.parametrize(("path", "command"), list(commands()), ids=[path for path, _ in commands()])
def test_every_help_is_short_and_ends_with_a_stop(path: str, command: Any) -> None:
    for parameter in command.params:
        assert parameter.help, (path, parameter.name)
        assert parameter.help.endswith("."), (path, parameter.name, parameter.help)
        assert len(parameter.help) <= 240, (path, parameter.name)


def test_every_command_is_one_line_among_the_commands() -> None:
    widest = max(len(name) for group in COMMANDS.values() for name in group)
    for name, command in ROOT.commands.items():
        first = command.help.split("\n")[0]
        assert len(first) <= 80 - 6 - widest, name
        assert first.endswith("."), name


def test_every_command_has_one_example_of_itself() -> None:
    for name, command in ROOT.commands.items():
        examples = re.findall(r"^Example: lrea (\S+)", command.help, re.MULTILINE)
        assert examples == [name]


def test_every_file_of_a_command_has_an_entry() -> None:
    """A new command is its file and its entry."""
    entries = [run for group in COMMANDS.values() for run in group.values()]
    for path in Path(package.__path__[0]).glob("*.py"):
        for name in re.findall(r"^@command\ndef (\w+)", path.read_text("utf-8"), re.MULTILINE):
            assert getattr(import_module(f"{package.__name__}.{path.stem}"), name) in entries
