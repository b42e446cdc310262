"""`lrea sweep`: a folder of recipes to means, spreads and paired differences; goes on where it was cut off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from lrea_cli.commands.options import Dataset, Json, command
from lrea_cli.commands.resumable import Jobs, Page, Seeds, command_line, require_all_done, resumable, workers_of
from lrea_cli.console.counts import counted
from lrea_cli.console.output import Console
from lrea_cli.workspace.home import Workspace
from lrea_cli.workspace.sealed import write_json

if TYPE_CHECKING:
    from lrea_cli.sweep.results import Results
    from lrea_cli.sweep.workers import Failure


FOLDERS = ("budget", "chosen", "curves", "large", "level", "reader", "repeats", "table2", "table3")
"""Of lrea; chosen has every method as the search chose it."""


@dataclass(frozen=True)
class SweepOptions:
    """Options of `lrea sweep`."""

    folder: Annotated[
        str,
        typer.Argument(help=f"A folder of recipes, or one of lrea: {', '.join(FOLDERS)}."),
    ]
    dataset: Dataset = None
    seeds: Seeds = None
    jobs: Jobs = None
    page: Page = None
    json: Json = False


@command
def sweep(options: SweepOptions) -> None:
    """Train and evaluate each recipe of a folder, with several seeds.

    Example: lrea sweep table2 --dataset taobao --seeds 3 --page table2.md

    Given again, the same command goes on where it stopped.
    """
    from lrea_cli.reporting.learning_curve import PICTURE, draw
    from lrea_cli.reporting.results import page, write_page

    console = Console(options.json)
    given = {"--dataset": options.dataset, "--seeds": options.seeds, "--page": options.page}
    again = command_line(["lrea", "sweep", options.folder], given)
    results, failures = _run(console, options, again)
    show(console, results)
    if options.page is not None:
        write_page(options.page, results.sweep, results.to_dict(), lambda data: page(results, data))
        for dataset in results.datasets:
            draw(options.page.with_suffix("") / PICTURE.format(dataset=dataset.name), results, dataset)
        console.say(f"written: {options.page}")
    require_all_done(failures, again)
    console.result(results.to_dict())


def _run(console: Console, options: SweepOptions, again: str) -> tuple[Results, Sequence[Failure]]:
    """Do what is missing, and write all results; `again` is the command that goes on."""
    from lrea_cli.sweep.datasets import dataset_of, workspace_of
    from lrea_cli.sweep.gather import about, gather
    from lrea_cli.sweep.run import run_sweep
    from lrea_cli.sweep.settings import load_sweep

    asked = load_sweep(options.folder)
    if options.seeds is not None:
        asked = replace(asked, seeds=tuple(range(1, options.seeds + 1)))
    main, workers = Workspace.from_environment(), workers_of(options.jobs)
    artifact = dataset_of(asked, options.dataset, main)
    asked = asked.on(artifact.manifest.source, artifact.manifest.users)
    workspace = workspace_of(asked, artifact, main)
    console.say(f"sweep {asked.name} in {workspace.home}, {counted(workers, 'job')} at a time")
    with resumable(again):
        finished = run_sweep(asked, artifact, workspace, workers, console)
        results = gather(asked, finished, about(again, workers), console)
    write_json(workspace.home / "results.json", results.to_dict())
    return results, finished.failures


def show(console: Console, results: Results) -> None:
    """A table of recipes, and one of compressions."""
    from lrea_cli.reporting.results import SHORT, SHORT_COMPRESSED, cells
    from lrea_cli.stats.methods import GIVEN_MODELS, OVER_SEEDS

    (dataset,) = results.datasets
    seeds = ", ".join(map(str, dataset.seeds))
    over_seeds = any(scored.auc.ci_over_seeds is not None for scored in results.scored)
    cover = OVER_SEEDS if over_seeds else GIVEN_MODELS
    against = f"; differences to {results.base}; ~: no difference is shown, {cover}" if results.base else ""
    title = f"{dataset.name}, test split, mean of seeds {seeds}{against}"
    console.table(title, list(SHORT), cells(SHORT, results.scored))
    if results.compressed:
        title = f"{dataset.name}, compressed without training"
        console.table(title, list(SHORT_COMPRESSED), cells(SHORT_COMPRESSED, results.compressed))
