"""`lrea export`: what a server outside of Python needs, and the records where it looks for them."""

from __future__ import annotations

import shlex
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrea_cli.commands.options import Json, Replace, Session, command, existing, names_of, start, within
from lrea_cli.console.counts import counted
from lrea_cli.errors import UserError
from lrea_cli.recipe.settings import COUNT
from lrea_cli.records.manifest import CACHES
from lrea_cli.runs.manifest import RUNS

if TYPE_CHECKING:
    from lrea_cli.records.cache import Cache
    from lrea_cli.runs.checkpoint import Run


@dataclass(frozen=True)
class ExportOptions:
    """Options of `lrea export`."""

    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="Which run to export; default: that of --cache, else the latest.",
            autocompletion=names_of(RUNS),
        ),
    ] = None
    to: Annotated[Path | None, typer.Option(metavar="<folder>", help="The folder to make.")] = None
    records: Annotated[
        str | None,
        typer.Option(
            metavar="<where>",
            help="Write the records alone: parquet or safetensors, into the folder of --to; or redis://HOST:PORT/DB.",
        ),
    ] = None
    cache: Annotated[str | None, existing(CACHES, "Which cache to read; default: the run's latest.")] = None
    golden: Annotated[
        int, typer.Option(callback=within(*COUNT), help="How many golden requests, with logits, to write.")
    ] = 1000
    replace: Replace = False
    json: Json = False


@command
def export(options: ExportOptions) -> None:
    """Write what a server outside of Python needs.

    Example: lrea export --to served

    The folder has the request as an ONNX graph and as C++ sources with model.bin, the vocabularies, golden requests
    with their logits, and programs that replay them. With --records it has the records of all users instead.
    """
    from lrea_cli.records.cache import latest_cache, open_records, run_and_cache
    from lrea_cli.runs.checkpoint import open_run

    if options.records is None and options.to is None:
        raise UserError("Nothing says where the export goes.", "Name a folder that is to be made: --to FOLDER")
    session = start(options.json, 1, "cpu")
    name, artifact = run_and_cache(session.workspace, options.run, options.cache)
    run = open_run(session.workspace, name, None, session.device)
    cache = open_records(run, artifact or latest_cache(session.workspace, run))
    if options.records is not None:
        _export_records(session, run, cache, options.records, options)
    elif options.to is not None:
        _export_bundle(session, run, cache, options.to, options)


def _export_bundle(session: Session, run: Run, cache: Cache, to: Path, options: ExportOptions) -> None:
    from lrea_cli.serving.export.bundle import BundleSettings, export_bundle
    from lrea_cli.workspace.outside import new_folder

    with new_folder(to, options.replace) as folder:
        native = export_bundle(run, cache, folder, BundleSettings(options.golden), session.console)
    files = [path for path in to.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    session.console.say(f"run {run.name}, cache {cache.artifact.name}: {counted(len(files), 'file')} in {to}")
    if not native:
        session.console.say(f"{run.recipe.model.method} searches in its records: the folder has no C++ request")
    content = {"run": run.name, "cache": cache.artifact.name, "to": str(to), "bytes": size, "native": native}
    session.console.result(content, then=shlex.join(["python", f"{to}/replay/replay.py", str(to)]))


def _export_records(session: Session, run: Run, cache: Cache, where: str, options: ExportOptions) -> None:
    from lrea_cli.records.cache import raw_users
    from lrea_cli.serving.export.destinations import destination_of
    from lrea_cli.serving.export.destinations.redis import without_password
    from lrea_cli.serving.export.destinations.source import DESCRIPTION, Source
    from lrea_cli.workspace.outside import new_folder
    from lrea_cli.workspace.sealed import write_json

    write, needs_folder = destination_of(where)
    if needs_folder and options.to is None:
        raise UserError(f"--records {where} needs a folder.", "Name one that is to be made: --to FOLDER")
    folder_options = {"--to": options.to is not None, "--replace": options.replace} if not needs_folder else {}
    for name, given in {**folder_options, "--golden": options.golden != ExportOptions.golden}.items():
        if given:
            raise UserError(f"{name} has no effect beside --records {without_password(where)}.", f"Leave {name} out.")
    source, count = Source(cache, raw_users(run.dataset)), len(cache.store.keys)
    place = new_folder(options.to, options.replace) if needs_folder and options.to else nullcontext(None)
    with place as folder, session.console.task(f"export {cache.artifact.name}", count, "records") as progress:
        written = write(source, where, folder, progress)
        if folder is not None:
            write_json(folder / DESCRIPTION, source.description())
    size = int(cache.store.index["size"].sum())
    to = f"{options.to}: {written}" if needs_folder else f"{without_password(where)}: keys {written}"
    session.console.say(f"{counted(count, 'record')} of cache {cache.artifact.name}, {size:,} bytes, written to {to}")
    session.console.result({"cache": cache.artifact.name, "records": count, "bytes": size, "to": to})
