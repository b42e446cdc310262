"""`lrea prepare SOURCE`: raw events to histories and samples; a subcommand for each source, made of its attributes."""

from __future__ import annotations

import inspect
import resource
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrea_cli.commands.command import parameters_of, shaped
from lrea_cli.commands.next_steps import after_prepare, as_typed
from lrea_cli.commands.options import Json, Replace, Threads
from lrea_cli.console.output import Console
from lrea_cli.console.show import size, whole
from lrea_cli.errors import UserError
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.sources import SOURCES, find_files, where_without_raw
from lrea_cli.prepare.sources.base import Source
from lrea_cli.workspace.home import Workspace

if TYPE_CHECKING:
    from lrea_cli.dataset.manifest import DatasetManifest
    from lrea_cli.prepare.look.measure import Look

app = typer.Typer(no_args_is_help=True, help="Turn raw events into histories and samples.")


@dataclass(frozen=True)
class SharedOptions:
    """Options of every source, but for those that a source has of its own or does not use."""

    raw: Annotated[Path | None, typer.Option(help="Raw file, folder or quoted glob.")] = None
    dataset: Annotated[str | None, typer.Option(help="Name of the new dataset; default: that of the source.")] = None
    seed: Annotated[int, typer.Option(help="Seed of what is drawn.")] = PrepareOptions.seed
    min_history: Annotated[int, typer.Option(help="Earlier behaviors that a drawn positive needs.")] = (
        PrepareOptions.min_history
    )
    negatives_per_positive: Annotated[int, typer.Option(help="Negatives drawn for each positive.")] = (
        PrepareOptions.negatives_per_positive
    )
    train_days: Annotated[int, typer.Option(help="Days before the valid day of which training samples are drawn.")] = (
        PrepareOptions.train_days
    )
    test_days: Annotated[int, typer.Option(help="Last days that are the test split; the day before them is valid.")] = (
        PrepareOptions.test_days
    )
    max_rejected: Annotated[
        str,
        typer.Option(
            help="Fail when more than this share of the rows is malformed; 100 such rows or fewer never fail, unless "
            "the share is 0%."
        ),
    ] = PrepareOptions.max_rejected
    encoding: Annotated[str, typer.Option(help="Encoding of text files: utf-8, latin-1, gb18030, utf-16, ..")] = (
        PrepareOptions.encoding
    )
    memory: Annotated[str, typer.Option(help="Memory that this process may use; the rest goes to disk.")] = (
        PrepareOptions.memory
    )
    threads: Threads = None
    replace: Replace = False
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only read the start of each file; say what time and disk the whole takes."),
    ] = False
    json: Json = False

    def of_preparing(self) -> PrepareOptions:
        """Those on which the dataset depends.

        Raises:
            UserError: one is impossible.
        """
        return PrepareOptions(**{f.name: getattr(self, f.name) for f in fields(PrepareOptions)})


def run(source: Source, shared: SharedOptions, typed: str) -> None:
    """Prepare one source and show what came of it.

    Args:
        typed: the command line, without `--dry-run`.
    """
    console, workspace = Console(shared.json), Workspace.from_environment()
    files = find_files(source, shared.raw, workspace.home, console.warn)
    if shared.dry_run:
        _say_what_it_takes(console, source, files, shared.of_preparing(), typed)
        return
    made = prepare_source(console, workspace, source, files, shared)
    console.result(made.to_dict(), then=after_prepare(workspace, made.manifest.dataset))


@dataclass(frozen=True)
class Made:
    """A new dataset.

    Args:
        seconds: wall time. peak_memory_mb: of this process.
    """

    manifest: DatasetManifest
    seconds: float
    peak_memory_mb: float

    def to_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        content = self.manifest.to_dict()
        return {**content, "seconds": self.seconds, "peak_memory_mb": self.peak_memory_mb}


def _say_what_it_takes(
    console: Console, source: Source, files: list[Path], options: PrepareOptions, typed: str
) -> None:
    """Show rows, bytes, expected time and disk; nothing is written."""
    from lrea_cli.prepare.estimate import estimate

    needs = estimate(source, files, options)
    rows = [[file.name, size(file.bytes), size(file.text_bytes), file.rows] for file in needs.files]
    console.table(f"what `lrea prepare {source.name}` would read", ["file", "bytes", "unpacked", "rows, about"], rows)
    account = [
        ["rows of the sample", needs.sample_read],
        *([f"of these rejected: {reason}", count] for reason, count in needs.sample_rejected.items()),
        ["expected time on this machine", f"about {whole(needs.seconds)} s"],
        ["disk while it runs, about", size(needs.scratch_bytes)],
        ["disk of the dataset, about", size(needs.dataset_bytes)],
    ]
    console.table("what it would take", ["", "value"], account)
    for warning in needs.warnings:
        console.warn(warning)
    console.result(asdict(needs), then=typed)


