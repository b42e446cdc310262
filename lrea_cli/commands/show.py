"""`lrea show`: all that one artifact says of itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lrea_cli.commands.command import command
from lrea_cli.commands.options import ArtifactName, Json
from lrea_cli.console.output import Console
from lrea_cli.workspace.home import read_artifact
from lrea_cli.workspace.kinds import home_of_environment

LONGEST = 200
"""Characters of a list in the table; --json has all of it."""


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
    manifest = as_json(read_artifact(entry.kind, entry.path).manifest.to_dict())
    names = [one.name for one in dependents]
    rows = [[key, _text(value)] for key, value in _flat(manifest)]
    console.table(f"{entry.kind.noun} {entry.path.name}", ["", "value"], rows)
    console.say(f"made from it: {', '.join(names) or 'nothing'}")
    console.result({**entry.to_dict(), "manifest": manifest, "dependents": names})


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """`{"recipe": {"model": {"rank": 8}}}` as `recipe.model.rank`, 8."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
