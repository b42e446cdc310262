"""The artifacts of a home directory, and the chain of hashes that ties each to what it was made from.

    <home>/data/<dataset>/data.json      manifest, written last
    <home>/runs/<run>/run.json
    <home>/caches/<cache>/cache.json
    <home>/bench/<time>-<run>.json

A directory without its manifest does not exist. Everything is written to a temporary sibling, fsynced, then renamed,
under a lock of its name (`places`).
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic

from lrea_cli.console.counts import counted
from lrea_cli.console.progress import Progress, ignore
from lrea_cli.console.terminal import fitted
from lrea_cli.errors import DamagedArtifact, UserError, nearest
from lrea_cli.workspace.claims import create, finished_number
from lrea_cli.workspace.kinds import FOLDERS, Inventory, Kind, M, home_of_environment, parse, path_of
from lrea_cli.workspace.places import FOLDER, Held, clear, leftovers, lock, place_of, restore
from lrea_cli.workspace.sealed import unseal, write_json


@dataclass(frozen=True)
class Artifact(Generic[M]):
    """One finished directory with its manifest; children keep its identity as `made_from`."""

    kind: Kind[M]
    path: Path
    manifest: M
    inventory: Inventory
    identity: str
    remedy: str

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def order(self) -> tuple[int, str]:
        """Sorts artifacts of a kind by when they were finished; no clock counts, but for those without a number."""
        return finished_number(self.path), self.inventory.created

    def is_parent_of(self, child: Artifact[Any]) -> bool:
        """Whether the child was made from this version."""
        return getattr(child.manifest, "made_from", None) == self.identity


@dataclass(frozen=True)
class Workspace:
    """All artifacts under one home directory."""

    home: Path
    _warned: set[str] = field(default_factory=set, compare=False, repr=False)

    @classmethod
    def from_environment(cls) -> Workspace:
        return cls(home_of_environment())

    def path(self, kind: Kind[M], name: str) -> Path:
        return path_of(self.home, kind, name)

    def open(self, kind: Kind[M], name: str | None = None, **wanted: str) -> Artifact[M]:
        """Open the named artifact, or the latest whose manifest has the wanted values (`dataset="taobao"`).

        Raises:
            UserError: there is none; the message names the nearest one and the command that makes it.
        """
        if name is None:
            if latest := self.latest(kind, **wanted):
                return latest
            values = "".join(f" of {k} '{v}'" for k, v in wanted.items())
            raise UserError(f"There is no {kind.noun}{values} in {self.home}.", f"Make one with: {kind.maker}")
        path = self.path(kind, name)
        restore(place_of(path))
        if (path / kind.file).is_file():
            return read_artifact(kind, path)
        known = [a.name for a in self.all(kind)]
        raise UserError(
            f"There is no {kind.noun} '{name}' in {self.home}{nearest(name, known)}.", f"Make it with: {kind.maker}"
        )

    def latest(self, kind: Kind[M], **wanted: str) -> Artifact[M] | None:
        """The latest artifact whose manifest has the wanted values; None where there is none."""
        suitable = (a for a in self.all(kind) if all(getattr(a.manifest, k) == v for k, v in wanted.items()))
        return max(suitable, key=lambda a: a.order, default=None)

    def all(self, kind: Kind[M]) -> list[Artifact[M]]:
        """Every finished artifact of a kind, by name; a warning, once, for each whose manifest cannot be read."""
        artifacts = []
        for path in self.folders(kind):
            try:
                if (path / kind.file).is_file():
                    artifacts.append(read_artifact(kind, path))
            except (UserError, OSError) as error:
                line = f"{path} is passed over: {error}"
                if line not in self._warned:
                    self._warned.add(line)
                    print(fitted(f"warning: {line}", sys.stderr), file=sys.stderr)
        return artifacts

    def folders(self, kind: Kind[M]) -> list[Path]:
        """The folders of a kind, by name, after undoing each replacement that was cut off."""
        folder = self.home / kind.folder
        if not folder.is_dir():
            return []
        for name, _ in leftovers(folder):
            restore(folder / name)
        paths = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
        for link in (p for p in paths if p.is_symlink()):
            restore(place_of(link))
        return [p for p in paths if p.is_dir()]

    def create(
        self, kind: Kind[M], name: str | None = None, *, stem: str = "", replace: bool = False
    ) -> AbstractContextManager[tuple[str, Path]]:
        return create(self.home, kind, name, stem=stem, replace=replace)

    @contextmanager
    def alone(self, command: str) -> Iterator[None]:
        """Hold the home for a command that makes many artifacts by fixed names; delete what killed processes left.

        Raises:
            UserError: another process runs that command in this home.
        """
        try:
            with lock(self.home / FOLDER / f"{command}.lock"):
                self._clear()
                try:
                    yield
                finally:
                    self._clear()
        except Held as error:
            raise UserError(
                f"Another lrea {command} works in {self.home}.", "Wait until it has ended, or stop it."
            ) from error

    def _clear(self) -> None:
        for folder in FOLDERS:
            clear(self.home / folder)


def read_artifact(kind: Kind[M], path: Path) -> Artifact[M]:
    """The artifact of a folder; a `DamagedArtifact` or `OSError` where its manifest is not as it was written."""
    file = path / kind.file
    data = file.read_bytes()
    content = unseal(data, file, kind.remedy(path, None))
    remedy = kind.remedy(path, content)
    inventory = parse(Inventory, content, file, remedy)
    manifest = parse(kind.manifest, data, file, remedy)
    return Artifact(kind, path, manifest, inventory, kind.identity_of(content), remedy)


def write_manifest(folder: Path, kind: Kind[M], manifest: M) -> None:
    """Write the manifest of an artifact under creation, with the time, and hash and size of every file beside it."""
    if kind.read_in_parts:
        from lrea_cli.workspace.blocks import write_blocks  # numpy: not for every command

        write_blocks(folder, list(_files_in(folder, kind)))
    paths = _files_in(folder, kind)
    inventory = Inventory(
        created=datetime.now(UTC).isoformat(),
        files={name: sha256_of(path) for name, path in paths.items()},
        bytes={name: path.stat().st_size for name, path in paths.items()},
    )
    write_json(folder / kind.file, {**manifest.to_dict(), **asdict(inventory)})


def require_made_from(child: Artifact[Any], parent: Artifact[Any]) -> None:
    """Raise a `UserError` where a child was made from another version of its parent."""
    if not parent.is_parent_of(child):
        what, made_from = f"{child.kind.noun} '{child.name}'", f"{parent.kind.noun} '{parent.name}'"
        raise UserError(f"The {what} was made from another version of the {made_from}.", child.remedy)


def require_intact(artifact: Artifact[M], *names: str) -> None:
    """Raise `DamagedArtifact` for the first of the named files (of all, if none is named) that was changed."""
    for name in names or artifact.inventory.files:
        if difference := difference_of(artifact, name):
            raise DamagedArtifact(f"{artifact.path / name} {difference}.", artifact.remedy)


def difference_of(artifact: Artifact[M], name: str, progress: Progress = ignore) -> str | None:
    """How a file differs from what was written, as the end of a sentence; None where it does not differ."""
    size, digest = artifact.inventory.bytes.get(name), hashlib.sha256()
    try:
        with (artifact.path / name).open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
                progress(len(part))
            bytes_read = file.tell()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if size is None:
        return "is not of this artifact"
    if bytes_read != size:
        return f"has {counted(bytes_read, 'byte')}, {size:,} were written"
    same = digest.hexdigest() == artifact.inventory.files.get(name)
    return None if same else "is damaged or was changed after it was written"


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files_in(folder: Path, kind: Kind[M]) -> dict[str, Path]:
    """Every file of an artifact but its manifest, by its name within the folder."""
    paths = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != kind.file)
    return {str(p.relative_to(folder)): p for p in paths}
