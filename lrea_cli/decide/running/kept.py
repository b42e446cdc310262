"""What a decision keeps in its workspace beside its jobs' results, for the command that goes on."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from lrea_cli.errors import UserError
from lrea_cli.workspace.kinds import parse
from lrea_cli.workspace.sealed import read_json

REMEDY = "Give the same lrea decide again."
T = TypeVar("T")


def kept(model: type[T], path: Path) -> T | None:
    """A file that was kept; None where there is none, or it is damaged: then it is made anew."""
    try:
        return parse(model, read_json(path, REMEDY), path, REMEDY)
    except UserError:
        return None