def prepare_source(
    console: Console, workspace: Workspace, source: Source, files: list[Path], shared: SharedOptions
) -> Made:
    """Make a dataset, saying each step, and show what it looks like."""
    from lrea_cli.dataset.manifest import DATASETS
    from lrea_cli.prepare.look.page import look_into
    from lrea_cli.prepare.prepare import Surroundings, prepare

    looks: list[Look] = []

    def look(folder: Path, manifest: DatasetManifest) -> DatasetManifest:
        look, manifest = look_into(folder, manifest)
        looks.append(look)
        return manifest

    name, options = source.name if shared.dataset is None else shared.dataset, shared.of_preparing()
    started = time.monotonic()
    surroundings = Surroundings(console, look, shared.raw, shared.replace)
    manifest = prepare(source, files, name, workspace, options, surroundings)
    made = Made(manifest, time.monotonic() - started, _peak_memory_mb())
    _show(console, workspace.path(DATASETS, name), made, looks[0])
    return made


def _show(console: Console, folder: Path, made: Made, look: Look) -> None:
    """Tables of what was read and what it looks like, warnings, and where the plots are."""
    from lrea_cli.prepare.look.page import PAGE, rows_of
    from lrea_cli.prepare.look.tables import explained, field_table, split_table

    manifest = made.manifest

    account = [
        ("events read", manifest.events_read),
        *((f"rejected: {reason}", count) for reason, count in manifest.rejected.items()),
        ("events kept", manifest.events_kept),
        *([("pairs without a negative", manifest.dropped_pairs)] if manifest.dropped_pairs else []),
    ]
    console.table(f"dataset {manifest.dataset}", ["", "count"], account)
    console.table("a look at the data", ["", "value"], rows_of(look))
    console.table(*split_table(manifest))
    console.table(*field_table(manifest))
    for line in explained(manifest, look):
        console.say(line)
    for warning in manifest.warnings:
        console.warn(warning)
    console.say(f"{made.seconds:.1f} s, peak memory {made.peak_memory_mb:,.0f} MB")
    console.say(f"plots: {folder / PAGE}")


def _peak_memory_mb() -> float:
    """Of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _register(source_type: type[Source]) -> None:
    """Make `lrea prepare NAME`: the source's own options first, then the shared ones."""
    own = parameters_of(source_type)
    hidden = {p.name for p in own}.union(source_type.unused_options, () if source_type.file_names else ("raw",))
    shared = [p for p in parameters_of(SharedOptions) if p.name not in hidden]
    shared = [_raw_option(p, source_type) if p.name == "raw" else p for p in shared]

    def command(context: typer.Context, **values: Any) -> None:
        _refuse_idle(context, source_type)
        source = source_type(**{p.name: values[p.name] for p in own})
        typed = as_typed(context, f"lrea prepare {source.name}", leave_out=("dry_run",))
        run(source, SharedOptions(**{f.name: values[f.name] for f in fields(SharedOptions) if f.name in values}), typed)

    called = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    app.command(source_type.name, help=inspect.getdoc(source_type))(shaped(command, [called, *own, *shared]))


def _refuse_idle(context: typer.Context, source_type: type[Source]) -> None:
    """Refuse an option that changes nothing beside another one, where both are typed.

    Raises:
        UserError: it names the two.
    """
    typed = {
        parameter.name or "": parameter.opts[0]
        for parameter in context.command.params
        if (origin := context.get_parameter_source(parameter.name or "")) is not None and origin.name == "COMMANDLINE"
    }
    for idle, other in source_type.idle_options.items():
        if idle in typed and other in typed:
            raise UserError(f"{typed[idle]} has no effect beside {typed[other]}.", f"Leave {typed[idle]} out.")


def _raw_option(raw: inspect.Parameter, source_type: type[Source]) -> inspect.Parameter:
    """The option with its help: where files are looked for is up to the source."""
    help = f"Raw file, folder or quoted glob; {where_without_raw(source_type)}."
    return raw.replace(annotation=Annotated[Path | None, typer.Option(help=help)])


for _source in SOURCES:
    _register(_source)
