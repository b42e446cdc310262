"""The sources of raw events, one file each, and where their raw files are looked for."""

from __future__ import annotations

import glob
from pathlib import Path

from lrea_cli.data.schema import Source
from lrea_cli.data.sources.synthetic import Synthetic
from lrea_cli.data.sources.table import Table
from lrea_cli.data.sources.taobao import Taobao
from lrea_cli.errors import UserError

SOURCES: tuple[type[Source], ...] = (Taobao, Table, Synthetic)

_GLOB_MARKS = ("*", "?", "[")


def find_files(source: Source | type[Source], raw: Path | None, home: Path) -> list[Path]:
    """Return a source's raw files: from `raw` (file, folder or glob), else `<home>/raw/<source>/`, else `./`.

    In a folder the first of the source's file names that exists is taken; of patterns, all that match.

    Raises:
        UserError: there is none; the message says where to get it and where to put it.
    """
    if not source.needs_files:
        return []
    if raw is not None:
        places = [raw]
    elif any(_is_pattern(name) for name in source.file_names):
        places = []  # a pattern such as *.csv in the current directory could be anything: it must be named
    else:
        places = [home / "raw" / source.name, Path()]
    for place in places:
        if files := _files_at(source, place):
            return files
    raise _missing(source, raw, places)


def _files_at(source: Source | type[Source], place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    if not place.is_dir():
        return sorted(Path(p) for p in glob.glob(str(place), recursive=True) if Path(p).is_file())
    found = [sorted(p for p in place.glob(name) if p.is_file()) for name in source.file_names]
    if any(_is_pattern(name) for name in source.file_names):
        return sorted({path for paths in found for path in paths})
    return next((paths for paths in found if paths), [])


def _missing(source: Source | type[Source], raw: Path | None, places: list[Path]) -> UserError:
    name_it = "Name a file, a folder or a quoted glob with --raw."
    if raw is not None:
        what = f"There is no raw file of '{source.name}' at {raw}."
        mend = f"Get {source.where_to_get}. {name_it}"
    elif not places:
        what = f"'{source.name}' reads files that you name: {source.where_to_get}."
        mend = name_it
    else:
        looked = " and ".join(str(place.absolute()) for place in places)
        what = f"There is no raw file of '{source.name}': looked for {', '.join(source.file_names)} in {looked}."
        mend = f"Get {source.where_to_get}. Put it into {places[0]}, or name it with --raw."
    return UserError(what, f"{mend} `lrea prepare synthetic` needs no file.")


def _is_pattern(name: str) -> bool:
    return any(mark in name for mark in _GLOB_MARKS)
