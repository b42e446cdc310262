"""`lrea prepare SOURCE`: raw events to histories and samples; a subcommand for each source, made of its attributes."""

from __future__ import annotations

import inspect
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrea_cli.commands.next_steps import after_prepare, as_typed, typed_options
from lrea_cli.commands.options import Json, Options, Replace, command, parameters_of, shaped
from lrea_cli.console.output import Console
from lrea_cli.console.show import size
from lrea_cli.errors import UserError
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.sources import SOURCES, find_files, where_without_raw
from lrea_cli.prepare.sources.base import Source
from lrea_cli.prepare.sources.synthetic import Synthetic
from lrea_cli.recipe.worlds import find_world, world_names
from lrea_cli.workspace.home import Workspace

if TYPE_CHECKING:
    from lrea_cli.dataset.manifest import DatasetManifest
    from lrea_cli.prepare.look.measure import Look

app = typer.Typer(
    no_args_is_help=True,
    help="Turn raw events into histories and samples.\n\nExample: lrea prepare taobao --raw UserBehavior.csv",
)


@dataclass(frozen=True)
class SharedOptions:
    """Options of every source beside `PrepareOptions`: they change no row."""

    raw: Path | None = None
    dataset: Annotated[str | None, typer.Option(help="Name for the new dataset; default: that of the source.")] = None
    replace: Replace = False
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only read the start of each file; say what time and disk the whole takes."),
    ] = False
    json: Json = False


def run(source: Source, options: PrepareOptions, shared: SharedOptions, typed: str) -> None:
    """Prepare one source and show what came of it; `typed` is the command line without `--dry-run`."""
    console, workspace = Console(shared.json), Workspace.from_environment()
    files = find_files(source, shared.raw, workspace.home, console.warn)
    if shared.dry_run:
        console.result(_estimate(console, source, files, options), then=typed)
        return
    manifest, cost = prepare_source(console, workspace, source, files, options, shared)
    console.result({**manifest.to_dict(), **cost}, then=after_prepare(workspace, manifest.dataset))


@dataclass(frozen=True)
class WorldOptions:
    """Options of `lrea prepare world`."""

    name: Annotated[str, typer.Argument(help="Name of the world, and of the new dataset.", autocompletion=world_names)]
    replace: Replace = False
    json: Json = False


def _world(options: WorldOptions) -> None:
    """Planted interests, by the name of one of lrea's worlds (recipes/worlds.toml).

    Settings are chosen on worlds whose role is development; results are of the others.

    Example: lrea prepare world dev-still
    """
    console, named = Console(options.json), find_world(options.name)
    source = Synthetic(**named.options)
    shared = SharedOptions(dataset=named.name, replace=options.replace, json=options.json)
    workspace = Workspace.from_environment()
    manifest, cost = prepare_source(console, workspace, source, [], PrepareOptions(seed=named.seed), shared)
    console.result({**manifest.to_dict(), **cost}, then=after_prepare(workspace, manifest.dataset))


def _estimate(console: Console, source: Source, files: list[Path], options: PrepareOptions) -> dict[str, Any]:
    """Show rows, bytes, expected time and disk; nothing is written."""
    from lrea_cli.prepare.estimate import estimate

    needs = estimate(source, files, options)
    rows = [[file.name, size(file.bytes), size(file.text_bytes), file.rows] for file in needs.files]
    console.table(f"what `lrea prepare {source.name}` would read", ["file", "bytes", "unpacked", "rows, about"], rows)
    account = [
        ["rows of the sample", needs.sample_read],
        *([f"of these rejected: {reason}", count] for reason, count in needs.sample_rejected.items()),
        ["expected time on this machine", f"about {needs.seconds:,.0f} s"],
        ["disk while it runs, about", size(needs.scratch_bytes)],
        ["disk of the dataset, about", size(needs.dataset_bytes)],
    ]
    console.table("what it would take", ["", "value"], account)
    for warning in needs.warnings:
        console.warn(warning)
    return asdict(needs)


def prepare_source(
    console: Console,
    workspace: Workspace,
    source: Source,
    files: list[Path],
    options: PrepareOptions,
    shared: SharedOptions,
) -> tuple[DatasetManifest, dict[str, float]]:
    """Make a dataset, saying each step, and show it; return its manifest, and what the work cost this process."""
    from lrea_cli.dataset.manifest import DATASETS
    from lrea_cli.prepare.look.page import PAGE, look_into
    from lrea_cli.prepare.prepare import Surroundings, prepare

    looks: list[Look] = []

    def look(folder: Path, manifest: DatasetManifest) -> DatasetManifest:
        look, manifest = look_into(folder, manifest)
        looks.append(look)
        return manifest

    name, started = source.name if shared.dataset is None else shared.dataset, time.monotonic()
    surroundings = Surroundings(console, look, shared.raw, shared.replace)
    manifest = prepare(source, files, name, workspace, options, surroundings)
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    _show(console, manifest, looks[0])
    console.say(f"{seconds:.1f} s, peak memory {peak:,.0f} MB")
    console.say(f"plots: {workspace.path(DATASETS, name) / PAGE}")
    return manifest, {"seconds": seconds, "peak_memory_mb": peak}


def _show(console: Console, manifest: DatasetManifest, look: Look) -> None:
    """Tables of what was read and what it looks like, and warnings."""
    from lrea_cli.prepare.look.page import explained, field_table, rows_of, split_table

    account = {"events read": manifest.events_read}
    account |= {f"rejected: {reason}": count for reason, count in manifest.rejected.items()}
    account["events kept"] = manifest.events_kept
    if manifest.dropped_pairs:
        account["pairs without a negative"] = manifest.dropped_pairs
    console.table(f"dataset {manifest.dataset}", ["", "count"], list(account.items()))
    console.table("a look at the data", ["", "value"], rows_of(look))
    console.table(*split_table(manifest))
    console.table(*field_table(manifest))
    for line in explained(manifest, look):
        console.say(line)
    for warning in manifest.warnings:
        console.warn(warning)


def _register(source_type: type[Source]) -> None:
    """Make `lrea prepare NAME`: the source's own options first, then the shared ones."""
    own, shared = parameters_of(source_type), parameters_of(SharedOptions)
    hidden = {p.name for p in own}.union(source_type.unused_options, () if source_type.file_names else ("raw",))
    shared = [p for p in (*shared[:2], *parameters_of(PrepareOptions), *shared[2:]) if p.name not in hidden]
    help = f"Raw file, folder or quoted glob; {where_without_raw(source_type)}."
    raw = Annotated[Path | None, typer.Option(help=help)]
    shared = [p.replace(annotation=raw) if p.name == "raw" else p for p in shared]

    def prepare_it(context: typer.Context, **values: Any) -> None:
        def options_of(kind: type[Options]) -> Options:
            return kind(**{p.name: values[p.name] for p in parameters_of(kind) if p.name in values})

        given = {name: parameter.opts[0] for name, parameter in typed_options(context).items()}
        for idle, other in source_type.idle_options.items():
            if idle in given and other in given:
                raise UserError(f"{given[idle]} has no effect beside {given[other]}.", f"Leave {given[idle]} out.")
        typed = as_typed(context, f"lrea prepare {source_type.name}", leave_out=("dry_run",))
        run(options_of(source_type), options_of(PrepareOptions), options_of(SharedOptions), typed)

    called = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    app.command(source_type.name, help=inspect.getdoc(source_type))(shaped(prepare_it, [called, *own, *shared]))


for _source in SOURCES:
    _register(_source)
app.command("world")(command(_world))
