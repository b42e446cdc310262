"""Where a source's raw files are looked for, and which of several forms of one file is taken."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from lrea_cli.console.counts import counted
from lrea_cli.console.terminal import clean
from lrea_cli.errors import UserError
from lrea_cli.prepare.reading.forms import NOT_READ, SUFFIXES, unpacked
from lrea_cli.prepare.sources.base import Source

OTHERS_SHOWN = 3
"""Of files that are not read, in a message."""

Tell = Callable[[str], None]
AnySource = Source | type[Source]


def find_files(source: AnySource, raw: Path | None, home: Path, tell: Tell = lambda line: None) -> list[Path]:
    """Return a source's raw files: from `raw` (file, folder or glob), else `<home>/raw/<source>/`, else `./`.

    A source that takes any file by its suffix has no such locations: *.csv in the current folder could be anything.

    In a folder the first of the source's file names that exists is taken (all files that match it); of names that begin
    with `*`, all files in it and in its folders that match any. Names match in upper and lower case. Of a file that
    lies there packed and unpacked, the unpacked one is taken. Companions are looked for beside the first file.

    Args:
        tell: is told which files are left out.

    Raises:
        UserError: there is none; the message says where to get it and where to put it. Or a file lies there in two
            forms, such as CSV and Parquet.
    """
    if not source.file_names:
        return []
    locations = [raw] if raw is not None else [] if _takes_anything(source) else [home / "raw" / source.name, Path()]
    for location in locations:
        if files := _files_at(source, location, tell):
            _check_forms(source, files)
            beside = (path for name in source.companion_names for path in _matches(files[0].parent, name, tell))
            return files + [path for path in beside if path not in files]
    raise _missing(source, raw, locations)


def where_without_raw(source: AnySource) -> str:
    """What the help of --raw says of a command without it."""
    return "required" if _takes_anything(source) else f"default: <home>/raw/{source.name}, then here"


def _files_at(source: AnySource, location: Path, tell: Tell) -> list[Path]:
    if location.is_file():
        return [location]
    if not location.is_dir():
        return _each_once((Path(p) for p in glob.glob(str(location), recursive=True)), tell)
    if not _takes_anything(source):
        return next((files for name in source.file_names if (files := _matches(location, name, tell))), [])
    files = _each_once(_inside(location, tuple(name.removeprefix("*") for name in source.file_names), tell), tell)
    forms = Counter(_form(path) for path in files)
    if len(forms) > 1:
        counts = ", ".join(f"{count} {form}" for form, count in sorted(forms.items()))
        tell(f"Files of several forms are read as one log ({counts}): see that none holds the rows of another.")
    return files


def _inside(folder: Path, suffixes: tuple[str, ...], tell: Tell) -> Iterable[Path]:
    """Files with one of these suffixes, packed or not, in a folder and in its folders.

    What begins with `.` or `_` is left out: Hive and Spark keep their own files under such names.
    """
    others: list[str] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        for name in sorted(name for name in names if not name.startswith((".", "_"))):
            if unpacked(name).lower().endswith(suffixes):
                yield Path(parent, name)
            elif name.lower().endswith(NOT_READ):
                tell(f"{clean(Path(parent, name))} is left out: files of this form are not read.")
            else:
                others.append(clean(os.path.relpath(Path(parent, name), folder)))
    if others:
        some = ", ".join(others[:OTHERS_SHOWN]) + (", .." if len(others) > OTHERS_SHOWN else "")
        tell(
            f"Not read, as the names end in none of {', '.join(suffixes)} (packed or not): "
            f"{counted(len(others), 'file')} of {clean(folder)}, such as {some}. If one is part of the log, "
            f"name all by a quoted glob: --raw '{clean(folder)}/*'."
        )


def _form(path: Path) -> str:
    return os.path.splitext(unpacked(path))[1].lower()


def _matches(folder: Path, name: str, tell: Tell) -> list[Path]:
    """The files of a name or pattern, packed or not, in upper and lower case."""
    patterns = (
        re.sub("[A-Za-z]", lambda letter: f"[{letter[0].lower()}{letter[0].upper()}]", name + suffix)
        for suffix in ("", *SUFFIXES)
    )
    return _each_once((path for pattern in patterns for path in folder.glob(pattern)), tell)


def _each_once(paths: Iterable[Path], tell: Tell) -> list[Path]:
    """The files among these paths, sorted; of one that lies there packed and unpacked, the unpacked one."""
    ranks = {suffix: rank for rank, suffix in enumerate(SUFFIXES, 1)}
    taken: dict[str, Path] = {}
    for path in sorted({p for p in paths if p.is_file()}, key=lambda p: (ranks.get(p.suffix.lower(), 0), p)):
        first = taken.setdefault(unpacked(path), path)
        if first != path:
            tell(f"{clean(path)} is left out: {clean(first)} is taken.")
    return sorted(taken.values())


def _check_forms(source: AnySource, files: Iterable[Path]) -> None:
    """Refuse a log that lies there twice, in two forms: log.csv and log.parquet."""
    forms = {os.path.splitext(name)[1].lower() for name in source.file_names}
    roots: dict[str, Path] = {}
    for path in files:
        root = os.path.splitext(unpacked(path))[0].lower()
        if _form(path) in forms and (other := roots.setdefault(root, path)) != path:
            raise UserError(
                f"{clean(other)} and {clean(path)} have one name and two forms: their rows would count twice.",
                "Name one of them with --raw, or a glob such as --raw 'logs/*.parquet'; if they are two parts of one "
                "log, rename one.",
            )


def _missing(source: AnySource, raw: Path | None, locations: list[Path]) -> UserError:
    name_it = "Name a file, a folder or a quoted glob with --raw."
    if raw is not None:
        what = f"There is no raw file of '{source.name}' at {clean(raw)}."
        mend = f"Get {source.where_to_get}. {name_it}"
    elif not locations:
        what = f"'{source.name}' reads files that you name: {source.where_to_get}."
        mend = name_it
    else:
        looked = " and ".join(clean(location.absolute()) for location in locations)
        names = ", ".join(source.file_names)
        what = f"There is no raw file of '{source.name}': looked for {names} (or {', '.join(SUFFIXES)}) in {looked}."
        mend = f"Get {source.where_to_get}. Put it into {clean(locations[0])}, or name it with --raw."
    return UserError(what, f"{mend} `lrea prepare synthetic` needs no file.")


def _takes_anything(source: AnySource) -> bool:
    return any(name.startswith("*") for name in source.file_names)
