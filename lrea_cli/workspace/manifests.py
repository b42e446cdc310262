"""Manifests: a frozen class a kind of artifact, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, get_type_hints

from lrea_cli.errors import DamagedArtifact

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")

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
        """All options of the command that makes the artifact again, but its name; None where they were not kept.

        Args:
            content: of a manifest, which may be of another version.
        """
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


def parse(model: type[T], written: bytes | dict[str, Any], path: Path, remedy: str) -> T:
    """A manifest as an object.

    Args:
        written: its bytes; or, for a class that is not strict, the object of JSON.
        remedy: what makes the artifact anew.

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
