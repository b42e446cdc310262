"""What the commands share that run many jobs and go on where they stopped: `sweep`, `search` and `decide`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrea_cli.commands.options import as_threads, within
from lrea_cli.console.counts import counted
from lrea_cli.errors import LreaError

if TYPE_CHECKING:
    from lrea_cli.sweep.workers import Failure

Jobs = Annotated[
    int | None, typer.Option(callback=as_threads, help="Jobs at a time, one thread each; default: one a core.")
]
Seeds = Annotated[int | None, typer.Option(callback=within(1, 1000), help="Train with seeds 1 to N; default: 3.")]
Page = Annotated[Path | None, typer.Option(help="Also write the results as Markdown, and as JSON beside it.")]


def workers_of(jobs: int | None) -> int:
    """Jobs at a time."""
    return jobs or os.cpu_count() or 1


def command_line(command: Sequence[str], options: Mapping[str, object]) -> str:
    """The command that goes on: its words, and the options that were given."""
    words = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    return shlex.join([*command, *words])


@contextmanager
def resumable(again: str) -> Iterator[None]:
    """Where Ctrl-C ends the block, what is said names the command that goes on."""
    try:
        yield
    except KeyboardInterrupt as stop:
        stop.add_note(f"what is finished is kept, go on with: {again}")
        raise


def require_all_done(failures: Sequence[Failure], again: str) -> None:
    """Raise a `LreaError` for jobs that failed; it names the first one."""
    if failures:
        message = f"{counted(len(failures), 'job')} failed, first {failures[0].job}: {failures[0].message}"
        raise LreaError(message, f"Try them again with: {again}") from failures[0].error
