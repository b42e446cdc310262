"""The kinds of artifacts: their folders, manifests and commands, and the names that they may have."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from lrea_cli.errors import UserError

Kind = Literal["data", "runs", "caches"]
MANIFESTS: dict[Kind, str] = {"data": "data.json", "runs": "run.json", "caches": "cache.json"}
MAKERS: dict[Kind, str] = {"data": "lrea prepare", "runs": "lrea train", "caches": "lrea compress"}
SINGULAR: dict[Kind, str] = {"data": "dataset", "runs": "run", "caches": "cache"}
BLOCKS = "blocks.xxh3"
"""In a dataset's folder: the hashes of the blocks of its files, see `blocks`."""

TAKEN: dict[Kind, str] = {
    "data": "Choose another name by --dataset, replace it by --replace",
    "runs": "Choose another name by --run",
    "caches": "Choose another name by --cache",
}
LONGEST_NAME = 150
"""Bytes of a name; a file system allows 255, and partial folders add 42."""


def path_of(home: Path, kind: Kind, name: str) -> Path:
    """Where the artifact of this name is seen in a home, or will be.

    Raises:
        UserError: the name would leave its folder, steer a terminal, or is too long for a file's name.
    """
    usable = name and name.isprintable() and not name.startswith(".") and not {"/", "\\"} & set(name)
    if not usable or len(name.encode(errors="replace")) > LONGEST_NAME:
        shown = name if len(name) <= LONGEST_NAME else f"{name[:20]}...{name[-10:]}"
        raise UserError(
            f"'{shown}' is not a usable name.",
            f"Use letters, digits, '-', '_' and inner dots, at most {LONGEST_NAME} of them.",
        )
    return home / kind / name
