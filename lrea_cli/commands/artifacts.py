"""`lrea list`, `show`, `remove` and `verify`: what lies on disk, what it says of itself, and whether it is intact."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrea_cli.commands.options import Json, JsonAlone, command, names_of
from lrea_cli.console.counts import counted
from lrea_cli.console.output import Console
from lrea_cli.console.show import age, size
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.errors import LreaError, UserError
from lrea_cli.records.manifest import CACHES
from lrea_cli.runs.manifest import RUNS
from lrea_cli.workspace.kinds import home_of_environment

if TYPE_CHECKING:
    from lrea_cli.artifacts import Entry

NAMES = names_of(DATASETS, RUNS, CACHES)
ArtifactName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Name of a dataset, run or cache, such as taobao-din-1, or runs/taobao-din-1.",
        autocompletion=NAMES,
    ),
]
LONGEST = 200
"""Characters of a list in the table of `lrea show`; --json has all of it."""


@command
def list_artifacts(options: JsonAlone) -> None:
    """Show the datasets, runs and caches on disk, the newest last.

    Example: lrea list

    Method: a dataset's source, a run's method, or a cache's compressor; its rank.

    DAMAGED: the manifest cannot be read; lrea verify says why.
    """
    from lrea_cli.artifacts import entries_of

    console, home = Console(options.json), home_of_environment()
    entries, now = entries_of(home), time.time()
    if entries:
        rows = [
            [one.kind.noun, one.path.name, size(one.bytes), age(now - one.made), _origin(one, entries), one.method]
            for one in entries
        ]
        title = f"{home}: {size(sum(one.bytes for one in entries))}"
        console.table(title, ["kind", "name", "size", "age", "made from", "method"], rows)
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


@dataclass(frozen=True)
class ShowOptions:
    """Options of `lrea show`."""

    artifact: ArtifactName
    json: Json = False


@command
def show(options: ShowOptions) -> None:
    """Show one manifest, and what was made from the artifact.

    Example: lrea show taobao-lrea-1
    """
    from lrea_cli.artifacts import find_entry
    from lrea_cli.workspace.sealed import as_json

    console = Console(options.json)
    entry, dependents = find_entry(home_of_environment(), options.artifact)
    if entry.artifact is None:
        raise UserError(f"The manifest of {entry.name} cannot be read.", f"Try: lrea verify {shlex.quote(entry.name)}")
    manifest = as_json(entry.artifact.manifest.to_dict())
    names = [one.name for one in dependents]
    console.table(f"{entry.kind.noun} {entry.path.name}", ["", "value"], list(_flat(manifest)))
    console.say(f"made from it: {', '.join(names) or 'nothing'}")
    console.result({**entry.to_dict(), "manifest": manifest, "dependents": names})


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str | None]]:
    """`{"recipe": {"model": {"rank": 8}}}` as `recipe.model.rank`, `8`."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is None or isinstance(value, str):
            yield f"{prefix}{key}", value
        else:
            text = json.dumps(value, ensure_ascii=False)
            yield f"{prefix}{key}", text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


@dataclass(frozen=True)
class RemoveOptions:
    """Options of `lrea remove`."""

    artifact: ArtifactName
    dependents: Annotated[bool, typer.Option("--dependents", help="Remove also all that was made from it.")] = False
    json: Json = False


@command
def remove(options: RemoveOptions) -> None:
    """Delete a dataset, run or cache that nothing else came from.

    Example: lrea remove taobao-lrea-1
    """
    from lrea_cli.artifacts import find_entry, remove_entries

    console = Console(options.json)
    entry, dependents = find_entry(home_of_environment(), options.artifact)
    doomed = [*dependents, entry]
    names = [one.name for one in doomed]
    if dependents and not options.dependents:
        raise UserError(
            f"{entry.name} is still needed: {', '.join(names[:-1])} came from it.",
            f"Remove all of them with: lrea remove {shlex.quote(entry.name)} --dependents",
        )
    remove_entries(doomed)
    freed = sum(one.bytes for one in doomed)
    console.say(f"removed {', '.join(names)}: {size(freed)} freed")
    console.result({"removed": names, "bytes": freed})


@dataclass(frozen=True)
class VerifyOptions:
    """Options of `lrea verify`."""

    artifact: Annotated[
        str | None,
        typer.Argument(
            help="A dataset, run, cache or result, by name or path; default: everything.", autocompletion=NAMES
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
    title = "every file against the hash that was kept when it was written"
    console.table(title, ["artifact", "files", "size", "status"], rows)
    damage = [each for _, bad in checked for each in bad]
    for each in damage:
        console.say(f"{each.file}: {each.message}")
        console.say(f"  {each.remedy}")
    artifacts = [{**one.to_dict(), "damage": [asdict(each) for each in bad]} for one, bad in checked]
    console.result({"artifacts": artifacts, "damaged": len(damage)})
    if damage:
        raise LreaError(f"Damage was found in {len(damage)} of {counted(sum(len(t.sizes) for t in targets), 'file')}.")
