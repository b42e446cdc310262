"""What every page is made of: Markdown, and numbers with their marks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from lrea_cli.console import show
from lrea_cli.console.counts import counted
from lrea_cli.sweep.results import About, OverSeeds

number, interval = partial(show.number, none="-"), partial(show.interval, none="-")


def as_page(parts: Sequence[str]) -> str:
    """Paragraphs, tables and headings with an empty line between them."""
    return "\n\n".join(parts) + "\n"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first column left-aligned, the others right-aligned."""
    marks = ["---", *("---:" for _ in columns[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in (columns, marks, *rows))


def origin(about: About) -> dict[str, str]:
    """Date, machine and versions, as the first lines of a table."""
    machine, jobs = about.machine, counted(about.machine["jobs"], "job")
    return {
        "date": about.date,
        "machine": f"{machine['cpu']}, {counted(machine['cores'], 'core')}; {jobs} at a time, one thread each",
        "versions": ", ".join(f"{name} {version}" for name, version in about.versions.items()),
    }


def difference(values: OverSeeds | None) -> str:
    """`+0.0012`, with `~` before it where no difference is shown."""
    if values is None or values.mean is None:
        return "-"
    return f"{'' if values.resolved else '~ '}{values.mean:+.4f}"
