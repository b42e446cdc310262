"""The Typer app; importing it loads no torch, duckdb or pyarrow."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from lrea_cli import __version__
from lrea_cli.commands import compare, compress, cost, demo, evaluate, prepare, serve_bench, sweep, train, verify
from lrea_cli.errors import LreaError

app = typer.Typer(
    name="lrea",
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
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(args=arguments)
    except (LreaError, OSError) as error:
        if arguments[:1] == ["--debug"]:
            raise
        print(f"error: {error}", file=sys.stderr)
        if remedy := _remedy(error):
            print(f"  {remedy}", file=sys.stderr)
        sys.exit(error.exit_code if isinstance(error, LreaError) else 1)


def _remedy(error: LreaError | OSError) -> str:
    if isinstance(error, LreaError):
        return error.remedy
    full = error.errno == errno.ENOSPC
    return "Free space, or set LREA_HOME to a folder on a larger disk: nothing half-written stays." if full else ""
