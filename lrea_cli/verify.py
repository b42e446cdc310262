"""Reads all of an artifact and compares it with its hashes: what commands check only where they read, checked whole."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrea_cli.console.counts import counted
from lrea_cli.console.progress import Progress
from lrea_cli.dataset.layout import SPLITS
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.errors import DamagedArtifact, UserError, nearest
from lrea_cli.records.manifest import ASKED_USERS, CACHES, CacheManifest
from lrea_cli.runs.manifest import RUNS
from lrea_cli.score.kept import check_evaluation, evaluation_path, scores_path
from lrea_cli.workspace.home import Artifact, read_artifact
from lrea_cli.workspace.kinds import Kind
from lrea_cli.workspace.remake import remedy_of
from lrea_cli.workspace.sealed import read_json

KINDS: tuple[Kind[Any], ...] = (DATASETS, RUNS, CACHES)
CHUNK = 1 << 20


@dataclass(frozen=True)
class Target:
    """What is to be read: the folder of an artifact, or a JSON file of results, which is of no kind."""

    kind: Kind[Any] | None
    path: Path
    home: Path

    @property
    def name(self) -> str:
        """`runs/taobao-din-1`: the path within its home."""
        return str(self.path.relative_to(self.home)) if self.path.is_relative_to(self.home) else str(self.path)

    @property
    def word(self) -> str:
        """`dataset`, `run`, `cache` or `results`."""
        return "results" if self.kind is None else self.kind.noun

    @property
    def files(self) -> list[Path]:
        """Every file that lies there."""
        if self.kind is None:
            return [self.path]
        return sorted(path for path in self.path.rglob("*") if path.is_file())


@dataclass(frozen=True)
class Damage:
    """A file that is not as it was written.

    Args:
        message: what was seen of the file, without its path. remedy: the command that mends it.
    """

    file: str
    message: str
    remedy: str

    @classmethod
    def of(cls, path: Path, error: DamagedArtifact | UserError | OSError, remedy: str) -> Damage:
        """What an error says of the file."""
        said = error.message if isinstance(error, UserError) else f"cannot be read: {error.strerror}"
        return cls(str(path), said.removeprefix(str(path)).lstrip(": "), remedy)


@dataclass(frozen=True)
class Verified:
    """What came of reading one target.

    Args:
        files, bytes: that lie there. damage: empty where all is as it was written.
    """

    artifact: str
    kind: str
    files: int
    bytes: int
    damage: tuple[Damage, ...]


def find_targets(home: Path, wanted: str | None) -> list[Target]:
    """Everything in a home, or what a name or a path stands for.

    Args:
        wanted: the name of a dataset, run, cache or file of results in `home`; or the path of one, or of another home.

    Raises:
        UserError: there is no such thing.
    """
    known = list(_targets_in(home, home))
    if wanted is None:
        if not known:
            raise UserError(f"There is nothing in {home} yet.", "Begin with: lrea prepare synthetic")
        return known
    found = [target for target in known if wanted in (target.path.name, target.name)] or _targets_at(Path(wanted))
    if not found:
        raise UserError(
            f"There is no dataset, run, cache or result '{wanted}' in {home}"
            f"{nearest(wanted, [target.path.name for target in known])}.",
            "Give a name from: lrea verify, or a path.",
        )
    return found


def verify(target: Target, progress: Progress) -> Verified:
    """Read every byte of a target.

    Args:
        progress: is told of the bytes.
    """
    files = target.files
    sizes = {path: path.stat().st_size for path in files}
    if target.kind is None:
        damage = list(_json_damage(target.path, "Measure or sweep anew with: lrea serve-bench, or lrea sweep"))
        progress(sizes[target.path])
    else:
        damage = list(_folder_damage(target.kind, target.path, sizes, progress))
    return Verified(target.name, target.word, len(files), sum(sizes.values()), tuple(damage))


def _targets_in(folder: Path, home: Path) -> Iterator[Target]:
    """Of a home, or of one within it, as a sweep has."""
    for kind in KINDS:
        for path in _inside(folder / kind.folder):
            if path.is_dir():
                yield Target(kind, path, home)
    for path in [*_inside(folder / "bench"), folder / "results.json"]:
        if path.suffix == ".json" and path.is_file():
            yield Target(None, path, home)
    for path in _inside(folder / "sweeps"):
        yield from _targets_in(path, home)


def _targets_at(path: Path) -> list[Target]:
    if path.suffix == ".json" and path.is_file():
        return [Target(None, path, path.parent)]
    for kind in KINDS:
        if (path / kind.file).is_file():
            return [Target(kind, path, path.parent)]
    return list(_targets_in(path, path))


def _inside(folder: Path) -> list[Path]:
    """What is visible in a folder, by name; nothing where there is no such folder."""
    return sorted(p for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else []


def _folder_damage(kind: Kind[Any], folder: Path, sizes: Mapping[Path, int], progress: Progress) -> Iterator[Damage]:
    """Of the manifest, of the files that it names, and of what was written beside them later."""
    path = folder / kind.file
    try:
        artifact = read_artifact(kind, folder)
    except (DamagedArtifact, OSError) as error:
        remedy = error.remedy if isinstance(error, DamagedArtifact) else remedy_of(kind, folder, None)
        yield Damage.of(path, error, remedy)
        progress(sum(sizes.values()))
        return
    progress(sizes[path])
    manifest, inventory = artifact.manifest, artifact.inventory
    for name, sha256 in inventory.files.items():
        message = _difference(folder / name, inventory.bytes.get(name), sha256, progress)
        if message:
            of_users = isinstance(manifest, CacheManifest) and name == ASKED_USERS
            remedy = manifest.users_remedy(folder) if of_users else artifact.remedy
            yield Damage(str(folder / name), message, remedy)
    yield from _damage_beside(artifact, sizes, progress)


def _damage_beside(artifact: Artifact[Any], sizes: Mapping[Path, int], progress: Progress) -> Iterator[Damage]:
    """Of evaluations, and of other JSON that was written into the folder when it was finished."""
    folder, manifest = artifact.path, artifact.manifest
    pairs = {path for split in SPLITS for path in (scores_path(folder, split), evaluation_path(folder, split))}
    for split in SPLITS:
        if scores_path(folder, split).is_file() or evaluation_path(folder, split).is_file():
            of_cache = isinstance(manifest, CacheManifest)
            served = ["--run", manifest.run, "--cache", folder.name] if of_cache else ["--run", folder.name]
            yield from _evaluation_damage(folder, split, f"lrea eval {shlex.join([*served, '--split', split])}")
    known = {folder / name for name in (*artifact.inventory.files, artifact.kind.file)}
    for path, size in sizes.items():
        if path not in known:
            progress(size)
            if path.suffix == ".json" and path not in pairs:
                yield from _json_damage(path, f"Remove {path}, and run the sweep that wrote it again: lrea sweep")


def _evaluation_damage(folder: Path, split: Any, command: str) -> Iterator[Damage]:
    try:
        check_evaluation(folder, split, command)
    except (UserError, OSError) as error:
        yield Damage.of(scores_path(folder, split), error, f"Make it anew with: {command}")


def _json_damage(path: Path, remedy: str) -> Iterator[Damage]:
    try:
        read_json(path, remedy)
    except DamagedArtifact as error:
        yield Damage.of(path, error, remedy)


def _difference(path: Path, size: int | None, sha256: str, progress: Progress) -> str | None:
    """What differs from what was written; None where nothing does."""
    try:
        found = path.stat().st_size
        if found != size:
            progress(found)
            return (
                f"has {counted(found, 'byte')}, {size:,} were written"
                if size is not None
                else "is not of this artifact"
            )
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while part := file.read(CHUNK):
                digest.update(part)
                progress(len(part))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None if digest.hexdigest() == sha256 else "is damaged or was changed after it was written"
