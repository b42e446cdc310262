"""JSON that carries a hash of itself: what `lrea` writes as JSON and reads again, it reads as written or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lrea_cli.errors import DamagedArtifact

SEAL = "sha256"
"""The key of the hash: SHA-256 of the rest as canonical JSON (sorted keys, no blanks)."""


def seal(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content as JSON gives it back, with its hash as the last key.

    Raises:
        ValueError, TypeError: JSON has no form for a value.
    """
    plain = json.loads(json.dumps(content, allow_nan=False))
    plain.pop(SEAL, None)
    return {**plain, SEAL: _digest(plain)}


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """Read what `workspace.write_json` has written, without the hash.

    Args:
        remedy: what makes the file anew.

    Raises:
        DamagedArtifact: the file is missing, is no JSON object, or is not as it was written.
    """
    try:
        return unseal(path.read_bytes(), path, remedy)
    except OSError as error:
        raise DamagedArtifact(f"{path} cannot be read: {error.strerror}.", remedy) from error


def unseal(data: bytes, path: Path, remedy: str) -> dict[str, Any]:
    """The content of a sealed file whose bytes were read from `path`.

    Raises:
        DamagedArtifact: the bytes are no JSON object, or not as they were written.
    """
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
