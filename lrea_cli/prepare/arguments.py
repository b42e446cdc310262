"""The options of `lrea prepare` that make a dataset again: those that differ from their defaults, as they are typed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.sources.base import Source

CHANGE_NO_ROW = ("threads", "memory")
"""Of all options: left to the machine on which the dataset is made again."""


def prepare_arguments(
    source: Source, files: list[Path], raw: Path | None, options: PrepareOptions, home: Path
) -> list[str]:
    """The source's name and its options; the name of the dataset is its folder's.

    Args:
        files: that were read. raw: as it was named; None = the files were found in a folder by their names.
        home: of the dataset.
    """
    hidden = {*CHANGE_NO_ROW, *source.unused_options, *vars(source)}
    return [source.name, *_raw(source, files, raw, home), *_typed(source), *_typed(options, leave_out=hidden)]


def _raw(source: Source, files: list[Path], raw: Path | None, home: Path) -> list[str]:
    """Where the files are, whatever the current folder is; nothing where they are looked for by default."""
    if not files:
        return []
    place = (raw or files[0].parent).absolute()
    return [] if place == (home / "raw" / source.name).absolute() else ["--raw", str(place)]


def _typed(options: Any, leave_out: Collection[str] = ()) -> Iterator[str]:
    """Options and values of a dataclass whose attributes are options, where they are not the defaults."""
    for field in fields(options):
        value, name = getattr(options, field.name), field.name.replace("_", "-")
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if field.name in leave_out or value is None or value == default:
            continue
        if isinstance(value, bool):
            yield f"--{'' if value else 'no-'}{name}"
        else:
            for one in value if isinstance(value, (list, tuple)) else [value]:
                yield from (f"--{name}", str(one))
