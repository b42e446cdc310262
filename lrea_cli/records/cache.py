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
from lrea_cli.recipe.settings import Compression
from lrea_cli.records.format import RecordFormat
from lrea_cli.records.maker import RecordMaker
from lrea_cli.records.manifest import ASKED_USERS, CACHES, CacheDtype, CacheManifest
from lrea_cli.records.store import INDEX, RecordStore, RecordWriter
from lrea_cli.runs.checkpoint import Run
from lrea_cli.sequence import HistoryIds
from lrea_cli.workspace.home import Artifact, Workspace, require_intact, require_made_from, write_manifest
from lrea_cli.workspace.parquet import read_parquet

COMPRESS_BATCH = 256


@dataclass(frozen=True)
class Cache:
    """An opened cache; `compression` is None where the run's method made the records."""

    artifact: Artifact[CacheManifest]
    store: RecordStore
    as_of: int
    dtype: CacheDtype
    compression: Compression | None
    bytes_per_user: float
    ms_per_user: float

    def made_by(self, run: Run) -> str:
        """The compressor, or the run's method."""
        return self.compression.compressor if self.compression else run.recipe.model.method


@dataclass(frozen=True)
class CacheSettings:
    """What decides the records of a run's cache.

    Args:
        dtype: of keys and values.
        as_of: epoch seconds; records hold what happened strictly before. None = the end of the data.
        users: dense user numbers; None = all.
        compression: of a din run; None = the method's own records.
    """

    dtype: CacheDtype = "float32"
    as_of: int | None = None
    users: np.ndarray | None = None
    compression: Compression | None = None


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
        replace: a cache of this name gives way when the new one is complete.

    Raises:
        UserError: the name is taken, or a compressor was asked for and the run is not a din.
        LreaError: a value does not fit the dtype, or there are no users.
    """
    maker = RecordMaker.of(run, settings.compression, settings.dtype)
    histories = open_histories(run.dataset)
    users = np.arange(histories.users) if settings.users is None else np.unique(settings.users)
    if not len(users):
        raise LreaError("There are no users to compress.")
    started, as_of = time.perf_counter(), run.dataset.manifest.splits.end if settings.as_of is None else settings.as_of
    with workspace.claim(CACHES, name, stem=run.name, replace=replace) as claim, claim.folder() as folder:
        with reporter.task(f"compress {run.name}", len(users), "users") as progress:
            rows = _write_records(folder, maker, _batches(run, histories, users, as_of), progress)
        seconds = time.perf_counter() - started
        if settings.users is not None:
            _write_users(folder / ASKED_USERS, run.dataset, users)
        manifest = CacheManifest(
            run=run.name,
            cache=claim.name,
            compressor=settings.compression.compressor if settings.compression else None,
            users=len(users),
            rank=int(rows.max()),
            dtype=settings.dtype,
            as_of=as_of,
            bytes_per_user=sum(map(maker.layout.bytes_of, rows.tolist())) / len(users),
            ms_per_user=1000 * seconds / len(users),
            seconds=seconds,
            arguments=_arguments(run, settings, as_of),
            made_from=run.artifact.identity,
            layout=maker.layout.to_dict(),
            compression=settings.compression,
            device=run.device.type,
        )
        write_manifest(folder, CACHES, manifest)
    return manifest


def _batches(run: Run, histories: Histories, users: np.ndarray, as_of: int) -> Iterator[tuple[np.ndarray, HistoryIds]]:
    """Users with the long sequences known at an instant; those of about the same length together."""
    settings, lengths = run.recipe.data, histories.lengths_before(as_of)[users]
    order = np.argsort(lengths, kind="stable")
    for part in np.split(order, range(COMPRESS_BATCH, len(order), COMPRESS_BATCH)):
        yield users[part], histories.newest(users[part], lengths[part], settings.short, settings.long)


def _write_records(
    folder: Path, maker: RecordMaker, batches: Iterator[tuple[np.ndarray, HistoryIds]], progress: Progress
) -> np.ndarray:
    """(users,) rows of the records, in the order of the batches."""
    rows = []
    with torch.inference_mode(), RecordWriter(folder, maker.layout) as writer:
        for users, long in batches:
            rows.append(maker.write(writer, users, users, long))
            progress(len(users))
    return np.concatenate(rows)


def _arguments(run: Run, settings: CacheSettings, as_of: int) -> tuple[str, ...]:
    """The options of `lrea compress` that make such a cache again, but for its name and its users."""
    options, compression = ["--run", run.name], settings.compression
    if settings.dtype != "float32":
        options += ["--dtype", settings.dtype]
    if as_of != run.dataset.manifest.splits.end:
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
    return open_records(run, workspace.open(CACHES, name, **({} if name is not None else {"run": run.name})))


def open_records(run: Run, artifact: Artifact[CacheManifest]) -> Cache:
    """A cache of the run, for reading its records.

    Raises:
        UserError: it is of another run or another version of it.
    """
    require_of_run(artifact, run)
    require_intact(artifact, INDEX)
    try:
        layout = RecordFormat.from_dict(artifact.manifest.layout)
    except (KeyError, TypeError) as error:
        where = artifact.path / CACHES.file
        raise DamagedArtifact(
            f"{where}: another version of lrea wrote the layout of records.", artifact.remedy
        ) from error
    manifest = artifact.manifest
    return Cache(
        artifact,
        RecordStore(artifact.path, layout, run.model.long.summary_type, artifact.remedy),
        manifest.as_of,
        layout.dtype,
        manifest.compression,
        manifest.bytes_per_user,
        manifest.ms_per_user,
    )


def require_of_run(artifact: Artifact[CacheManifest], run: Run) -> None:
    """Refuse a cache of another run.

    Raises:
        UserError: the cache is of another run or another version of it.
    """
    of_run = artifact.manifest.run
    if of_run != run.name:
        raise UserError(
            f"The cache '{artifact.name}' is of the run '{of_run}', not of '{run.name}'.",
            f"Name its own run, or none: --cache {artifact.name} opens '{of_run}' by itself.",
        )
    require_made_from(artifact, run.artifact)


def run_and_cache(
    workspace: Workspace, run: str | None, cache: str | None
) -> tuple[str | None, Artifact[CacheManifest] | None]:
    """The run to open: the one that is named, else that of the named cache, else None = the latest; and the cache.

    Raises:
        UserError: there is no such cache.
    """
    if cache is None:
        return run, None
    artifact = workspace.open(CACHES, cache)
    return run or artifact.manifest.run, artifact


def find_cache(workspace: Workspace, run: Run) -> Artifact[CacheManifest] | None:
    """The latest cache that this version of the run has, or None."""
    made = [a for a in workspace.all(CACHES) if run.artifact.is_parent_of(a)]
    return max(made, key=lambda a: a.order, default=None)


def _write_users(path: Path, dataset: DatasetInfo, users: np.ndarray) -> None:
    """Raw ids of dense user numbers, one a line."""
    table = read_parquet(dataset.files.blocks("vocab/user.parquet"))
    raw = dict(zip(table["user"].to_pylist(), table["value"].to_pylist(), strict=True))
    path.write_text("".join(f"{raw[user]}\n" for user in users.tolist()), encoding="utf-8", newline="")


def dense_users(dataset: DatasetInfo, raw: Sequence[str]) -> np.ndarray:
    """Dense numbers of raw user ids, which may be spelled otherwise than the dataset does (`spelling.py`).

    Raises:
        UserError: an id that the dataset has not.
    """
    table = read_parquet(dataset.files.blocks("vocab/user.parquet"))
    number = {str(v): u for u, v in zip(table["user"].to_pylist(), table["value"].to_pylist(), strict=True)}
    raw = [spelled(v, missing=()) or v for v in raw]
    missing = [v for v in raw if v not in number]
    if missing:
        more = ", .." if len(missing) > 1 else ""
        raise UserError(f"The dataset lacks {counted(len(missing), 'user')}: '{missing[0]}'{more}.")
    return np.array([number[v] for v in raw], np.int64)
