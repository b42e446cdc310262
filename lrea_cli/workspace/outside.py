"""A folder outside of a home, for a server: made whole or not at all, with the SHA-256 of each file in `SHA256SUMS`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lrea_cli.console.counts import counted
from lrea_cli.console.stopping import undisturbed
from lrea_cli.errors import UserError
from lrea_cli.workspace.home import sha256_of
from lrea_cli.workspace.places import PARTIAL, beside, fsync, place_of, remove, swap_in

SUMS = "SHA256SUMS"
"""Of GNU coreutils: `sha256sum --check SHA256SUMS` compares every file. No folder without it is ever replaced."""


@contextmanager
def new_folder(place: Path, replace: bool = False) -> Iterator[Path]:
    """A folder that takes its place when its block ends well, whole; else nothing is kept.

    Raises:
        UserError: there is something at the place that is not to be replaced, or the folder cannot be made.
    """
    place = place_of(place.absolute())
    if os.path.lexists(place):
        _require_own(place, replace)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = beside(place, PARTIAL)
        partial.mkdir()
    except OSError as error:
        raise UserError(f"{place} cannot be made: {error.strerror}.", "Give another --to.") from error
    try:
        yield partial
        lines = [f"{sha256_of(partial / name)}  {name}\n" for name in _files_in(partial)]
        (partial / SUMS).write_text("".join(lines), encoding="utf-8")
        for path in [*partial.rglob("*"), partial]:
            fsync(path)
        with undisturbed():
            swap_in(partial, place)
    finally:
        remove(partial)


def _require_own(place: Path, replace: bool) -> None:
    """Raise a `UserError` unless the folder is to be replaced, and all its files are those that lrea wrote."""
    if not replace:
        raise UserError(f"There is a {place} already.", "Give another --to, or --replace.")
    if not (place / SUMS).is_file():
        raise UserError(f"There is a {place} already, which lrea did not make.", "Give another --to.")
    listed = {line[66:] for line in (place / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()}
    if added := sorted(_files_in(place) - listed - {SUMS}):
        raise UserError(
            f"{place} has {counted(len(added), 'file')} that lrea did not write: {', '.join(added[:3])}"
            f"{', ..' if len(added) > 3 else ''}.",
            "Move them away (what was built goes by: make clean), or give another --to.",
        )


def _files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}
