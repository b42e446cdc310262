"""What a command shows: lines, tables, progress, and with --json exactly one object on stdout, all else on stderr.

Whatever comes from names of files, columns and users is shown with control characters as escapes (`terminal.clean`).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TextIO

from lrea_cli.console.progress import Progress
from lrea_cli.console.terminal import clean, columns, fitted

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

PLAIN_SECONDS = 10.0
BAR_SECONDS = 0.1
"""Between two lines of progress where the output is no terminal, and between two drawings of a bar on one."""


class Console:
    """A `Reporter` for one command; `as_json` puts the result on stdout as JSON, everything else on stderr."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._out = sys.stderr if as_json else sys.stdout

    def say(self, line: str) -> None:
        """A sentence or a fact, in lines that fit."""
        now = sys.stderr if self.as_json else sys.stdout  # while a bar is drawn, rich puts above it what goes there
        print(fitted(line, self._out), file=now if self._out.isatty() else self._out, flush=True)

    def warn(self, line: str) -> None:
        """What the user should not miss, on stderr."""
        text = fitted(f"warning: {line}", sys.stderr)
        self._rich(sys.stderr).print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)

    def table(self, title: str, headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table; numbers are right-aligned, None is shown as n/a."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for position, name in enumerate(headers):
            numeric = any(isinstance(row[position], (int, float)) for row in rows)
            table.add_column(Text(clean(name, keep="\n")), justify="right" if numeric else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(_cell(value)) for value in row))
        rich = self._rich(self._out)
        rich.print(fitted(title, self._out), style="bold", markup=False, highlight=False, soft_wrap=True)
        rich.print(table)

    def result(self, content: Mapping[str, object], then: str | None = None) -> None:
        """The command's result as JSON, where asked for; and the next command to type."""
        if then:
            self.say(f"next: {then}")
        if self.as_json:
            print(json.dumps(content, allow_nan=False), file=sys.stdout, flush=True)

    @contextmanager
    def task(self, description: str, total: int, unit: str) -> Iterator[Progress]:
        """A bar with rate and time left on a terminal, a line now and then elsewhere; on stderr."""
        description = clean(description)
        if not sys.stderr.isatty():
            yield _now_and_then(PLAIN_SECONDS, partial(_print_line, description, total, unit))
            return
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        text, rate = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[rate]}")
        columns = (text, BarColumn(bar_width=24), MofNCompleteColumn(), rate, TimeRemainingColumn())
        # No refreshing thread: it would run beside what serve-bench times.
        with RichProgress(*columns, console=self._rich(sys.stderr), transient=True, auto_refresh=False) as bar:
            task = bar.add_task(description, total=total, rate="")
            bar.refresh()

            def show(done: int, rate: float) -> None:
                bar.update(task, completed=done, rate=f"{_rate(rate)} {unit}/s", refresh=True)

            yield _now_and_then(BAR_SECONDS, show)

    def _rich(self, stream: TextIO) -> RichConsole:
        from rich.console import Console as RichConsole

        return RichConsole(file=stream, width=None if stream.isatty() else columns(stream))


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"


def _cell(value: object) -> str:
    if value is None:
        return "n/a"
    return f"{value:,}" if isinstance(value, int) else clean(value)


def _now_and_then(seconds: float, show: Callable[[int, float], None]) -> Progress:
    """A `Progress` that shows the units done and units a second, not more often than every so many seconds."""
    done, started = 0, time.monotonic()
    shown = started

    def advance(count: int) -> None:
        nonlocal done, shown
        done, now = done + count, time.monotonic()
        if now - shown >= seconds:
            shown = now
            show(done, done / max(now - started, 1e-9))

    return advance


def _print_line(description: str, total: int, unit: str, done: int, rate: float) -> None:
    left = (total - done) / rate if rate else 0.0
    line = f"{description}: {done:,} of {total:,} {unit}, {_rate(rate)}/s, {left:.0f} s left"
    print(fitted(line, sys.stderr), file=sys.stderr, flush=True)
