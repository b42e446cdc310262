"""Names that belong to one process while it makes or removes an artifact: no other process touches the artifact."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

from lrea_cli.console.stopping import undisturbed
from lrea_cli.errors import LreaError, UserError
from lrea_cli.workspace.kinds import Kind, M, path_of
from lrea_cli.workspace.places import (
    FOLDER,
    PARTIAL,
    Held,
    beside,
    clear,
    clear_held,
    fsync,
    lock,
    lock_of,
    place_of,
    remove,
    swap_in,
)

FINISHED = ".finished"
"""In an artifact's folder: its number in the order in which those of its kind were finished."""

FINISH_SECONDS = 60.0
"""Longest wait for another process that is finishing an artifact."""


@contextmanager
def create(
    home: Path, kind: Kind[M], name: str | None = None, *, stem: str = "", replace: bool = False
) -> Iterator[tuple[str, Path]]:
    """Yield a name that no other process takes meanwhile, and an empty folder that becomes the artifact of that name.

    The block writes its manifest with `write_manifest` as its last act. Where the block fails, the folder is deleted.

    Args:
        name: None = the first of stem-1, stem-2, ... that is free and that nobody is making.

    Raises:
        UserError: the name is taken and `replace` is False, or another process is making the artifact.
    """
    final = path_of(home, kind, f"{stem}-1" if name is None else name)
    final.parent.mkdir(parents=True, exist_ok=True)
    clear(final.parent)
    with ExitStack() as locks:
        if name is None:
            final = _lock_next(locks, home, kind, stem)
        else:
            lock_name(locks, kind, final)
            if os.path.lexists(place_of(final)) and not replace:
                raise UserError(
                    f"The {kind.noun} '{name}' exists already in {final.parent}.",
                    f"Choose another name by {kind.option}, or replace it by --replace.",
                )
        with _new_folder(kind, final) as partial:
            yield final.name, partial


def finished_number(folder: Path) -> int:
    """Counts the artifacts of a kind in the order in which they were finished; 0 where it is not known."""
    try:
        return max(0, int((folder / FINISHED).read_text(encoding="ascii")))
    except (OSError, ValueError):
        return 0


def lock_name(locks: ExitStack, kind: Kind[M], final: Path) -> None:
    """Lock the name of an artifact, or raise a `UserError`; clear up what killed processes left of it."""
    try:
        locks.enter_context(lock(lock_of(place_of(final))))
    except Held as error:
        raise UserError(
            f"Another process is making or removing the {kind.noun} '{final.name}' in {final.parent}.",
            "Wait until it has ended, or choose another name.",
        ) from error
    clear_held(place_of(final))


def _lock_next(locks: ExitStack, home: Path, kind: Kind[M], stem: str) -> Path:
    for number in count(1):
        final = path_of(home, kind, f"{stem}-{number}")
        if os.path.lexists(final):
            continue
        with ExitStack() as attempt, suppress(Held):
            attempt.enter_context(lock(lock_of(final)))
            if not os.path.lexists(final):  # another process may have finished it a moment ago
                locks.enter_context(attempt.pop_all())
                return final
    raise AssertionError("numbers have no end")


@contextmanager
def _new_folder(kind: Kind[M], final: Path) -> Iterator[Path]:
    place = place_of(final)
    partial = beside(place, PARTIAL)
    partial.mkdir()
    try:
        yield partial
        if not (partial / kind.file).is_file():
            raise RuntimeError(f"{partial} has no {kind.file}")
        for path in [*partial.rglob("*"), partial]:
            fsync(path)
        with undisturbed(), lock(final.parent.parent / FOLDER / f"finish-{kind.folder}.lock", FINISH_SECONDS):
            number = 1 + max(map(finished_number, final.parent.iterdir()), default=0)
            (partial / FINISHED).write_text(f"{number}\n", encoding="ascii")
            fsync(partial / FINISHED)
            swap_in(partial, place)
    except BaseException as error:
        if not isinstance(error, LreaError) and partial.is_dir():
            old = "; the old one is as it was" if os.path.lexists(place) else ""
            error.add_note(f"the {kind.noun} '{final.name}' was not finished and is not kept{old}")
        raise
    finally:
        remove(partial)
