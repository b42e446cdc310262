"""Caches: the records of a run's users as known at one instant; made by `compress`, opened by all that serve."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lrea_cli.console.counts import counted
from lrea_cli.console.progress import Progress, Reporter
from lrea_cli.dataset.histories import Histories, open_histories
from lrea_cli.dataset.layout import DatasetInfo
from lrea_cli.dataset.spelling import spelled
from lrea_cli.errors import DamagedArtifact, LreaError, UserError
from lrea_cli.recipe.settings import CacheDtype, Compression
from lrea_cli.records.format import RecordFormat
from lrea_cli.records.maker import Known, RecordMaker
from lrea_cli.records.manifest import ASKED_USERS, CACHES, CacheManifest
from lrea_cli.records.store import INDEX, RecordStore, RecordWriter
from lrea_cli.runs.checkpoint import Run
from lrea_cli.workspace.home import Artifact, Workspace, require_intact, require_made_from, write_manifest
from lrea_cli.workspace.parquet import read_parquet

COMPRESS_BATCH = 256


@dataclass(frozen=True)
class Cache:
    """An opened cache."""

    artifact: Artifact[CacheManifest]
    store: RecordStore

    @property
    def manifest(self) -> CacheManifest:
        return self.artifact.manifest


@dataclass(frozen=True)
class CacheSettings:
    """What decides the records of a run's cache.

    Args:
        as_of: epoch seconds; records hold what happened strictly before. None = the end of the data.
        users: dense user numbers; None = all.
        compression: of a din run; None = the method's own records.
    """

    dtype: CacheDtype = "float32"
    as_of: int | None = None
    users: np.ndarray | None = None
    compression: Compression | None = None

    def instant(self, run: Run) -> int:
        """Epoch seconds: the time that was asked for, else the end of the run's data."""
        return run.dataset.manifest.splits.end if self.as_of is None else self.as_of


def compress(
    workspace: Workspace,
    run: Run,
    settings: CacheSettings,
    reporter: Reporter,
    name: str | None = None,
    *,
    replace: bool = False,
) -> CacheManifest:
    """Write the record of every user from the behaviors known at one instant.

    Args:
        name: None = `<run>-<number>`.
        replace: the new cache replaces one of its name once it is complete.

    Raises:
        UserError: the name is taken, or a compressor was asked for and the run is not a din.
        LreaError: a value does not fit the dtype, or there are no users.
    """
    maker = RecordMaker.of(run, settings.compression, settings.dtype)
    histories = open_histories(run.dataset)
    users = np.arange(histories.users) if settings.users is None else np.unique(settings.users)
    if not len(users):
        raise LreaError("There are no users to compress.")
    started, batches = time.perf_counter(), _batches(histories, users, settings.instant(run))
    with workspace.create(CACHES, name, stem=run.name, replace=replace) as (cache, folder):
        with reporter.task(f"compress {run.name}", len(users), "users") as progress:
            rows, size = _write_records(folder, maker, batches, progress)
        seconds = time.perf_counter() - started
        if settings.users is not None:
            raw = raw_users(run.dataset)
            lines = "".join(f"{raw[user]}\n" for user in users.tolist())
            (folder / ASKED_USERS).write_text(lines, encoding="utf-8", newline="")
        manifest = _manifest(cache, run, settings, Written(maker.layout, rows.tolist(), size, seconds))
        write_manifest(folder, CACHES, manifest)
    return manifest


@dataclass(frozen=True)
class Written:
    """The records of a cache: the rows of each, the bytes of all."""

    layout: RecordFormat
    rows: Sequence[int]
    bytes: int
    seconds: float


def _manifest(name: str, run: Run, settings: CacheSettings, written: Written) -> CacheManifest:
    compression, rows = settings.compression, written.rows
    return CacheManifest(
        run=run.name,
        cache=name,
        compressor=compression.compressor if compression else None,
        users=len(rows),
        rank=max(rows),
        dtype=settings.dtype,
        as_of=settings.instant(run),
        bytes_per_user=written.bytes / len(rows),
        ms_per_user=1000 * written.seconds / len(rows),
        seconds=written.seconds,
        arguments=_arguments(run, settings),
        made_from=run.artifact.identity,
        layout=written.layout.to_dict(),
        compression=compression,
        device=run.device.type,
    )


def _batches(histories: Histories, users: np.ndarray, as_of: int) -> Iterator[Known]:
    """Users with what is known of them at an instant; those of about the same length together."""
    lengths = histories.lengths_before(as_of)[users]
    order = np.argsort(lengths, kind="stable")
    for part in np.split(order, range(COMPRESS_BATCH, len(order), COMPRESS_BATCH)):
        yield Known(histories, users[part], lengths[part])


