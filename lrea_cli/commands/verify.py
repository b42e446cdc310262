"""`lrea verify`: is everything still as it was written?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from lrea_cli.commands.command import command
from lrea_cli.commands.options import Json, names_of
from lrea_cli.console.counts import counted
from lrea_cli.console.output import Console
from lrea_cli.console.show import size
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.errors import LreaError
from lrea_cli.records.manifest import CACHES
from lrea_cli.runs.manifest import RUNS
from lrea_cli.workspace.kinds import home_of_environment

COLUMNS = ("artifact", "files", "size", "status")


@dataclass(frozen=True)
class VerifyOptions:
    """Options of `lrea verify`."""

    artifact: Annotated[
        str | None,
        typer.Argument(
            help="A dataset, run, cache or result, by name or path; default: everything.",
            autocompletion=names_of(DATASETS, RUNS, CACHES),
        ),
    ] = None
    json: Json = False


@command
def verify(options: VerifyOptions) -> None:
    """Compare every byte of artifacts with the hashes kept of them.

    Example: lrea verify

    The exit code is 1 where a file differs. Other commands compare what they read, when they read it.
    """
    from lrea_cli.verify import damage_of, find_targets

    console = Console(options.json)
    targets = find_targets(home_of_environment(), options.artifact)
    with console.task("verify", sum(target.bytes for target in targets), "bytes") as progress:
        checked = [(target, list(damage_of(target, progress))) for target in targets]
    rows = [[one.name, len(one.sizes), size(one.bytes), "DAMAGED" if bad else "intact"] for one, bad in checked]
    console.table("every file against the hash that was kept when it was written", COLUMNS, rows)
    damage = [each for _, bad in checked for each in bad]
    for each in damage:
        console.say(f"{each.file}: {each.message}")
        console.say(f"  {each.remedy}")
    artifacts = [{**one.to_dict(), "damage": [asdict(each) for each in bad]} for one, bad in checked]
    console.result({"artifacts": artifacts, "damaged": len(damage)})
    if damage:
        raise LreaError(f"Damage was found in {len(damage)} of {counted(sum(len(t.sizes) for t in targets), 'file')}.")
