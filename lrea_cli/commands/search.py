"""`lrea search`: the settings of every recipe of a folder, chosen on worlds that no table is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrea_cli.commands.options import Json, command
from lrea_cli.commands.resumable import Jobs, Page, command_line, require_all_done, resumable, workers_of
from lrea_cli.console.counts import counted
from lrea_cli.console.output import Console
from lrea_cli.errors import UserError
from lrea_cli.workspace.home import Workspace
from lrea_cli.workspace.sealed import write_json

if TYPE_CHECKING:
    from lrea_cli.sweep.searched import SearchResults
    from lrea_cli.sweep.workers import Failure


@dataclass(frozen=True)
class SearchOptions:
    """Options of `lrea search`."""

    folder: Annotated[
        str,
        typer.Argument(help="A folder of recipes whose sweep.toml names worlds and a space, or one of lrea: methods."),
    ]
    chosen: Annotated[Path, typer.Option(help="Write the chosen recipes into this folder.")]
    jobs: Jobs = None
    page: Page = None
    json: Json = False


@command
def search(options: SearchOptions) -> None:
    """Choose the settings of each recipe on worlds of development.

    Example: lrea search methods --chosen recipes/chosen

    Every recipe may try as many configurations. Given again, the same command goes on where it stopped.
    """
    from lrea_cli.reporting.results import write_page
    from lrea_cli.reporting.search import search_page, search_rows

    console = Console(options.json)
    given = {"--chosen": options.chosen, "--page": options.page}
    again = command_line(["lrea", "search", options.folder], given)
    results, failures = _run(console, options, again)
    columns, lines = search_rows(results.tried, points=False)
    console.table(f"chosen on {', '.join(world.name for world in results.worlds)}", columns, lines)
    console.say(f"{counted(len(results.chosen), 'recipe')} written to {options.chosen}")
    if options.page is not None:
        write_page(options.page, "search", results.to_dict(), lambda data: search_page(results, data))
        console.say(f"written: {options.page}")
    require_all_done(failures, again)
    console.result(results.to_dict())


def _run(console: Console, options: SearchOptions, again: str) -> tuple[SearchResults, Sequence[Failure]]:
    """Do what is missing, and write recipes and results; `again` is the command that goes on."""
    from lrea_cli.sweep.datasets import datasets_of_worlds
    from lrea_cli.sweep.gather import about
    from lrea_cli.sweep.run import run_search
    from lrea_cli.sweep.searched import gather_search, write_recipes
    from lrea_cli.sweep.settings import load_sweep

    asked = load_sweep(options.folder)
    if not asked.search.worlds:
        raise UserError(
            f"[search] of '{asked.name}' names no worlds.", 'Write worlds = ["dev-still"], or use lrea sweep.'
        )
    main, workers = Workspace.from_environment(), workers_of(options.jobs)
    datasets = datasets_of_worlds(asked.search.worlds, main)
    workspace = Workspace(main.home / "sweeps" / f"{asked.name}-search")
    console.say(f"search {asked.name} in {workspace.home}, {counted(workers, 'job')} at a time")
    with resumable(again):
        searched = run_search(asked, datasets, workspace, workers, console)
    results = gather_search(asked, searched, about(again, workers))
    write_json(workspace.home / "results.json", results.to_dict())
    write_recipes(asked, results, searched, options.chosen)
    return results, searched.failures
