"""What lies in a home: every dataset, run and cache, damaged or not, what it was made from, and how to remove it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lrea_cli.console.stopping import undisturbed
from lrea_cli.dataset.manifest import DATASETS, DatasetManifest
from lrea_cli.errors import UserError, nearest
from lrea_cli.records.manifest import CACHES, CacheManifest
from lrea_cli.runs.manifest import RUNS, RunManifest
from lrea_cli.workspace.claims import lock_name
from lrea_cli.workspace.home import Artifact, Workspace, read_artifact
from lrea_cli.workspace.kinds import Kind
from lrea_cli.workspace.places import clear, hide, remove

KINDS: tuple[Kind[Any], ...] = (DATASETS, RUNS, CACHES)
"""Each but the first is made from the one before it."""


@dataclass(frozen=True)
class Entry:
    """A folder of a home that is, or was, an artifact.

    Args:
        artifact: None = its manifest is missing or damaged, or another program wrote it.
        bytes: of all files in the folder; 0 for a symbolic link.
        made: epoch seconds.
        made_from: the name of another entry; None for a dataset, and where it is unknown.
        method: `taobao`, `lrea 128` or `clusters 16`: what made it, and its rank where it has one.
    """

    kind: Kind[Any]
    path: Path
    artifact: Artifact[Any] | None
    bytes: int
    made: float
    made_from: str | None
    method: str

    @property
    def name(self) -> str:
        """`runs/taobao-din-1`: no other entry of the home has it."""
        return f"{self.kind.folder}/{self.path.name}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        return {
            "kind": self.kind.noun,
            "name": self.path.name,
            "path": str(self.path),
            "bytes": self.bytes,
            "made": datetime.fromtimestamp(self.made, UTC).isoformat(timespec="seconds"),
            "made_from": self.made_from,
            "method": None if self.artifact is None else self.method,
            "damaged": self.artifact is None,
        }


def entries_of(home: Path) -> list[Entry]:
    """Every entry of a home, the newest last."""
    entries = list[Entry]()
    for kind in KINDS:
        for path in Workspace(home).folders(kind):
            with suppress(FileNotFoundError):  # another process has removed it
                entries.append(_entry(kind, path))
    return sorted(entries, key=lambda entry: entry.made)


def find_entry(home: Path, wanted: str) -> tuple[Entry, list[Entry]]:
    """The entry of a name, such as `taobao-din-1` or `runs/taobao-din-1`, and its dependents.

    Dependents were made from the entry, from another version of it, or from a dependent, before which they come.

    Raises:
        UserError: there is no such entry, or there are several of different kinds.
    """
    entries = entries_of(home)
    matches = [entry for entry in entries if wanted in (entry.path.name, entry.name)]
    if not matches:
        close = nearest(wanted, [name for entry in entries for name in (entry.path.name, entry.name)])
        raise UserError(f"There is no dataset, run or cache '{wanted}' in {home}{close}.", "Give a name of: lrea list")
    if len(matches) > 1:
        kinds = " and a ".join(entry.kind.noun for entry in matches)
        names = " or ".join(entry.name for entry in matches)
        raise UserError(f"There is a {kinds} of the name '{wanted}' in {home}.", f"Say which: {names}")
    return matches[0], _dependents(matches[0], entries)


def remove_entries(doomed: Sequence[Entry]) -> None:
    """Delete entries; after a kill each is there whole, or is a leftover that the next command deletes.

    Args:
        doomed: each before what it was made from; of a symbolic link, the link alone is deleted.

    Raises:
        UserError: another process is making or removing one of them, or a sweep reads a dataset; nothing is deleted.
    """
    with ExitStack() as locks, undisturbed():
        for entry in doomed:
            _require_no_sweep(entry)
            lock_name(locks, entry.kind, entry.path)
        for partial in [hide(entry.path) for entry in doomed]:
            remove(partial)
        for folder in {entry.path.parent for entry in doomed}:
            clear(folder)


def _dependents(entry: Entry, entries: Sequence[Entry]) -> list[Entry]:
    children = [child for child in entries if child.made_from == entry.name]
    return [each for child in children for each in (*_dependents(child, entries), child)]


def _entry(kind: Kind[Any], path: Path) -> Entry:
    artifact, made, size = None, path.stat().st_mtime, 0
    with suppress(UserError, OSError):
        artifact = read_artifact(kind, path)
    with suppress(ValueError, OverflowError):
        made = datetime.fromisoformat(artifact.inventory.created).timestamp() if artifact else made
    for file in () if path.is_symlink() else path.rglob("*"):
        with suppress(OSError):
            size += file.stat().st_size if file.is_file() else 0
    return Entry(kind, path, artifact, size, made, *_origin_and_method(artifact))


def _origin_and_method(artifact: Artifact[Any] | None) -> tuple[str | None, str]:
    match artifact and artifact.manifest:
        case DatasetManifest(source=source):
            return None, source
        case RunManifest(dataset=dataset, method="lrea", recipe={"model": {"rank": rank}}):
            return f"{DATASETS.folder}/{dataset}", f"lrea {rank}"
        case RunManifest(dataset=dataset, method=method):
            return f"{DATASETS.folder}/{dataset}", method
        case CacheManifest(run=run, compressor=compressor, rank=rank):
            return f"{RUNS.folder}/{run}", f"{compressor or 'records'} {rank}"
    return None, "DAMAGED"


def _require_no_sweep(entry: Entry) -> None:
    """Sweeps link their dataset into homes of their own."""
    for link in sorted(entry.path.parent.parent.glob(f"sweeps/*/{entry.kind.folder}/*")):
        if link.is_symlink() and link.resolve() == entry.path.resolve():
            sweep = link.parent.parent
            raise UserError(f"The sweep in {sweep} was made from {entry.name}.", f"Remove that folder first: {sweep}")
