"""The Typer app; importing it loads no torch, duckdb or pyarrow."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from lrea_cli import __version__
from lrea_cli.commands import (
    compare,
    compress,
    cost,
    demo,
    evaluate,
    listing,
    prepare,
    remove,
    serve_bench,
    show,
    sweep,
    train,
    verify,
)
from lrea_cli.console.failures import failure_of, write_log
from lrea_cli.console.stopping import Stopped, stoppable
from lrea_cli.console.terminal import clean, fitted
from lrea_cli.errors import LreaError, UserError
from lrea_cli.workspace.home import Workspace

MAY_BE_EMPTY = frozenset({"--missing"})
"""Options whose empty value says something: no word means that a value is missing."""


class PrepareFirst(TyperGroup):
    """Lists the commands in the order of work; Typer would put `prepare`, which has commands of its own, last."""

    def list_commands(self, ctx: object) -> list[str]:
        return sorted(self.commands, key=lambda name: name != "prepare")


app = typer.Typer(
    name="lrea",
    cls=PrepareFirst,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train, compress and serve CTR models with very long behavior histories.",
)
app.add_typer(prepare.app, name="prepare")
app.command("train")(train.train)
app.command("compress")(compress.compress)
app.command("serve-bench")(serve_bench.serve_bench)
app.command("eval")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("cost")(cost.cost)
app.command("sweep")(sweep.sweep)
app.command("list")(listing.list_artifacts)
app.command("show")(show.show)
app.command("remove")(remove.remove)
app.command("verify")(verify.verify)
app.command("demo")(demo.demo)


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
    with stoppable() as signals:
        code = _run([argument for argument in given if argument != "--debug"], "--debug" in given, signals)
    sys.exit(code)


def _run(arguments: list[str], debug: bool, signals: Sequence[int]) -> int:
    """Run a command and say what went wrong.

    Args:
        signals: that came meanwhile.

    Returns:
        the exit code.
    """
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
    """Refuse what would be dropped or replaced by a default without a word.

    Raises:
        UserError: a value is empty, or an option that takes one value is given twice; it names the option.
    """
    given = list(arguments)
    while given and not given[0].startswith("-") and given[0] in getattr(command, "commands", {}):
        command = command.commands[given.pop(0)]
    options = [p for p in command.params if p.param_type_name == "option" and not p.is_flag]
    _refuse_empty({name for option in options for name in option.opts}, given)
    _refuse_repeats({name for option in options if not option.multiple for name in option.opts}, given)


def _refuse_empty(options: Collection[str], given: Sequence[str]) -> None:
    """Refuse an empty value, such as that of a variable of the shell that was never set.

    Args:
        options: that take a value. given: on the command line, after the command.
    """
    value_of: str | None = None
    for argument in given:
        name, equals, value = argument.partition("=")
        if value_of is None and name in options:
            empty, option = bool(equals) and not value, name
        else:
            empty, option = not argument, value_of
        if empty and option not in MAY_BE_EMPTY:
            what = "An argument is empty" if option is None else f"The value of {option} is empty"
            raise UserError(f"{what}.", f"Write a value, or leave {'it' if option is None else option} out.")
        value_of = argument if value_of is None and argument in options else None


def _refuse_repeats(single: Collection[str], given: Sequence[str]) -> None:
    """Refuse an option that takes one value and is given twice.

    Args:
        single: options that take one value. given: on the command line, after the command.
    """
    names = [argument.partition("=")[0] for argument in given[: given.index("--") if "--" in given else None]]
    for name in dict.fromkeys(names):
        if name in single and names.count(name) > 1:
            several = " Several files are one folder or one quoted glob: --raw 'logs/*.csv'." if name == "--raw" else ""
            raise UserError(f"{name} is given {names.count(name)} times.", f"Give it once.{several}")


def _say_stopped(error: BaseException, signals: Sequence[int]) -> int:
    said = "; ".join(getattr(error, "__notes__", ["what was finished before is kept"]))
    stop = Stopped(*signals[:1])
    print(fitted(f"Stopped by {stop.name}: {said}", sys.stderr), file=sys.stderr)
    return stop.exit_code


def _say_failed(error: Exception, arguments: list[str], debug: bool) -> int:
    failure = failure_of(error, arguments)
    if not failure.message:  # help was asked for by saying nothing, and has been shown
        return failure.exit_code
    remedy = failure.remedy
    if debug:
        print(clean("".join(traceback.format_exception(error)), keep="\n"), end="", file=sys.stderr)
    elif not failure.foreseen:
        log = write_log(_home(), arguments, error)
        remedy = f"The traceback is in {log}; --debug shows it." if log else "--debug shows the traceback."
    print(fitted(f"error: {failure.message}", sys.stderr), file=sys.stderr)
    for line in filter(None, (remedy, *getattr(error, "__notes__", []))):
        print(fitted(f"  {line}", sys.stderr), file=sys.stderr)
    return failure.exit_code


def _home() -> Path:
    """Where logs are kept; here, where LREA_HOME itself is what is wrong."""
    try:
        return Workspace.from_environment().home
    except (LreaError, OSError):
        return Path()
