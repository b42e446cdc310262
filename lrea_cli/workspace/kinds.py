"""The kinds of artifacts: their folders, manifests and commands, and the names that they may have."""

from __future__ import annotations

import os
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
    "runs": "Choose another name by --run, replace it by --replace",
    "caches": "Choose another name by --cache, replace it by --replace",
}
ASKED_USERS = "users.txt"
"""In a cache that was made for some users: their raw ids, one a line, as `lrea compress --users` reads them."""

LONGEST_NAME = 150
"""Bytes of a name; a file system allows 255, and partial folders add 42."""


def home_of_environment() -> Path:
    """`$LREA_HOME`, else `./lrea_work`.

    Raises:
        UserError: it names no user's home, or a file.
    """
    text = os.environ.get("LREA_HOME") or "lrea_work"
    try:
        home = Path(text).expanduser()
    except RuntimeError as error:
        raise UserError(f"LREA_HOME is '{text}': there is no such user.", "Set it to a folder.") from error
    if home.exists() and not home.is_dir():
        raise UserError(f"LREA_HOME is '{text}', which is no folder.", "Set it to a folder.")
    return home


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
