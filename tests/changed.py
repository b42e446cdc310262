"""JSON files of artifacts that say something else, as another run of `lrea` would have written them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lrea_cli.records.cache import Cache
from lrea_cli.workspace.sealed import read_json, write_json


def change_json(path: Path, **values: Any) -> None:
    """Other values of some keys, and a hash that fits them."""
    write_json(path, {**read_json(path, ""), **values})


def changed_cache(cache: Cache, **values: Any) -> Cache:
    """An opened cache whose manifest has other values."""
    return replace(cache, artifact=replace(cache.artifact, manifest=replace(cache.manifest, **values)))
