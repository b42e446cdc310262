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
from lrea_cli.workspace.home import Workspace


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
    from lrea_cli.verify import find_targets
    from lrea_cli.verify import verify as verify_one

    console = Console(options.json)
    targets = find_targets(Workspace.from_environment().home, options.artifact)
    total = sum(path.stat().st_size for target in targets for path in target.files)
    with console.task("verify", total, "bytes") as progress:
        checked = [verify_one(target, progress) for target in targets]
    rows = [[one.artifact, one.files, size(one.bytes), "DAMAGED" if one.damage else "intact"] for one in checked]
    console.table("every file against the hash that was kept when it was written", COLUMNS, rows)
    damage = [each for one in checked for each in one.damage]
    for each in damage:
        console.say(f"{each.file}: {each.message}")
        console.say(f"  {each.remedy}")
    console.result({"artifacts": [asdict(one) for one in checked], "damaged": len(damage)})
    if damage:
        raise LreaError(f"Damage was found in {len(damage)} of {counted(sum(one.files for one in checked), 'file')}.")


COLUMNS = ("artifact", "files", "size", "status")
