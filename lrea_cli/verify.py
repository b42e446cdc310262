"""Compares every file of an artifact with its hash; other commands compare only what they read."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lrea_cli.artifacts import KINDS
from lrea_cli.console.progress import Progress
from lrea_cli.dataset.layout import SPLITS
from lrea_cli.errors import DamagedArtifact, UserError, nearest
from lrea_cli.records.manifest import ASKED_USERS, CacheManifest
from lrea_cli.score.kept_scores import check_evaluation, evaluation_path, scores_path
from lrea_cli.workspace.home import Artifact, Workspace, difference_of, read_artifact
from lrea_cli.workspace.kinds import Kind
from lrea_cli.workspace.sealed import read_json


@dataclass(frozen=True)
class Target:
    """An artifact's folder, or (kind None) a JSON file of results."""

    kind: Kind[Any] | None
    path: Path
    home: Path

    @property
    def name(self) -> str:
        """`runs/taobao-din-1`: the path within its home."""
        return str(self.path.relative_to(self.home)) if self.path.is_relative_to(self.home) else str(self.path)

    @cached_property
    def sizes(self) -> dict[Path, int]:
        """Bytes of every file that lies there."""
        files = [self.path] if self.kind is None else sorted(p for p in self.path.rglob("*") if p.is_file())
        return {path: path.stat().st_size for path in files}

    @property
    def bytes(self) -> int:
        return sum(self.sizes.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` has them."""
        noun = "results" if self.kind is None else self.kind.noun
        return {"artifact": self.name, "kind": noun, "files": len(self.sizes), "bytes": self.bytes}


@dataclass(frozen=True)
class Damage:
    """A file that is not as it was written: how it differs, and the command that mends it."""

    file: str
    message: str
    remedy: str

    @classmethod
    def of(cls, path: Path, error: UserError | OSError, remedy: str) -> Damage:
        said = error.message if isinstance(error, UserError) else f"cannot be read: {error.strerror}"
        return cls(str(path), said.removeprefix(str(path)).lstrip(": "), remedy)


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
    targets = [target for target in known if wanted in (target.path.name, target.name)] or _targets_at(Path(wanted))
    if not targets:
        raise UserError(
            f"There is no dataset, run, cache or result '{wanted}' in {home}"
            f"{nearest(wanted, [target.path.name for target in known])}.",
            "Give a name from: lrea verify, or a path.",
        )
    return targets


def damage_of(target: Target, progress: Progress) -> Iterator[Damage]:
    """Read every byte of a target, and yield each damaged file; `progress` is told of the bytes."""
    if target.kind is None:
        yield from _json_damage(target.path, "Measure or sweep anew with: lrea serve-bench, or lrea sweep")
        progress(target.sizes[target.path])
    else:
        yield from _folder_damage(target.kind, target.path, target.sizes, progress)


def _targets_in(folder: Path, home: Path) -> Iterator[Target]:
    """Of a home, or of one within it, as a sweep has."""
    for kind in KINDS:
        yield from (Target(kind, path, home) for path in Workspace(folder).folders(kind))
    for path in [*sorted(folder.glob("bench/*.json")), folder / "results.json"]:
        if path.is_file() and not path.name.startswith("."):
            yield Target(None, path, home)
    for path in sorted(folder.glob("sweeps/[!.]*")):
        yield from _targets_in(path, home)


def _targets_at(path: Path) -> list[Target]:
    if path.suffix == ".json" and path.is_file():
        return [Target(None, path, path.parent)]
    kinds = [kind for kind in KINDS if (path / kind.file).is_file()]
    return [Target(kinds[0], path, path.parent)] if kinds else list(_targets_in(path, path))


def _folder_damage(kind: Kind[Any], folder: Path, sizes: Mapping[Path, int], progress: Progress) -> Iterator[Damage]:
    """Of the manifest, of the files that it names, and of what was written beside them later."""
    path = folder / kind.file
    try:
        artifact = read_artifact(kind, folder)
    except (DamagedArtifact, OSError) as error:
        remedy = error.remedy if isinstance(error, DamagedArtifact) else kind.remedy(folder, None)
        yield Damage.of(path, error, remedy)
        progress(sum(sizes.values()))
        return
    progress(sizes[path])
    for name in artifact.inventory.files:
        if message := difference_of(artifact, name, progress):
            remedy = artifact.remedy
            if isinstance(artifact.manifest, CacheManifest) and name == ASKED_USERS:
                remedy = artifact.manifest.users_remedy(folder)
            yield Damage(str(folder / name), message, remedy)
    yield from _damage_beside(artifact, sizes, progress)


def _damage_beside(artifact: Artifact[Any], sizes: Mapping[Path, int], progress: Progress) -> Iterator[Damage]:
    """Of evaluations, and of other JSON that was written into the folder when it was finished."""
    folder, manifest = artifact.path, artifact.manifest
    options = ["--run", folder.name]
    if isinstance(manifest, CacheManifest):
        options = ["--run", manifest.run, "--cache", folder.name]
    evaluations = set[Path]()
    for split in SPLITS:
        pair = {scores_path(folder, split), evaluation_path(folder, split)}
        evaluations |= pair
        command = f"lrea eval {shlex.join([*options, '--split', split])}"
        try:
            if pair & sizes.keys():
                check_evaluation(folder, split, command)
        except (UserError, OSError) as error:
            yield Damage.of(scores_path(folder, split), error, f"Make it anew with: {command}")
    written = {folder / name for name in (*artifact.inventory.files, artifact.kind.file)}
    for path in (path for path in sizes if path not in written):
        progress(sizes[path])
        if path.suffix == ".json" and path not in evaluations:
            yield from _json_damage(path, f"Remove {path}, and run the sweep that wrote it again: lrea sweep")


def _json_damage(path: Path, remedy: str) -> Iterator[Damage]:
    try:
        read_json(path, remedy)
    except DamagedArtifact as error:
        yield Damage.of(path, error, remedy)
