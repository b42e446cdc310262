"""The Typer app; importing it loads no torch, duckdb or pyarrow."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from lrea_cli import __version__
from lrea_cli.commands import (
    artifacts,
    compare,
    compress,
    cost,
    decide,
    demo,
    doctor,
    evaluate,
    export,
    prepare,
    search,
    serve_bench,
    sweep,
    train,
)
from lrea_cli.console.failures import failure_of, first_line, write_log
from lrea_cli.console.stopping import Stopped, stoppable
from lrea_cli.console.terminal import clean, fitted
from lrea_cli.errors import LreaError, UserError
from lrea_cli.workspace.home import Workspace

MAY_BE_EMPTY = frozenset({"--missing"})
"""Options whose empty value says something: no word means that a value is missing."""

COMPLETION = "_LREA_COMPLETE"
"""The environment variable by which a shell asks for completions, instead of giving a command."""

COMMANDS: dict[str, dict[str, Callable[..., None] | typer.Typer]] = {
    "Steps in the order of work": {
        "prepare": prepare.app,
        "train": train.train,
        "compress": compress.compress,
        "eval": evaluate.evaluate,
        "serve-bench": serve_bench.serve_bench,
        "export": export.export,
    },
    "Deciding what to ship": {
        "decide": decide.decide,
        "compare": compare.compare,
        "cost": cost.cost,
        "search": search.search,
        "sweep": sweep.sweep,
    },
    "Looking after what is kept": {
        "list": artifacts.list_artifacts,
        "show": artifacts.show,
        "remove": artifacts.remove,
        "verify": artifacts.verify,
        "doctor": doctor.doctor,
    },
    "Trying it out": {"demo": demo.demo},
}
"""Every command, by its group and its name, in the order in which help lists them.

A new command is a file in `commands/` and an entry here.
"""


class InOrder(TyperGroup):
    """Lists the commands in the order of `COMMANDS`; Typer would put `prepare`, which has commands of its own, last."""

    def list_commands(self, ctx: object) -> list[str]:
        return [name for group in COMMANDS.values() for name in group]


app = typer.Typer(name="lrea", cls=InOrder, no_args_is_help=True, pretty_exceptions_enable=False)
for _group, _commands in COMMANDS.items():
    for _name, _command in _commands.items():
        if isinstance(_command, typer.Typer):
            app.add_typer(_command, name=_name, rich_help_panel=_group)
        else:
            app.command(_name, rich_help_panel=_group)(_command)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"lrea {__version__}")
        raise typer.Exit


@app.callback()
def common(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Train, compress and serve CTR models with very long behavior histories."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exit code 2 for the user's mistake, 3 for a failed gate, 1 for any other failure."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that has not every sign ends no command
    if COMPLETION in os.environ:
        get_command(app).main(prog_name="lrea")  # says what may stand next, and exits
    with stoppable() as signals:
        code = _run([argument for argument in given if argument != "--debug"], "--debug" in given, signals)
    sys.exit(code)


def _run(arguments: list[str], debug: bool, signals: Sequence[int]) -> int:
    """Run a command, say what went wrong, and return the exit code; `signals` holds those that came meanwhile."""
    try:
        command = get_command(app)
        _check_given(command, arguments)
        with command.make_context("lrea", arguments) as context:
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as end:
        return end.exit_code
    except KeyboardInterrupt as stop:
        return _say_stopped(stop, signals)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads what would still be flushed
        return 1
    except Exception as error:
        return _say_stopped(error, signals) if signals else _say_failed(error, arguments, debug)
    return 0


def _check_given(command: Any, arguments: Sequence[str]) -> None:
    """Refuse what the parser would silently take for a default: an empty value, and an option given twice."""
    given = list(arguments)
    while given and given[0] in getattr(command, "commands", {}):
        command = command.commands[given.pop(0)]
    parser = command.make_parser(typer.Context(command, resilient_parsing=True))  # mistakes are told of later
    values, rest, parameters = parser.parse_args(given)
    if "" in rest:
        raise UserError("An argument is empty.", "Write a value, or leave it out.")
    for parameter in parameters:
        value, name = values[parameter.name], parameter.opts[0]
        is_option = parameter.param_type_name == "option"
        if "" in (value if isinstance(value, (list, tuple)) else [value]) and name not in MAY_BE_EMPTY:
            what, it = (f"The value of {name}", name) if is_option else ("An argument", "it")
            raise UserError(f"{what} is empty.", f"Write a value, or leave {it} out.")
        times = parameters.count(parameter)
        if is_option and times > 1 and not (parameter.is_flag or parameter.multiple):
            several = " Several files are one folder or one quoted glob: --raw 'logs/*.csv'." if name == "--raw" else ""
            raise UserError(f"{name} is given {times} times.", f"Give it once.{several}")


def _say_stopped(error: BaseException, signals: Sequence[int]) -> int:
    said = "; ".join(getattr(error, "__notes__", ["what was finished before is kept"]))
    stop = Stopped(*signals[:1])
    print(fitted(f"Stopped by {stop.name}: {said}", sys.stderr), file=sys.stderr)
    return stop.exit_code


def _say_failed(error: Exception, arguments: list[str], debug: bool) -> int:
    foreseen = failure_of(error, arguments)
    failure = foreseen or LreaError(f"{type(error).__name__}: {first_line(error)}".rstrip(": "))
    if not failure.message:  # help was asked for by saying nothing, and has been shown
        return failure.exit_code
    remedy = failure.remedy
    if debug:
        print(clean("".join(traceback.format_exception(error)), keep="\n"), end="", file=sys.stderr)
    elif foreseen is None:
        log = write_log(_home(), arguments, error)
        remedy = f"The traceback is in {log}; --debug shows it." if log else "--debug shows the traceback."
    print(fitted(f"error: {failure.message}", sys.stderr), file=sys.stderr)
    for line in filter(None, (remedy, *getattr(error, "__notes__", []))):
        print(fitted(f"  {line}", sys.stderr), file=sys.stderr)
    return failure.exit_code


def _home() -> Path:
    """Where logs are kept; the working directory, where LREA_HOME itself is what is wrong."""
    try:
        return Workspace.from_environment().home
    except (LreaError, OSError):
        return Path()
