"""`lrea decide`: a log to a verdict, which method to ship; goes on where it was cut off."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrea_cli.commands.next_steps import after_decide
from lrea_cli.commands.options import Dataset, Json, Long, Short, command, within
from lrea_cli.commands.resumable import Jobs, Seeds, command_line, resumable, workers_of
from lrea_cli.console.output import Console
from lrea_cli.console.show import NONE, milliseconds, number, size
from lrea_cli.recipe.settings import COUNT
from lrea_cli.workspace.home import Workspace
from lrea_cli.workspace.sealed import as_json

if TYPE_CHECKING:
    from lrea_cli.dataset.manifest import DatasetManifest
    from lrea_cli.decide.running.asked import Asked
    from lrea_cli.decide.verdict.answer import Decision
    from lrea_cli.workspace.home import Artifact

MOST_HOURS = 1000


@dataclass(frozen=True)
class DecideOptions:
    """Options of `lrea decide`."""

    dataset: Dataset = None
    budget_ms: Annotated[
        float,
        typer.Option(callback=within(0.001, 1e6), help="Milliseconds that 99 of 100 requests may take."),
    ] = 10.0
    tolerance: Annotated[
        float,
        typer.Option(callback=within(1e-6, 0.5), help="AUC that may be lost against the best method."),
    ] = 0.0005
    hours: Annotated[float, typer.Option(callback=within(0.001, MOST_HOURS), help="Hours that all of it may take.")] = (
        2.0
    )
    seeds: Seeds = None
    candidates: Annotated[int, typer.Option(callback=within(*COUNT), help="Candidates of each request.")] = 1000
    methods: Annotated[
        str | None,
        typer.Option(help="Decide between these, with commas: recipes of lrea, and clusters, codes; default: all."),
    ] = None
    short: Short = None
    long: Long = None
    jobs: Jobs = None
    to: Annotated[Path | None, typer.Option(metavar="<folder>", help="Also write the page into this folder.")] = None
    json: Json = False


@command
def decide(options: DecideOptions) -> None:
    """Say which method to ship on a dataset.

    Example: lrea decide --dataset taobao --budget-ms 10 --hours 2

    Every method and compressor is searched, trained, scored as served, and timed. The verdict is the cheapest one whose
    loss is shown to be within the tolerance, or what could not be shown and how much more data would show it.

    Given again, the same command goes on where it stopped; with another budget or tolerance it trains nothing.
    """
    from lrea_cli.decide.running.asked import read_asked
    from lrea_cli.sweep.datasets import dataset_of
    from lrea_cli.sweep.settings import SEEDS

    console, main = Console(options.json), Workspace.from_environment()
    window = {"short": options.short, "long": options.long}
    asked = read_asked(options.methods, options.seeds or len(SEEDS), options.hours, options.candidates, window)
    dataset = dataset_of(asked.sweep, options.dataset, main)
    workspace = asked.workspace(dataset, main)
    again = _again(options, dataset.name)
    with resumable(again):
        decision = _decide(console, options, asked, dataset, workspace, again)
    page = workspace.home / "decision.html"
    for line in (f"page: {page}", "the same as Markdown and JSON lies beside it"):
        console.say(line)
    if options.to is not None:
        _copy(page, options.to)
        console.say(f"copied to {options.to}")
    console.result({"page": str(page), **as_json(asdict(decision))}, then=after_decide(decision))


def _decide(
    console: Console,
    options: DecideOptions,
    asked: Asked,
    dataset: Artifact[DatasetManifest],
    workspace: Workspace,
    again: str,
) -> Decision:
    from lrea_cli.decide.running.contest import contest
    from lrea_cli.decide.running.measure import Asking, measure
    from lrea_cli.decide.running.planned import timing_seconds
    from lrea_cli.decide.running.times import times_of
    from lrea_cli.decide.verdict.verdict import decide
    from lrea_cli.reporting.decision.page import write_pages

    workers = workers_of(options.jobs)
    console.say(f"decision in {workspace.home}")
    contested = contest(asked, dataset, workspace, workers, console)
    seconds = timing_seconds(asked.hours, len(contested.entrants), contested.spent)
    times = times_of(contested.entrants, workspace, asked.candidates, seconds, console)
    console.say("comparing all of them, over users and seeds")
    asking = Asking(options.budget_ms, options.tolerance, again)
    decision = decide(measure(contested, times, asking))
    write_pages(workspace.home, decision)
    _show(console, decision)
    return decision


def _again(options: DecideOptions, dataset: str) -> str:
    """The command that goes on, or asks the same again."""
    given = {
        "--dataset": dataset,
        "--budget-ms": f"{options.budget_ms:g}",
        "--tolerance": f"{options.tolerance:g}",
        "--hours": f"{options.hours:g}",
        "--seeds": options.seeds,
        "--candidates": None if options.candidates == DecideOptions.candidates else options.candidates,
        "--methods": options.methods,
        "--short": options.short,
        "--long": options.long,
    }
    return command_line(["lrea", "decide"], given)


def _copy(page: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for ending in (".html", ".md", ".json"):
        shutil.copyfile(page.with_suffix(ending), folder / page.with_suffix(ending).name)


def _show(console: Console, decision: Decision) -> None:
    """The table, and then the verdict in words, where the eye ends."""
    from lrea_cli.decide.verdict.order import cost
    from lrea_cli.decide.verdict.words import change
    from lrea_cli.reporting.decision.tables import SHOWN

    measured, verdict = decision.measured, decision.verdict
    question, rows = measured.question, []
    for each in sorted(measured.contenders, key=cost):
        standing = verdict.standing(each.name)
        mark = "<-" if each.name == (verdict.choice or verdict.guess) else ""
        most = NONE if standing.at_most is None else change(standing.at_most, question)
        record = NONE if each.record_bytes is None else size(each.record_bytes)
        times = milliseconds(each.p99_ms.value), number(each.auc.value)
        rows.append([each.name, *times, most, SHOWN[standing.shown], record, mark])
    columns = ["", "p99 ms", "AUC", "loses\nat most", f"less than\n{question.tolerance:g}", "record", ""]
    console.table(f"{question.data.name}: what was measured to the end, the fastest first", columns, rows)
    console.say(verdict.headline)
    for line in verdict.reasons:
        console.say(f"  {line}")
    if verdict.unsure:
        console.say("what is unsure:")
    for line in verdict.unsure:
        console.say(f"  {line}")
