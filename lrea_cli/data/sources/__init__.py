"""The sources of raw events, one file each, and where their raw files are looked for."""

from __future__ import annotations

import glob
from pathlib import Path

from lrea_cli.data.schema import Source
from lrea_cli.data.sources.amazon_books import AmazonBooks
from lrea_cli.data.sources.amazon_books_sim import AmazonBooksSim
from lrea_cli.data.sources.kuairand import KuaiRand
from lrea_cli.data.sources.synthetic import Synthetic
from lrea_cli.data.sources.table import Table
from lrea_cli.data.sources.taobao import Taobao
from lrea_cli.errors import UserError

SOURCES: tuple[type[Source], ...] = (Taobao, AmazonBooks, AmazonBooksSim, KuaiRand, Table, Synthetic)


def find_files(source: Source | type[Source], raw: Path | None, home: Path) -> list[Path]:
    """Return a source's raw files: from `raw` (file, folder or glob), else `<home>/raw/<source>/`, else `./`.

    In a folder the first of the source's file names that exists is taken (all files that match it); of names that begin
    with `*`, all that match any. Its companions are looked for beside the first file.

    Raises:
        UserError: there is none; the message says where to get it and where to put it.
    """
    if not source.needs_files:
        return []
    if raw is not None:
        places = [raw]
    elif _takes_anything(source):
        places = []  # *.csv in the current directory could be anything: it must be named
    else:
        places = [home / "raw" / source.name, Path()]
    for place in places:
        if files := _files_at(source, place):
            return files + [p for p in _companions(source, files[0].parent) if p not in files]
    raise _missing(source, raw, places)


def _files_at(source: Source | type[Source], place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    if not place.is_dir():
        return sorted(Path(p) for p in glob.glob(str(place), recursive=True) if Path(p).is_file())
    found = [sorted(p for p in place.glob(name) if p.is_file()) for name in source.file_names]
    if _takes_anything(source):
        return sorted({path for paths in found for path in paths})
    return next((paths for paths in found if paths), [])


def _companions(source: Source | type[Source], folder: Path) -> list[Path]:
    """For each kind of companion, the files of its first name that exists."""
    found: list[Path] = []
    for names in source.companion_names:
        matches = (sorted(p for p in folder.glob(name) if p.is_file()) for name in names)
        found += next((paths for paths in matches if paths), [])
    return found


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


def _takes_anything(source: Source | type[Source]) -> bool:
    return any(name.startswith("*") for name in source.file_names)
