"""A manifest as it is read: as it was written, with values of the types that its readers rely on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lrea_cli.errors import DamagedArtifact
from lrea_cli.workspace.kinds import Kind
from lrea_cli.workspace.remake import remedy_of
from lrea_cli.workspace.sealed import unseal

NUMBER = (int, float)
COMMON: dict[str, tuple[type, ...]] = {"created": (str,), "files": (dict,), "bytes": (dict,)}
"""What `write_manifest` gives every manifest: no manifest is read without them."""

ANY: dict[str, tuple[type, ...]] = {**COMMON, "arguments": (list,)}

TYPES: dict[Kind, dict[str, tuple[type, ...]]] = {
    "data": {
        "dataset": (str,),
        "source": (str,),
        "source_options": (dict,),
        "options": (dict,),
        "fields": (list,),
        "users": (int,),
        "items": (int,),
        "samples": (dict,),
        "splits": (dict,),
        "facts": (dict,),
        "utc_offset_minutes": (int,),
    },
    "runs": {
        "run": (str,),
        "method": (str,),
        "dataset": (str,),
        "made_from": (str,),
        "recipe": (dict,),
        "best_valid_auc": NUMBER,
        "column_entropy": (*NUMBER, type(None)),
        "seconds": NUMBER,
    },
    "caches": {
        "run": (str,),
        "made_from": (str,),
        "layout": (dict,),
        "compression": (dict, type(None)),
        "as_of": (int,),
        "users": (int,),
        "rank": (int,),
        "dtype": (str,),
        "bytes_per_user": NUMBER,
        "ms_per_user": NUMBER,
    },
}


class Manifest(dict[str, Any]):
    """The content of a manifest; a key that it lacks is the file's fault, and said as such.

    Args:
        remedy: what makes the artifact anew.
    """

    def __init__(self, content: dict[str, Any], path: Path, remedy: str) -> None:
        super().__init__(content)
        self.path, self.remedy = path, remedy

    def __missing__(self, key: str) -> Any:
        raise DamagedArtifact(f"{self.path} has no '{key}': another version of lrea wrote it.", self.remedy)


def read_manifest(kind: Kind, data: bytes, path: Path) -> Manifest:
    """Read the bytes of the manifest that lies at `path`.

    Raises:
        DamagedArtifact: it is not as it was written, or a value has another type than its readers expect.
    """
    content = unseal(data, path, remedy_of(kind, path.parent, None))
    manifest = Manifest(content, path, remedy_of(kind, path.parent, content))
    for key in COMMON:
        _ = manifest[key]  # raises where it is missing
    for key, types in (ANY | TYPES[kind]).items():
        if key in manifest and not _is_one_of(manifest[key], types):
            shown = f"{manifest[key]!r:.60}"
            raise DamagedArtifact(f"{path}: '{key}' is {shown}: another version of lrea wrote it.", manifest.remedy)
    return manifest


def _is_one_of(value: object, types: tuple[type, ...]) -> bool:
    """Whether the value has one of these types; True is no number here."""
    return isinstance(value, types) and not isinstance(value, bool)
