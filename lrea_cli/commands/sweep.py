"""`lrea sweep`: a folder of recipes to means, spreads and paired differences; goes on where it was cut off."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrea_cli.commands.next_steps import as_typed
from lrea_cli.commands.options import Dataset, Json, as_threads, within
from lrea_cli.console.counts import counted
from lrea_cli.console.output import Console
from lrea_cli.errors import LreaError
from lrea_cli.workspace.home import Workspace, write_json

if TYPE_CHECKING:
    from lrea_cli.sweep.results import Results
    from lrea_cli.sweep.settings import Sweep
    from lrea_cli.sweep.workers import Failure


def sweep(
    context: typer.Context,
    folder: Annotated[
        str,
        typer.Argument(help="A folder of recipes, or one of lrea: table2, table3, rank, real, defaults."),
    ],
    dataset: Dataset = None,
    seeds: Annotated[
        int | None, typer.Option(callback=within(1, 1000), help="Train with seeds 1 to N; default: 3.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(callback=as_threads, help="Jobs at a time, one thread each; default: one a core.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option(help="Also write the results as Markdown, and as JSON beside it.")
    ] = None,
    json: Json = False,
) -> None:
    """Train and evaluate each recipe of a folder, with several seeds.

    Example: lrea sweep table2 --dataset taobao --seeds 3 --page table2.md

    Given again, the same command goes on where it stopped.
    """
    from lrea_cli.reporting.results import page as page_of
    from lrea_cli.reporting.results import write_page

    console = Console(json)
    command = as_typed(context, shlex.join(["lrea", "sweep", folder]), leave_out=("folder", "jobs", "json"))
    results, failures = _run(console, _asked(folder, seeds), dataset, jobs or os.cpu_count() or 1, command)
    show(console, results)
    if page is not None:
        write_page(page, results.sweep, results.to_dict(), lambda data: page_of(results, data))
        console.say(f"written: {page}")
    if failures:
        message = f"{counted(len(failures), 'job')} failed, first {failures[0].job}: {failures[0].message}"
        raise LreaError(message, f"Try them again with: {command}") from failures[0].error
    console.result(results.to_dict())


def _asked(folder: str, seeds: int | None) -> Sweep:
    from dataclasses import replace

    from lrea_cli.sweep.reading import load_sweep

    asked = load_sweep(folder)
    return asked if seeds is None else replace(asked, seeds=tuple(range(1, seeds + 1)))


def _run(
    console: Console, asked: Sweep, dataset: str | None, workers: int, command: str
) -> tuple[Results, Sequence[Failure]]:
    """Do what is missing, and write all results."""
    from lrea_cli.sweep.gather import about, gather
    from lrea_cli.sweep.run import dataset_of, run_sweep, workspace_of

    main = Workspace.from_environment()
    artifact = dataset_of(asked, dataset, main)
    workspace = workspace_of(asked, artifact, main)
    console.say(f"sweep {asked.name} in {workspace.home}, {counted(workers, 'job')} at a time")
    try:
        finished = run_sweep(asked, artifact, workspace, workers, console)
        results = gather(asked, finished, about(command, workers), console)
    except KeyboardInterrupt as stop:
        stop.add_note(f"what is finished is kept, go on with: {command}")
        raise
    write_json(workspace.home / "results.json", results.to_dict())
    return results, finished.failures


def show(console: Console, results: Results) -> None:
    """A table of recipes, and one of compressions."""
    from lrea_cli.reporting.results import SHORT, SHORT_COMPRESSED, cells

    (dataset,) = results.datasets
    seeds = ", ".join(map(str, dataset.seeds))
    against = f"; differences to {results.base}; ~: no difference is shown" if results.base else ""
    title = f"{dataset.name}, test split, mean of seeds {seeds}{against}"
    console.table(title, list(SHORT), cells(SHORT, results.scored))
    if results.compressed:
        title = f"{dataset.name}, compressed without training"
        console.table(title, list(SHORT_COMPRESSED), cells(SHORT_COMPRESSED, results.compressed))
