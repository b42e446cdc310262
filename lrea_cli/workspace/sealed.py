"""JSON that carries a hash of itself: what `lrea` writes as JSON and reads again, it reads as written or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from lrea_cli.console.stopping import undisturbed
from lrea_cli.errors import DamagedArtifact
from lrea_cli.workspace.places import PARTIAL, beside, fsync, leftovers, try_lock

SEAL = "sha256"
"""The key of the hash: SHA-256 of the rest as canonical JSON (sorted keys, no blanks)."""


def seal(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content as JSON gives it back, with its hash as the last key."""
    plain = as_json(content)
    plain.pop(SEAL, None)
    return {**plain, SEAL: _digest(plain)}


def as_json(content: Any) -> Any:
    """The same as JSON gives it back: tuples as lists, every key a string; ValueError or TypeError for others."""
    return json.loads(json.dumps(content, allow_nan=False))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all, with a hash of itself: `read_json` reads it."""
    text = json.dumps(seal(content), indent=2, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(text.encode())


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path` to write to; when the block ends well it is fsynced and takes the place of `path`."""
    _clear_beside(path)
    partial = beside(path, PARTIAL)
    try:
        with partial.open("wb") as file:
            try_lock(file.fileno(), partial)  # tells `_clear_beside` that somebody writes it
            yield file
            file.flush()
            os.fsync(file.fileno())
            with undisturbed():
                partial.replace(path)
        fsync(path.parent)
    finally:
        with suppress(OSError):
            partial.unlink()


def _clear_beside(path: Path) -> None:
    """Delete partial files of this name that nobody writes any more."""
    for name, partial in leftovers(path.parent):
        with suppress(OSError):
            if name == path.name and partial.is_file():
                with partial.open("rb+") as file:
                    if try_lock(file.fileno(), partial):
                        partial.unlink()


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """Read what `write_json` has written, without the hash.

    Raises:
        DamagedArtifact: the file is missing, is no JSON object, or is not as it was written.
    """
    try:
        return unseal(path.read_bytes(), path, remedy)
    except OSError as error:
        raise DamagedArtifact(f"{path} cannot be read: {error.strerror}.", remedy) from error


def unseal(data: bytes, path: Path, remedy: str) -> dict[str, Any]:
    """The content of a sealed file by its bytes; a `DamagedArtifact` where they are not as they were written."""
    try:
        content = json.loads(data.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise DamagedArtifact(f"{path} is not valid JSON: {error}", remedy) from error
    if not isinstance(content, dict) or not isinstance(content.get(SEAL), str):
        raise DamagedArtifact(f"{path} carries no hash of itself: this version of lrea did not write it.", remedy)
    written = content.pop(SEAL)
    if _digest(content) != written:
        raise DamagedArtifact(f"{path} is damaged or was changed after it was written.", remedy)
    return content


def _digest(plain: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")
