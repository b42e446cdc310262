"""The command that makes an artifact anew with the options that it was made with: what errors of damage propose.

A manifest keeps these options as `arguments`, or, of a run, as its recipe. Knows nothing of what the options mean.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lrea_cli.errors import UserError
from lrea_cli.workspace.kinds import ASKED_USERS, MAKERS, MANIFESTS, Kind, home_of_environment

NAMED_BY: dict[Kind, str] = {"data": "--dataset", "runs": "--run", "caches": "--cache"}
"""The option of the command that makes an artifact, for its name."""


def remedy_of(kind: Kind, folder: Path, manifest: Mapping[str, Any] | None) -> str:
    """A sentence that ends with the command to type in a shell; it puts the new artifact in place of the old one.

    Args:
        folder: of the artifact, `<home>/<kind>/<name>`.
        manifest: of the artifact; None = it cannot be read.
    """
    if manifest is None:
        known = {"data": ["SOURCE"], "runs": [], "caches": []}[kind]
        return f"Its options stood in that file; give the same ones again: {_command(kind, folder, known)}"
    arguments = _arguments(kind, folder, manifest)
    if arguments is not None:
        return f"Make it anew with: {_command(kind, folder, arguments)}"
    known = {"data": [str(manifest.get("source"))], "runs": [], "caches": ["--run", str(manifest.get("run"))]}[kind]
    return f"Add its options, which {folder / MANIFESTS[kind]} names: {_command(kind, folder, known)}"


def users_remedy(folder: Path, manifest: Mapping[str, Any]) -> str:
    """As `remedy_of`, of a cache whose list of users is what is damaged."""
    arguments = [*(_kept(manifest) or ["--run", str(manifest.get("run"))]), "--users", "FILE"]
    return f"Write its users into FILE, one raw id a line, then: {_command('caches', folder, arguments)}"


def _arguments(kind: Kind, folder: Path, manifest: Mapping[str, Any]) -> list[str] | None:
    """All options but the name; None where a version of lrea wrote the manifest that did not keep them."""
    kept = _kept(manifest)
    if kind == "runs":
        return ["--recipe", str(folder / MANIFESTS[kind]), *(kept or [])]
    if kind == "caches" and kept is not None and ASKED_USERS in manifest.get("files", {}):
        return [*kept, "--users", str(folder / ASKED_USERS)]
    return kept


def _kept(manifest: Mapping[str, Any]) -> list[str] | None:
    kept = manifest.get("arguments")
    return [str(argument) for argument in kept] if isinstance(kept, list) else None


def _command(kind: Kind, folder: Path, arguments: list[str]) -> str:
    name = [] if kind == "data" and arguments[:1] == [folder.name] else [NAMED_BY[kind], folder.name]
    command = f"{MAKERS[kind]} {shlex.join([*arguments, *name, '--replace'])}"
    home = folder.parent.parent
    return command if _is_the_home(home) else f"LREA_HOME={shlex.quote(str(home))} {command}"


def _is_the_home(home: Path) -> bool:
    """Whether commands work in this home unless they are told otherwise."""
    try:
        return home.resolve() == home_of_environment().resolve()
    except (UserError, OSError):
        return False
