"""A dataclass of options becomes the signature that typer reads, and every command has one."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from lrea_cli.cli import app as lrea_app
from lrea_cli.commands.options import command, parameters_of


@dataclass(frozen=True)
class GreetOptions:
    """Options of the example."""

    name: Annotated[str, typer.Argument(help="Who is greeted.")]
    times: Annotated[int, typer.Option(help="How often.")] = 1
    titles: Annotated[list[str], typer.Option("--title", help="What the name is given.")] = field(default_factory=list)


@command
def greet(options: GreetOptions) -> None:
    """Greet somebody.

    Example: greet Ada --times 2
    """
    print(*[" ".join(["Hello", *options.titles, options.name])] * options.times, sep=", ")


def call(*arguments: str) -> str:
    app = typer.Typer(add_completion=False)
    app.command()(greet)
    return CliRunner().invoke(app, arguments).output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Ada"], "Hello Ada\n"),
        (["Ada", "--times", "2"], "Hello Ada, Hello Ada\n"),
        (["Ada", "--title", "Lady", "--title", "Dr."], "Hello Lady Dr. Ada\n"),
    ],
)
def test_values_reach_the_command_as_one_object(arguments: list[str], said: str) -> None:
    assert call(*arguments) == said


def test_help_is_that_of_the_function_and_of_the_attributes() -> None:
    shown = call("--help")
    for words in ("Greet somebody.", "Example: greet Ada", "Who is greeted.", "How often.", "--title"):
        assert words in shown


def test_a_default_factory_is_called_for_each_signature() -> None:
    first, second = (next(p for p in parameters_of(GreetOptions) if p.name == "titles").default for _ in range(2))
    assert first == second == []
    assert first is not second


def test_no_command_has_a_parameter_of_its_own() -> None:
    """Options are attributes of a dataclass: the function in the file of a command takes that alone."""
    for registered in lrea_app.registered_commands:
        callback = registered.callback
        assert callback is not None
        kinds = {p.kind for p in inspect.signature(callback).parameters.values()}
        assert kinds <= {inspect.Parameter.KEYWORD_ONLY}, registered.name
