"""Where artifacts lie, how they appear whole or not at all, and the chain of hashes that ties them together.

    <home>/data/<dataset>/data.json      manifest, written last
    <home>/runs/<run>/run.json
    <home>/caches/<cache>/cache.json
    <home>/bench/<time>-<run>.json

A directory without its manifest does not exist. Everything is written to a temporary sibling, fsynced, then renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from lrea_cli.errors import DamagedArtifact, UserError, nearest
from lrea_cli.manifests import MAKERS, MANIFESTS, SINGULAR, Kind, Manifest, read_manifest
from lrea_cli.sealed import seal

PARTIAL = ".partial-"
OLD = ".old-"


@dataclass(frozen=True)
class Artifact:
    """One finished directory: its manifest has been read, its hash is known."""

    kind: Kind
    path: Path
    manifest: Manifest
    sha256: str

    @property
    def name(self) -> str:
        return self.path.name


@dataclass(frozen=True)
class Workspace:
    """All artifacts under one home directory."""

    home: Path

    @classmethod
    def from_environment(cls) -> Workspace:
        """`$LREA_HOME`, else `./lrea_work`."""
        return cls(Path(os.environ.get("LREA_HOME") or "lrea_work"))

    def path(self, kind: Kind, name: str) -> Path:
        """Where the artifact of this name lies, or will lie.

        Raises:
            UserError: the name would leave its folder.
        """
        if not name or name.startswith(".") or any(mark in name for mark in ("/", "\\", "\0")):
            raise UserError(f"'{name}' is not a usable name.", "Use letters, digits, '-', '_' and inner dots.")
        return self.home / kind / name

    def open(self, kind: Kind, name: str | None = None, **wanted: str) -> Artifact:
        """Open the named artifact, or the latest whose manifest has the wanted values (`dataset="taobao"`).

        Raises:
            UserError: there is none; the message names the nearest one and the command that makes it.
        """
        if name is not None:
            path = self.path(kind, name)
            if (path / MANIFESTS[kind]).is_file():
                return _read(kind, path)
            known = [a.name for a in self.all(kind)]
            raise UserError(
                f"There is no {SINGULAR[kind]} '{name}' in {self.home}{nearest(name, known)}.",
                f"Make it with: {MAKERS[kind]}",
            )
        found = [a for a in self.all(kind) if all(a.manifest.get(k) == v for k, v in wanted.items())]
        if not found:
            of = "".join(f" of {k} '{v}'" for k, v in wanted.items())
            raise UserError(f"There is no {SINGULAR[kind]}{of} in {self.home}.", f"Make one with: {MAKERS[kind]}")
        return max(found, key=lambda a: a.manifest["created"])

    def all(self, kind: Kind) -> list[Artifact]:
        """Every finished artifact of a kind, by name."""
        folder = self.home / kind
        paths = sorted(folder.iterdir()) if folder.is_dir() else []
        return [_read(kind, p) for p in paths if not p.name.startswith(".") and (p / MANIFESTS[kind]).is_file()]

    def free_name(self, kind: Kind, stem: str) -> str:
        """The first of stem-1, stem-2, ... that is not taken."""
        number = 1
        while self.path(kind, f"{stem}-{number}").exists():
            number += 1
        return f"{stem}-{number}"

    @contextmanager
    def create(self, kind: Kind, name: str, *, replace: bool = False) -> Iterator[Path]:
        """Yield an empty temporary sibling; when the block ends well it becomes the artifact, else it is removed.

        The block writes its manifest with `write_manifest` as its last act.

        Raises:
            UserError: the name is taken and `replace` is False.
        """
        final = self.path(kind, name)
        _clear_what_was_killed(final)
        if final.exists() and not replace:
            raise UserError(
                f"The {SINGULAR[kind]} '{name}' exists already in {final.parent}.",
                "Choose another name, or remove that folder.",
            )
        partial = final.parent / f"{PARTIAL}{name}-{os.getpid()}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            yield partial
            if not (partial / MANIFESTS[kind]).is_file():
                raise RuntimeError(f"{partial} has no {MANIFESTS[kind]}")
            _fsync_tree(partial)
            _swap_in(partial, final)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def write_manifest(folder: Path, kind: Kind, content: dict[str, Any]) -> None:
    """Write the manifest of an artifact under creation, with the time, and the hash and size of every file beside it.

    Files of a dataset are read in parts: the hashes of their blocks are written, too.
    """
    if kind == "data":
        from lrea_cli.blocks import write_blocks

        write_blocks(folder, list(_files_in(folder, kind)))
    paths = _files_in(folder, kind)
    made = {
        "created": datetime.now(UTC).isoformat(),
        "files": {name: sha256_of(path) for name, path in paths.items()},
        "bytes": {name: path.stat().st_size for name, path in paths.items()},
    }
    write_json(folder / MANIFESTS[kind], {**content, **made})


def require_made_from(child: Artifact, parent: Artifact) -> None:
    """Refuse a child that was made from another version of its parent.

    Raises:
        UserError: the hash in the child's manifest is not that of the parent's manifest.
    """
    if child.manifest["made_from"] != parent.sha256:
        raise UserError(
            f"The {SINGULAR[child.kind]} '{child.name}' was made from another version of "
            f"the {SINGULAR[parent.kind]} '{parent.name}'.",
            f"Make it anew with: {MAKERS[child.kind]}",
        )


def require_intact(artifact: Artifact, *names: str) -> None:
    """Check the named files (all, if none is named) against the hashes in the manifest.

    Raises:
        DamagedArtifact: a file is missing or changed.
    """
    files = artifact.manifest["files"]
    for name in names or files:
        path = artifact.path / name
        if not path.is_file() or sha256_of(path) != files.get(name):
            raise DamagedArtifact(
                f"{path} is missing, damaged or was changed after it was written.",
                f"Make the {SINGULAR[artifact.kind]} anew with: {MAKERS[artifact.kind]}",
            )


def as_json(content: Any) -> Any:
    """The same as JSON gives it back: tuples as lists, every key a string."""
    return json.loads(json.dumps(content))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all, with a hash of itself: `sealed.read_json` reads it."""
    text = json.dumps(seal(content), indent=2, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(text.encode())


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path` to write to; when the block ends well it is fsynced and takes the place of `path`."""
    partial = path.parent / f"{PARTIAL}{path.name}-{os.getpid()}"
    with partial.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(kind: Kind, path: Path) -> Artifact:
    file = path / MANIFESTS[kind]
    data = file.read_bytes()
    return Artifact(kind, path, read_manifest(kind, data, file), hashlib.sha256(data).hexdigest())


def _files_in(folder: Path, kind: Kind) -> dict[str, Path]:
    """Every file of an artifact but its manifest, by its name within the folder."""
    found = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != MANIFESTS[kind])
    return {str(p.relative_to(folder)): p for p in found}


def _fsync_tree(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _clear_what_was_killed(final: Path) -> None:
    """Remove what a process that is no more left of this artifact; put back an old one that it had moved away."""
    for kind in (f"{OLD}{final.name}-", f"{PARTIAL}{final.name}-"):
        for path in final.parent.glob(f"{kind}*"):
            pid = path.name.removeprefix(kind)
            if not pid.isdigit() or _is_alive(int(pid)):
                continue
            if kind.startswith(OLD) and not final.exists():
                path.rename(final)
            else:
                shutil.rmtree(path, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    if pid == os.getpid():
        return False  # what it left before is nobody's
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _swap_in(partial: Path, final: Path) -> None:
    """Rename `partial` to `final`; an old `final` stays until the new one is complete."""
    if final.exists():
        old = final.parent / f"{OLD}{final.name}-{os.getpid()}"
        final.rename(old)
        partial.rename(final)
        shutil.rmtree(old)
    else:
        partial.rename(final)
    descriptor = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
