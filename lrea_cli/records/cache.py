"""Caches: the records of a run's users as known at one instant; made by `compress`, opened by all that serve."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lrea_cli.console.counts import counted
from lrea_cli.console.progress import Reporter
from lrea_cli.dataset.histories import open_histories
from lrea_cli.dataset.layout import DatasetInfo
from lrea_cli.dataset.spelling import spelled
from lrea_cli.errors import DamagedArtifact, LreaError, UserError
from lrea_cli.model import CTRModel
from lrea_cli.recipe.recipe import Compression
from lrea_cli.records.format import RecordFormat
from lrea_cli.records.manifest import ASKED_USERS, CACHES, CacheDtype, CacheManifest
from lrea_cli.records.store import INDEX, RecordStore, RecordWriter
from lrea_cli.records.summarizer import Summarizer, summarizer_of
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


def summarize_into(
    writer: RecordWriter,
    model: CTRModel,
    summarize: Summarizer,
    keys: Sequence[int] | np.ndarray,
    users: np.ndarray,
    long: HistoryIds,
    device: torch.device,
) -> np.ndarray:
    """Summarize histories in float64, seal them in the writer's dtype, and append them under their keys.

    Args:
        keys: (B,) of the records. users: (B,) whose histories they are.

    Returns:
        (B,) rows in use of each record.
    """
    summary = summarize(model.features.behaviors(long.to(device)), users)
    sealed = model.long.seal(summary, writer.layout.torch_dtype)
    writer.add(keys, sealed)
    return sealed.rows.cpu().numpy()


def compress(
    workspace: Workspace,
    run: Run,
    name: str | None,
    dtype: CacheDtype,
    as_of: int,
    users: np.ndarray | None,
    device: torch.device,
    reporter: Reporter,
    compression: Compression | None = None,
    *,
    replace: bool = False,
) -> CacheManifest:
    """Write the record of every user from the behaviors known at `as_of` (strictly earlier).

    Args:
        name: None = `<run>-<number>`. users: dense user numbers; None = all. as_of: epoch seconds.
        compression: of a din run; None = the method's own records.
        replace: a cache of this name gives way when the new one is complete.

    Raises:
        UserError: the name is taken, or a compressor was asked for and the run is not a din.
        LreaError: a value does not fit `dtype`, or there are no users.
    """
    summarize = summarizer_of(run, compression)
    histories = open_histories(run.dataset)
    wanted = np.arange(histories.users) if users is None else np.unique(users)
    if not len(wanted):
        raise LreaError("There are no users to compress.")
    lengths = histories.lengths_before(as_of)[wanted]
    order = np.argsort(lengths, kind="stable")
    layout = RecordFormat(run.model.long.record, dtype)
    started, rank, size = time.perf_counter(), 0, 0
    settings = run.recipe.data
    with (
        workspace.claim(CACHES, name, stem=run.name, replace=replace) as claim,
        claim.folder() as folder,
        torch.inference_mode(),
    ):
        with (
            RecordWriter(folder, layout) as writer,
            reporter.task(f"compress {run.name}", len(wanted), "users") as progress,
        ):
            for part in np.split(order, range(COMPRESS_BATCH, len(order), COMPRESS_BATCH)):
                long = histories.newest(wanted[part], lengths[part], settings.short, settings.long)
                rows = summarize_into(writer, run.model, summarize, wanted[part], wanted[part], long, device)
                rank, size = max(rank, int(rows.max())), size + sum(layout.bytes_of(int(r)) for r in rows)
                progress(len(part))
        seconds = time.perf_counter() - started
        if users is not None:
            _write_users(folder / ASKED_USERS, run.dataset, wanted)
        manifest = CacheManifest(
            run=run.name,
            cache=claim.name,
            compressor=compression.compressor if compression else None,
            users=len(wanted),
            rank=rank,
            dtype=dtype,
            as_of=as_of,
            bytes_per_user=size / len(wanted),
            ms_per_user=1000 * seconds / len(wanted),
            seconds=seconds,
            arguments=_arguments(run, dtype, as_of, compression, device),
            made_from=run.artifact.identity,
            layout=layout.to_dict(),
            compression=compression,
            device=str(device),
        )
        write_manifest(folder, CACHES, manifest)
    return manifest


def _arguments(
    run: Run, dtype: CacheDtype, as_of: int, compression: Compression | None, device: torch.device
) -> tuple[str, ...]:
    """The options of `lrea compress` that make such a cache again, but for its name and its users."""
    options = ["--run", run.name]
    if dtype != "float32":
        options += ["--dtype", dtype]
    if as_of != run.dataset.end:
        options += ["--as-of", str(as_of)]
    if compression is not None:
        options += ["--compressor", compression.compressor, "--rank", str(compression.rank)]
        if compression.seed != Compression.seed:
            options += ["--seed", str(compression.seed)]
    return (*options, "--threads", str(torch.get_num_threads()), "--device", device.type)


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
