"""`lrea list`: what is on disk."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lrea_cli.commands.command import command
from lrea_cli.commands.options import JsonOption
from lrea_cli.console.output import Console
from lrea_cli.console.show import age, size
from lrea_cli.workspace.kinds import home_of_environment

if TYPE_CHECKING:
    from lrea_cli.artifacts import Entry

COLUMNS = ("kind", "name", "size", "age", "made from", "method")


@command
def list_artifacts(options: JsonOption) -> None:
    """Show the datasets, runs and caches on disk, the newest last.

    Example: lrea list

    Method: a dataset's source, a run's method, or a cache's compressor; its rank.

    DAMAGED: the manifest cannot be read; lrea verify says why.
    """
    from lrea_cli.artifacts import entries_of

    console, home = Console(options.json), home_of_environment()
    entries, now = entries_of(home), time.time()
    rows = [
        [one.kind.noun, one.path.name, size(one.bytes), age(now - one.made), _origin(one, entries), one.method]
        for one in entries
    ]
    if entries:
        console.table(f"{home}: {size(sum(one.bytes for one in entries))}", COLUMNS, rows)
    else:
        console.say(f"There is nothing in {home} yet. Begin with: lrea prepare synthetic")
    console.result({"home": str(home), "artifacts": [one.to_dict() for one in entries]})


def _origin(entry: Entry, entries: list[Entry]) -> str:
    """The name of what it was made from, and whether that is still there."""
    if entry.made_from is None or entry.artifact is None:
        return ""
    name = entry.made_from.partition("/")[2]
    parent = next((one.artifact for one in entries if one.name == entry.made_from), None)
    if parent is None:
        return f"{name} (gone)"
    return name if parent.is_parent_of(entry.artifact) else f"{name} (changed)"
