"""`lrea sweep`: a folder of recipes to means, spreads and paired differences; goes on where it was cut off."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrea_cli.commands.options import Json, as_threads, within
from lrea_cli.console.counts import counted
from lrea_cli.console.output import Console
from lrea_cli.errors import LreaError
from lrea_cli.workspace.home import Workspace, replacing, write_json

if TYPE_CHECKING:
    from lrea_cli.sweep.results import Results


def sweep(
    folder: Annotated[
        str,
        typer.Argument(help="A folder of recipes, or one of lrea: table2, table3, rank, real, defaults."),
    ],
    dataset: Annotated[
        str | None,
        typer.Option(help="A prepared dataset; default: the one that the recipes name, else the latest."),
    ] = None,
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
    """Train and evaluate every recipe of a folder; given again, the same command goes on where it stopped.

    Example: lrea sweep table2 --dataset taobao --seeds 3 --page table2.md
    """
    from dataclasses import replace

    from lrea_cli.sweep.gather import about, gather
    from lrea_cli.sweep.reading import load_sweep
    from lrea_cli.sweep.run import dataset_of, run_sweep, workspace_of

    console, main = Console(json), Workspace.from_environment()
    asked = load_sweep(folder)
    asked = asked if seeds is None else replace(asked, seeds=tuple(range(1, seeds + 1)))
    artifact = dataset_of(asked, dataset, main)
    workspace = workspace_of(asked, artifact, main)
    workers = jobs or os.cpu_count() or 1
    command = _command(folder, dataset, seeds, page)
    console.say(f"sweep {asked.name} in {workspace.home}, {counted(workers, 'job')} at a time")
    try:
        finished = run_sweep(asked, artifact, workspace, workers, console)
        results = gather(asked, finished, about(command, workers), console)
    except KeyboardInterrupt as stop:
        stop.add_note(f"what is finished is kept, go on with: {command}")
        raise
    write_json(workspace.home / "results.json", results.to_dict())
    show(console, results)
    if page is not None:
        write_page(page, results)
        console.say(f"written: {page}")
    if finished.failures:
        first, count = finished.failures[0], len(finished.failures)
        message = f"{counted(count, 'job')} failed, first {first.job}: {first.message}"
        raise LreaError(message, f"Try them again with: {command}") from first.error
    console.result(results.to_dict())


def write_page(path: Path, results: Results) -> None:
    """The page, and beside it a folder of its name with all numbers."""
    from lrea_cli.reporting.results import page

    data = Path(path.stem) / f"{results.sweep}.json"
    write_json(path.parent / data, results.to_dict())
    with replacing(path) as file:
        file.write(page(results, data.as_posix()).encode())


def show(console: Console, results: Results) -> None:
    """One table of recipes and one of compressions for each dataset."""
    from lrea_cli.reporting.results import SHORT, SHORT_COMPRESSED, cells

    against = f"; differences to {results.base}; ~: no difference is shown" if results.base else ""
    for dataset in results.datasets:
        seeds = ", ".join(map(str, dataset.seeds))
        scored = [s for s in results.scored if s.dataset == dataset.name]
        title = f"{dataset.name}, test split, mean of seeds {seeds}{against}"
        console.table(title, list(SHORT), cells(SHORT, scored))
        if compressed := [c for c in results.compressed if c.dataset == dataset.name]:
            title = f"{dataset.name}, compressed without training"
            console.table(title, list(SHORT_COMPRESSED), cells(SHORT_COMPRESSED, compressed))


def _command(folder: str, dataset: str | None, seeds: int | None, page: Path | None) -> str:
    options = {"--dataset": dataset, "--seeds": seeds, "--page": page}
    given = [str(part) for option, value in options.items() if value is not None for part in (option, value)]
    return shlex.join(["lrea", "sweep", folder, *given])
