"""The sources of raw events, one file each, and where their raw files are looked for."""

from __future__ import annotations

import glob
from pathlib import Path

from lrea_cli.data.schema import Source
from lrea_cli.data.sources.amazon_books import AmazonBooks
from lrea_cli.data.sources.amazon_books_sim import AmazonBooksSim
from lrea_cli.data.sources.kuairand import KuaiRand
from lrea_cli.data.sources.rawfile import PACKED
from lrea_cli.data.sources.synthetic import Synthetic
from lrea_cli.data.sources.table import Table
from lrea_cli.data.sources.taobao import Taobao
from lrea_cli.errors import UserError

SOURCES: tuple[type[Source], ...] = (Taobao, AmazonBooks, AmazonBooksSim, KuaiRand, Table, Synthetic)


def find_files(source: Source | type[Source], raw: Path | None, home: Path) -> list[Path]:
    """Return a source's raw files: from `raw` (file, folder or glob), else `<home>/raw/<source>/`, else `./`.

    In a folder the first of the source's file names that exists is taken (all files that match it); of names that begin
    with `*`, all that match any. Of a file that lies there packed (`.gz`, `.zip`) and unpacked, the unpacked one is
    taken. Companions are looked for beside the first file.

    Raises:
        UserError: there is none; the message says where to get it and where to put it.
    """
    if not source.file_names:
        return []
    if raw is not None:
        places = [raw]
    elif _takes_anything(source):
        places = []  # *.csv in the current directory could be anything: it must be named
    else:
        places = [home / "raw" / source.name, Path()]
    for place in places:
        if files := _files_at(source, place):
            beside = (path for name in source.companion_names for path in _matches(files[0].parent, name))
            return files + [path for path in beside if path not in files]
    raise _missing(source, raw, places)


def _files_at(source: Source | type[Source], place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    if not place.is_dir():
        return sorted(Path(p) for p in glob.glob(str(place), recursive=True) if Path(p).is_file())
    found = [_matches(place, name) for name in source.file_names]
    if _takes_anything(source):
        return sorted({path for paths in found for path in paths})
    return next((paths for paths in found if paths), [])


def _matches(folder: Path, name: str) -> list[Path]:
    """The files of a name or pattern, each once: unpacked, else packed."""
    found: dict[str, Path] = {}
    for packed in ("", *PACKED):
        for path in folder.glob(name + packed):
            if path.is_file():
                found.setdefault(str(path).removesuffix(packed), path)
    return sorted(found.values())


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
        names = ", ".join(source.file_names)
        what = f"There is no raw file of '{source.name}': looked for {names} (or .gz, .zip) in {looked}."
        mend = f"Get {source.where_to_get}. Put it into {places[0]}, or name it with --raw."
    return UserError(what, f"{mend} `lrea prepare synthetic` needs no file.")


def _takes_anything(source: Source | type[Source]) -> bool:
    return any(name.startswith("*") for name in source.file_names)