def _write_records(
    folder: Path, maker: RecordMaker, batches: Iterator[Known], progress: Progress
) -> tuple[np.ndarray, int]:
    """(users,) rows of the records, in the order of the batches; and the bytes of all."""
    rows = []
    with torch.inference_mode(), RecordWriter(folder, maker.layout) as writer:
        for known in batches:
            rows.append(maker.write(writer, known.users, known))
            progress(len(known.users))
    return np.concatenate(rows), writer.bytes


def _arguments(run: Run, settings: CacheSettings) -> tuple[str, ...]:
    """The options of `lrea compress` that make such a cache again, but for its name and its users."""
    options, compression = ["--run", run.name], settings.compression
    if settings.dtype != "float32":
        options += ["--dtype", settings.dtype]
    if (as_of := settings.instant(run)) != run.dataset.manifest.splits.end:
        options += ["--as-of", str(as_of)]
    if compression is not None:
        options += ["--compressor", compression.compressor, "--rank", str(compression.rank)]
        if compression.seed != Compression.seed:
            options += ["--seed", str(compression.seed)]
    return (*options, "--threads", str(torch.get_num_threads()), "--device", run.device.type)


def open_cache(workspace: Workspace, run: Run, name: str | None) -> Cache:
    """The named cache of a run, or its latest.

    Raises:
        UserError: no such cache, or one of another run or another version of it.
    """
    return open_records(run, workspace.open(CACHES, name, run=run.name))


def open_records(run: Run, artifact: Artifact[CacheManifest]) -> Cache:
    """A cache of the run, for reading its records; see `require_of_run`."""
    require_of_run(artifact, run)
    require_intact(artifact, INDEX)
    try:
        layout = RecordFormat.from_dict(artifact.manifest.layout)
    except (KeyError, TypeError) as error:
        what = f"{artifact.path / CACHES.file}: another version of lrea wrote the layout of records."
        raise DamagedArtifact(what, artifact.remedy) from error
    return Cache(artifact, RecordStore(artifact.path, layout, run.model.long.summary_type, artifact.remedy))


def require_of_run(artifact: Artifact[CacheManifest], run: Run) -> None:
    """Raise a `UserError` for a cache of another run, or of another version of this one."""
    other = artifact.manifest.run
    if other != run.name:
        raise UserError(
            f"The cache '{artifact.name}' is of the run '{other}', not of '{run.name}'.",
            f"Name its own run, or none: --cache {artifact.name} opens '{other}' by itself.",
        )
    require_made_from(artifact, run.artifact)


def run_and_cache(
    workspace: Workspace, run: str | None, cache: str | None
) -> tuple[str | None, Artifact[CacheManifest] | None]:
    """The name of the run to open (the named one, else that of the named cache, else None = the latest); the cache."""
    if cache is None:
        return run, None
    artifact = workspace.open(CACHES, cache)
    return run or artifact.manifest.run, artifact


def find_cache(workspace: Workspace, run: Run) -> Artifact[CacheManifest] | None:
    """The latest cache that this version of the run has, or None."""
    return workspace.latest(CACHES, made_from=run.artifact.identity)


def latest_cache(workspace: Workspace, run: Run) -> Artifact[CacheManifest]:
    """The latest cache of this version of the run; a `UserError` where it has none."""
    artifact = find_cache(workspace, run)
    if artifact is None:
        raise UserError(f"The run '{run.name}' has no cache.", f"Make one with: lrea compress --run {run.name}")
    return artifact


def dense_users(dataset: DatasetInfo, raw: Sequence[str]) -> np.ndarray:
    """Dense numbers of raw user ids, which may be spelled otherwise than the dataset does (`spelling.py`).

    Raises:
        UserError: an id that the dataset has not.
    """
    number = {str(value): user for user, value in raw_users(dataset).items()}
    raw = [spelled(v, missing=()) or v for v in raw]
    if missing := [v for v in raw if v not in number]:
        more = ", .." if len(missing) > 1 else ""
        raise UserError(f"The dataset lacks {counted(len(missing), 'user')}: '{missing[0]}'{more}.")
    return np.array([number[v] for v in raw], np.int64)


def raw_users(dataset: DatasetInfo) -> dict[int, str]:
    """The raw id of each dense user number."""
    table = read_parquet(dataset.files.blocks("vocab/user.parquet"))
    return dict(zip(table["user"].to_pylist(), table["value"].to_pylist(), strict=True))
