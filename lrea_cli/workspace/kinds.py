"""The kinds of artifacts, the names that artifacts may have, and the command that makes an artifact anew."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lrea_cli.errors import UserError

if TYPE_CHECKING:
    from lrea_cli.workspace.manifests import Manifest

M = TypeVar("M", bound="Manifest")

FOLDERS = ("data", "runs", "caches")
"""Of a home: each holds the artifacts of one kind."""

BLOCKS = "blocks.xxh3"
"""In a dataset's folder: the hashes of the blocks of its files, see `blocks`."""

LONGEST_NAME = 150
"""Bytes of a name; a file system allows 255, and partial folders add 42."""


@dataclass(frozen=True)
class Kind(Generic[M]):
    """One kind of artifact: a folder of this kind with a finished manifest is one.

    Args:
        folder: of the home, one of `FOLDERS`.
        file: the manifest's name in the artifact's folder.
        noun: what a sentence calls it.
        maker: the command that makes one.
        option: of the maker, for the artifact's name.
        not_content: files that repeat what is no part of the identity, or are made of the other files.
        needed: what the maker cannot do without, as its help spells it.
        read_in_parts: its files have hashes of their blocks.
    """

    folder: str
    file: str
    noun: str
    maker: str
    option: str
    manifest: type[M]
    not_content: tuple[str, ...]
    needed: tuple[str, ...] = ()
    read_in_parts: bool = False

    def __str__(self) -> str:
        return self.folder

    def identity_of(self, content: Mapping[str, Any]) -> str:
        """Hex SHA-256 of an artifact, by its manifest with the inventory: equal wherever and whenever it was made."""
        left_out = self.manifest.not_identity()
        counted = {key: value for key, value in content.items() if key not in left_out}
        counted["files"] = {name: digest for name, digest in content["files"].items() if name not in self.not_content}
        return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()

    def remedy(self, folder: Path, content: Mapping[str, Any] | None) -> str:
        """A sentence that ends with the command that replaces the artifact of this folder by one made in the same way.

        Args:
            content: of its manifest; None = it cannot be read.
        """
        if content is None:
            return f"Its options stood in that file; give the same ones again: {self.command(folder, self.needed)}"
        options = self.manifest.options_of(folder, content)
        if options is not None:
            return f"Make it anew with: {self.command(folder, options)}"
        known = self.command(folder, self.manifest.some_options_of(content))
        return f"Add its options, which {folder / self.file} names: {known}"

    def command(self, folder: Path, options: Sequence[str]) -> str:
        """The command that makes the artifact of this folder again, as one types it in a shell."""
        named = [] if self.needed and list(options[:1]) == [folder.name] else [self.option, folder.name]
        command = f"{self.maker} {shlex.join([*options, *named, '--replace'])}"
        home = folder.parent.parent
        try:
            elsewhere = home.resolve() != home_of_environment().resolve()
        except (UserError, OSError):
            elsewhere = True
        return f"LREA_HOME={shlex.quote(str(home))} {command}" if elsewhere else command


def home_of_environment() -> Path:
    """`$LREA_HOME`, else `./lrea_work`; a `UserError` where it names no user's home, or a file."""
    text = os.environ.get("LREA_HOME") or "lrea_work"
    try:
        home = Path(text).expanduser()
    except RuntimeError as error:
        raise UserError(f"LREA_HOME is '{text}': there is no such user.", "Set it to a folder.") from error
    if home.exists() and not home.is_dir():
        raise UserError(f"LREA_HOME is '{text}', which is no folder.", "Set it to a folder.")
    return home


def path_of(home: Path, kind: Kind[M], name: str) -> Path:
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
    return home / kind.folder / name
