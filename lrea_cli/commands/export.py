"""`lrea export`: what a server outside of Python needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrea_cli.commands.options import Json, RunName, Session, command, existing, start
from lrea_cli.console.counts import counted
from lrea_cli.errors import UserError
from lrea_cli.records.manifest import CACHES

if TYPE_CHECKING:
    from lrea_cli.records.cache import Cache
    from lrea_cli.runs.checkpoint import Run


@dataclass(frozen=True)
class ExportOptions:
    """Options of `lrea export`."""

    to: Annotated[Path | None, typer.Option(metavar="<folder>", help="The folder to make.")] = None
    records: Annotated[
        str | None,
        typer.Option(
            metavar="<where>",
            help="Where the records go: parquet or safetensors (files in the folder of --to), or "
            "redis://<host>:<port>/<db>.",
        ),
    ] = None
    cache: Annotated[str | None, existing(CACHES, "Which cache to read; default: the run's latest.")] = None
    run: RunName = None
    replace: Annotated[bool, typer.Option("--replace", help="Replace the folder of --to.")] = False
    json: Json = False


@command
def export(options: ExportOptions) -> None:
    """Write the records of a cache for a server outside of Python.

    Example: lrea export --records parquet --to served
    """
    from lrea_cli.records.cache import find_cache, open_records, run_and_cache
    from lrea_cli.runs.checkpoint import open_run

    if options.records is None:
        raise UserError("Nothing says what to export.", "Give --records.")
    session = start(options.json, None, "cpu")
    name, artifact = run_and_cache(session.workspace, options.run, options.cache)
    run = open_run(session.workspace, name, None, session.device)
    artifact = artifact or find_cache(session.workspace, run)
    if artifact is None:
        raise UserError(f"The run '{run.name}' has no cache.", f"Make one with: lrea compress --run {run.name}")
    _export_records(session, run, open_records(run, artifact), options)


def _export_records(session: Session, run: Run, cache: Cache, options: ExportOptions) -> None:
    """Write them, and say where they are."""
    from contextlib import nullcontext

    from lrea_cli.records.cache import raw_users
    from lrea_cli.serving.export.destinations import DESCRIPTION, Source, destination_of
    from lrea_cli.workspace.places import new_folder
    from lrea_cli.workspace.sealed import write_json

    where = options.records or ""
    write, needs_folder = destination_of(where)
    if needs_folder and options.to is None:
        raise UserError(f"--records {where} needs a folder.", "Name one that is to be made: --to FOLDER")
    source = Source(cache, raw_users(run.dataset))
    count = len(cache.store.keys)
    place = new_folder(options.to, DESCRIPTION, options.replace) if needs_folder and options.to else nullcontext(None)
    with place as folder, session.console.task(f"export {cache.artifact.name}", count, "records") as progress:
        written = write(source, where, folder, progress)
        if folder is not None:
            write_json(folder / DESCRIPTION, source.description())
    size = int(cache.store.index["size"].sum())
    to = str(options.to / written) if options.to and needs_folder else f"{where}, keys {written}"
    session.console.say(f"{counted(count, 'record')} of cache {cache.artifact.name}, {size:,} bytes, written to {to}")
    session.console.result({"cache": cache.artifact.name, "records": count, "bytes": size, "to": to})
