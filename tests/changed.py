"""JSON files of artifacts that say something else, as another run of `lrea` would have written them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lrea_cli.workspace.sealed import read_json, write_json


def change_json(path: Path, **values: Any) -> None:
    """Other values of some keys, and a hash that fits them."""
    write_json(path, {**read_json(path, ""), **values})
