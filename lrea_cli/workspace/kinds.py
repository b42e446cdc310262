"""The kinds of artifacts: names, a typed manifest that is read strictly, and the command that makes one anew."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar, get_type_hints

from lrea_cli.errors import DamagedArtifact, UserError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")
M = TypeVar("M", bound="Manifest")

FOLDERS = ("data", "runs", "caches")
"""Of a home: each holds the artifacts of one kind."""

BLOCKS = "blocks.xxh3"
"""In a dataset's folder: the hashes of the blocks of its files (`blocks.py`)."""

LONGEST_NAME = 150
"""Bytes of a name; a file system allows 255, and partial folders add 42."""

NOT_IDENTITY = "not identity"
NotIdentity = Annotated[T, NOT_IDENTITY]
"""A key that says where the bytes came from, of time and machine, or of how to make them again."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What the maker of an artifact says of it.

    Readers ignore keys that a class does not know, and count them for the identity: a newer version may have written
    them. Keys that older versions did not write have a default; all others are required.
    """

    __pydantic_config__: ClassVar = {"strict": True, "extra": "ignore"}

    @classmethod
    @cache
    def not_identity(cls) -> frozenset[str]:
        """The keys that are no part of the identity."""
        hints = {**get_type_hints(cls, include_extras=True), **get_type_hints(Inventory, include_extras=True)}
        return frozenset(n for n, hint in hints.items() if NOT_IDENTITY in getattr(hint, "__metadata__", ()))

    def to_dict(self) -> dict[str, Any]:
        """As it is written: a key with its default is left out, as older versions did not write it."""
        content = asdict(self)
        return {f.name: content[f.name] for f in fields(self) if content[f.name] != f.default}

    @classmethod
    def options_of(cls, folder: Path, content: Mapping[str, Any]) -> list[str] | None:
        """All options of the command that makes the artifact again, but its name; None where they were not kept."""
        kept = content.get("arguments")
        return [str(argument) for argument in kept] if isinstance(kept, list) else None

    @classmethod
    def some_options_of(cls, content: Mapping[str, Any]) -> list[str]:
        """Those of the options that are known where not all were kept."""
        return []


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What `write_manifest` adds to every manifest: when it was, and the SHA-256 and the bytes of each file."""

    __pydantic_config__: ClassVar = {"extra": "ignore"}

    created: NotIdentity[str]
    files: dict[str, str]
    bytes: NotIdentity[dict[str, int]]


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

    def identity_of(self, content: Mapping[str, Any]) -> str:
        """Hex SHA-256 of an artifact, by its manifest with the inventory: equal wherever and whenever it was made."""
        left_out = self.manifest.not_identity()
        counted = {key: value for key, value in content.items() if key not in left_out}
        counted["files"] = {name: digest for name, digest in content["files"].items() if name not in self.not_content}
        return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()

    def remedy(self, folder: Path, content: Mapping[str, Any] | None) -> str:
        """A sentence that ends with the command that makes an artifact anew; None = its manifest cannot be read."""
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
    usable = name.isprintable() and not name.startswith(".") and not {"/", "\\"} & set(name)
    if not usable or not name or name != name.strip() or len(name.encode(errors="replace")) > LONGEST_NAME:
        shown = name if len(name) <= LONGEST_NAME else f"{name[:20]}...{name[-10:]}"
        raise UserError(
            f"'{shown}' is not a usable name.",
            f"Use letters, digits, '-', '_' and inner dots, at most {LONGEST_NAME} of them.",
        )
    return home / kind.folder / name


def parse(model: type[T], written: bytes | dict[str, Any], path: Path, remedy: str) -> T:
    """A manifest as an object, from its bytes or, for a class that is not strict, from the object of JSON.

    Raises:
        DamagedArtifact: a key is missing, or its value has another type than its readers expect.
    """
    from pydantic import ValidationError  # not for every command, and not on every machine

    adapter = _adapter(model)
    try:
        return adapter.validate_json(written) if isinstance(written, bytes) else adapter.validate_python(written)
    except ValidationError as failure:
        fault = failure.errors(include_url=False)[0]
    key = ".".join(map(str, fault["loc"]))
    what = f" has no '{key}'" if fault["type"] == "missing" else f": '{key}' is {fault['input']!r:.60}"
    raise DamagedArtifact(f"{path}{what}: another version of lrea wrote it.", remedy)


@cache
def _adapter(model: type[T]) -> TypeAdapter[T]:
    from pydantic import TypeAdapter

    return TypeAdapter(model)
