"""The command that makes an artifact anew with the options that it was made with: what errors of damage propose.

A manifest keeps these options as `arguments`, or, of a run, as its recipe. Knows nothing of what the options mean.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lrea_cli.errors import UserError
from lrea_cli.workspace.kinds import Kind, M, home_of_environment


def remedy_of(kind: Kind[M], folder: Path, content: Mapping[str, Any] | None) -> str:
    """A sentence that ends with the command to type in a shell; it puts the new artifact in place of the old one.

    Args:
        folder: of the artifact, `<home>/<kind>/<name>`.
        content: of its manifest; None = it cannot be read.
    """
    if content is None:
        return f"Its options stood in that file; give the same ones again: {command_of(kind, folder, kind.needed)}"
    options = kind.manifest.options_of(folder, content)
    if options is not None:
        return f"Make it anew with: {command_of(kind, folder, options)}"
    known = command_of(kind, folder, kind.manifest.some_options_of(content))
    return f"Add its options, which {folder / kind.file} names: {known}"


def command_of(kind: Kind[M], folder: Path, options: Sequence[str]) -> str:
    """The command that makes the artifact of this folder again, as one types it in a shell."""
    named = [] if kind.needed and list(options[:1]) == [folder.name] else [kind.option, folder.name]
    command = f"{kind.maker} {shlex.join([*options, *named, '--replace'])}"
    home = folder.parent.parent
    return command if _is_the_home(home) else f"LREA_HOME={shlex.quote(str(home))} {command}"


def _is_the_home(home: Path) -> bool:
    """Whether commands work in this home unless they are told otherwise."""
    try:
        return home.resolve() == home_of_environment().resolve()
    except (UserError, OSError):
        return False
