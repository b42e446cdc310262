"""Names that belong to one process while it makes an artifact: no other process makes, replaces or deletes it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from lrea_cli.console.stopping import undisturbed
from lrea_cli.errors import LreaError, UserError
from lrea_cli.workspace.kinds import Kind, M, path_of
from lrea_cli.workspace.locks import FOLDER, Held, lock
from lrea_cli.workspace.places import (
    clear,
    clear_held,
    fsync,
    fsync_tree,
    lock_of,
    new_partial,
    place_of,
    remove,
    swap_in,
)

FINISHED = ".finished"
"""In an artifact's folder: its number in the order in which those of its kind were finished."""

FINISH_SECONDS = 60.0
"""Longest wait for another process that is finishing an artifact."""


@dataclass(frozen=True)
class Claim:
    """A name that belongs to this process until the block ends.

    Args:
        name: what the artifact will be called. final: where it will be seen. place: where it will lie.
    """

    kind: Kind[Any]
    name: str
    final: Path
    place: Path

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Yield an empty folder; when the block ends well it becomes the artifact, else it is removed.

        The block writes its manifest with `write_manifest` as its last act.
        """
        partial = new_partial(self.place)
        try:
            yield partial
            if not (partial / self.kind.file).is_file():
                raise RuntimeError(f"{partial} has no {self.kind.file}")
            fsync_tree(partial)
            with undisturbed():
                self._finish(partial)
        except BaseException as error:
            if not isinstance(error, LreaError) and partial.is_dir():
                old = "; the old one is as it was" if os.path.lexists(self.place) else ""
                error.add_note(f"the {self.kind.noun} '{self.name}' was not finished and is not kept{old}")
            raise
        finally:
            remove(partial)

    def _finish(self, partial: Path) -> None:
        """Number the artifact after all that are finished, and show it."""
        with lock(self.final.parent.parent / FOLDER / f"finish-{self.kind}.lock", FINISH_SECONDS):
            number = 1 + max(map(finished_number, self.final.parent.iterdir()), default=0)
            (partial / FINISHED).write_text(f"{number}\n", encoding="ascii")
            fsync(partial / FINISHED)
            swap_in(partial, self.place)


@contextmanager
def claim(
    home: Path, kind: Kind[M], name: str | None = None, *, stem: str = "", replace: bool = False
) -> Iterator[Claim]:
    """Hold a name, so that no other process makes or replaces the artifact; let go when the block ends.

    Args:
        name: None = the first of stem-1, stem-2, ... that is free and that nobody is making.

    Raises:
        UserError: the name is taken and `replace` is False, or another process is making the artifact.
    """
    final = path_of(home, kind, f"{stem}-1" if name is None else name)
    final.parent.mkdir(parents=True, exist_ok=True)
    clear(final.parent)
    with ExitStack() as held:
        yield _next(held, home, kind, stem) if name is None else _named(held, kind, final, replace)


def finished_number(folder: Path) -> int:
    """Counts the artifacts of a kind in the order in which they were finished; 0 where it is not known."""
    try:
        return max(0, int((folder / FINISHED).read_text(encoding="ascii")))
    except (OSError, ValueError):
        return 0


def _named(held: ExitStack, kind: Kind[M], final: Path, replace: bool) -> Claim:
    place, what = place_of(final), f"the {kind.noun} '{final.name}'"
    try:
        held.enter_context(lock(lock_of(place)))
    except Held as error:
        raise UserError(
            f"Another process is making {what} in {final.parent}.", "Wait until it has ended, or choose another name."
        ) from error
    clear_held(place)
    if os.path.lexists(place) and not replace:
        raise UserError(
            f"T{what[1:]} exists already in {final.parent}.",
            f"Choose another name by {kind.option}, replace it by --replace, or remove that folder.",
        )
    return Claim(kind, final.name, final, place)


def _next(held: ExitStack, home: Path, kind: Kind[M], stem: str) -> Claim:
    for number in count(1):
        final = path_of(home, kind, f"{stem}-{number}")
        if os.path.lexists(final):
            continue
        with ExitStack() as attempt, suppress(Held):
            attempt.enter_context(lock(lock_of(final)))
            if not os.path.lexists(final):  # another process may have finished it a moment ago
                held.enter_context(attempt.pop_all())
                return Claim(kind, final.name, final, final)
    raise AssertionError("numbers have no end")
