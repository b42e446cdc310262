"""`lrea remove`: one artifact less on disk."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Annotated

import typer

from lrea_cli.commands.command import command
from lrea_cli.commands.options import ArtifactName, Json
from lrea_cli.console.output import Console
from lrea_cli.console.show import size
from lrea_cli.errors import UserError
from lrea_cli.workspace.kinds import home_of_environment


@dataclass(frozen=True)
class RemoveOptions:
    """Options of `lrea remove`."""

    artifact: ArtifactName
    dependents: Annotated[bool, typer.Option("--dependents", help="Remove also all that was made from it.")] = False
    json: Json = False


@command
def remove(options: RemoveOptions) -> None:
    """Delete a dataset, run or cache from which nothing was made.

    Example: lrea remove taobao-lrea-1
    """
    from lrea_cli.artifacts import find_entry, remove_entries

    console = Console(options.json)
    entry, dependents = find_entry(home_of_environment(), options.artifact)
    if dependents and not options.dependents:
        raise UserError(
            f"{entry.name} is still needed: {', '.join(one.name for one in dependents)} came from it.",
            f"Remove all of them with: lrea remove {shlex.quote(entry.name)} --dependents",
        )
    doomed = [*dependents, entry]
    remove_entries(doomed)
    freed = sum(one.bytes for one in doomed)
    console.say(f"removed {', '.join(one.name for one in doomed)}: {size(freed)} freed")
    console.result({"removed": [one.name for one in doomed], "bytes": freed})
