"""`lrea sweep`: a folder of recipes to means, spreads and paired differences; goes on where it was cut off."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrea_cli.commands.options import Json, as_threads, within
from lrea_cli.console.counts import counted
from lrea_cli.console.output import Console
from lrea_cli.console.show import number
from lrea_cli.errors import LreaError
from lrea_cli.workspace.home import Workspace, replacing, write_json

if TYPE_CHECKING:
    from lrea_cli.sweep.gather import About
    from lrea_cli.sweep.results import OverSeeds, Results


def sweep(
    folder: Annotated[
        str,
        typer.Argument(help="A folder of recipes, or one of lrea: table2, table3, rank, real, defaults."),
    ],
    dataset: Annotated[
        str | None, typer.Option(help="A prepared dataset, in place of those that the folder's sweep.toml names.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(callback=within(1, 1000), help="Train with seeds 1 to N.")] = None,
    jobs: Annotated[
        int | None, typer.Option(callback=as_threads, help="Jobs at a time, one thread each; default: one a core.")
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Run all of it with small data and models, in a workspace of its own: its numbers say nothing.",
        ),
    ] = False,
    page: Annotated[
        Path | None, typer.Option(help="Also write the results as Markdown, and as JSON beside it.")
    ] = None,
    json: Json = False,
) -> None:
    """Train and evaluate every recipe of a folder; given again, the same command goes on where it stopped.

    Example: lrea sweep recipes/rank --page docs/results/rank.md
    """
    from lrea_cli.sweep.datasets import check_sources, with_dataset
    from lrea_cli.sweep.gather import gather
    from lrea_cli.sweep.quick import quick as shrink
    from lrea_cli.sweep.reading import load_sweep
    from lrea_cli.sweep.run import run_sweep

    console, main = Console(json), Workspace.from_environment()
    asked = with_dataset(load_sweep(folder), dataset, main)
    asked = asked if seeds is None else asked.with_seeds(seeds)
    asked = shrink(asked) if quick else asked
    check_sources(asked)
    workspace = Workspace(
        main.home / "sweeps" / "-".join([asked.name, *([dataset] if dataset else []), *["quick"] * quick])
    )
    workers = jobs or os.cpu_count() or 1
    command = _command(folder, dataset, seeds, quick, page)
    console.say(f"sweep {asked.name} in {workspace.home}, {counted(workers, 'job')} at a time")
    try:
        finished = run_sweep(asked, workspace, main, workers, console)
        results = gather(asked, finished, _about(command, workers), console)
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
    for dataset in results.datasets:
        published = results.paper.get(dataset.name)
        paper = [] if published is None else ["paper"]
        columns = ["recipe", "AUC", *paper, "sd", "GAUC", "difference", "gap", "bytes"]
        seeds = ", ".join(map(str, dataset.seeds))
        rows = [
            [
                s.recipe,
                number(s.auc.mean),
                *([] if published is None else [number(published.auc.get(s.recipe))]),
                number(s.auc.sd),
                number(s.gauc.mean),
                _difference(s.difference),
                number(s.gap.mean),
                number(s.bytes_per_record.mean, 0),
            ]
            for s in results.scored
            if s.dataset == dataset.name
        ]
        against = f"; differences to {results.base}; ~: no difference is shown" if results.base else ""
        console.table(f"{dataset.name}, test split, mean of seeds {seeds}{against}", columns, rows)
        if published is not None:
            console.say(
                f"paper: {published.table}; it names neither split nor negatives: compare orders of methods, not digits"
            )
        _show_compressed(console, results, dataset.name)
    counts = ", ".join(f"{count} {status}" for status, count in results.statuses.items())
    console.say(f"mechanisms of the papers (docs/fidelity.md): {counts}")


def _show_compressed(console: Console, results: Results, dataset: str) -> None:
    rows: Sequence[Sequence[object]] = [
        [
            c.recipe,
            c.compressor,
            c.rank,
            number(c.deviation.mean),
            number(c.deviation_long.mean),
            _difference(c.difference),
            number(c.bytes_per_record.mean, 0),
        ]
        for c in results.compressed
        if c.dataset == dataset
    ]
    if rows:
        columns = ["recipe", "compressor", "rank", "deviation / sd", "of long ones", "AUC difference", "bytes"]
        console.table(f"{dataset}, compressed without training", columns, rows)


def _difference(found: OverSeeds | None) -> str:
    from lrea_cli.reporting.results import difference

    return difference(found)


def _command(folder: str, dataset: str | None, seeds: int | None, quick: bool, page: Path | None) -> str:
    options = {"--dataset": dataset, "--seeds": seeds, "--page": page}
    given = [str(part) for option, value in options.items() if value is not None for part in (option, value)]
    return shlex.join(["lrea", "sweep", folder, *given, *["--quick"] * quick])


def _about(command: str, workers: int) -> About:
    import platform
    from datetime import UTC, datetime

    import torch

    from lrea_cli import __version__
    from lrea_cli.bench.machine import cpu_name
    from lrea_cli.sweep.gather import About

    versions = {"lrea": __version__, "torch": torch.__version__, "python": platform.python_version()}
    machine = {"cpu": cpu_name(), "cores": os.cpu_count(), "jobs": workers}
    return About(command, datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), machine, versions)
