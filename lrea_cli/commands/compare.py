"""`lrea compare`: which differences between runs, or between two serve-bench results, are more than noise."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lrea_cli.commands.options import Json, command, names_of
from lrea_cli.console.counts import counted
from lrea_cli.console.output import Console
from lrea_cli.console.show import CHANGE, interval, number, spread, unclear
from lrea_cli.errors import UserError, nearest
from lrea_cli.records.manifest import CACHES, CacheManifest
from lrea_cli.runs.manifest import RUNS
from lrea_cli.workspace.home import Artifact, Workspace

if TYPE_CHECKING:
    from lrea_cli.bench.bench import ComparedLatency
    from lrea_cli.dataset.layout import Split
    from lrea_cli.score.compare_methods import ComparedMethod
    from lrea_cli.score.kept_scores import Compared, Subject


@dataclass(frozen=True)
class CompareOptions:
    """Options of `lrea compare`."""

    names: Annotated[
        list[str],
        typer.Argument(
            help="Runs or caches, all compared with the first; or two serve-bench results.",
            autocompletion=names_of(RUNS, CACHES),
        ),
    ]
    split: Annotated[Literal["train", "valid", "test"], typer.Option(help="Split whose kept scores are compared.")] = (
        "test"
    )
    form: Annotated[
        Literal["served", "trained"],
        typer.Option(help="served: scores through the cache; trained: scores of the model as trained."),
    ] = "served"
    json: Json = False


@command
def compare(options: CompareOptions) -> None:
    """Compare runs by their scores, or two serve-bench results.

    Example: lrea compare taobao-din-1 taobao-lrea-1

    A row marked ~ shows no difference: its 95% interval includes equality.
    Runs that differ in their seed alone are also compared as one method.
    """
    names = options.names
    if len(names) < 2:
        raise UserError(f"There is nothing to compare '{names[0]}' with.", "Name a second run, or a second result.")
    console, workspace = Console(options.json), Workspace.from_environment()
    are_files = {name.endswith(".json") for name in names}
    if are_files == {False}:
        content = _compare_scores(console, workspace, options)
    elif False in are_files:
        raise UserError("Runs and serve-bench results were mixed.", "Name runs or caches only, or two .json files.")
    elif len(names) > 2:
        raise UserError(f"{len(names)} serve-bench results were named.", "Compare two of them.")
    else:
        content = _compare_benches(console, workspace, names)
    console.result(content)


def _compare_scores(console: Console, workspace: Workspace, options: CompareOptions) -> dict[str, Any]:
    from lrea_cli.score.compare_methods import compare_methods
    from lrea_cli.score.kept_scores import compare_scores
    from lrea_cli.stats.methods import GIVEN_MODELS

    runs = {a.name: a for a in workspace.all(RUNS)}
    caches = {a.name: a for a in workspace.all(CACHES)}
    artifacts, split, form = {**runs, **caches}, options.split, options.form
    for name in options.names:
        if name in runs and name in caches:
            raise UserError(f"'{name}' is a run and a cache.", "Rename one of the two folders.")
        if name not in artifacts:
            message = f"There is no run or cache '{name}' in {workspace.home}{nearest(name, artifacts)}."
            raise UserError(message, "Make a run with: lrea train")
    subjects = [_subject(artifacts[name], runs, split) for name in options.names]
    compared, methods = compare_scores(subjects, form), compare_methods(subjects, form)
    samples, users = len(subjects[0].scores.label), len(set(subjects[0].scores.user.tolist()))
    title = f"{split}, {form} form: {counted(samples, 'sample')} of {counted(users, 'user')}"
    _show_scores(console, compared, title)
    _show_methods(console, methods)
    facts = {"split": split, "form": form, "samples": samples, "users": users, "interval": GIVEN_MODELS}
    rows, of_methods = ([row.to_dict() for row in table] for table in (compared, methods))
    return {**facts, "rows": rows, "methods": of_methods}


def _subject(artifact: Artifact[Any], runs: Mapping[str, Artifact[Any]], split: Split) -> Subject:
    """The scores that lie in the folder of a run or of a cache."""
    from lrea_cli.score.kept_scores import Subject, read_scores

    name, manifest = artifact.name, artifact.manifest
    is_cache = isinstance(manifest, CacheManifest)
    scored = ["--run", manifest.run, "--cache", name] if is_cache else ["--run", name]
    remedy = shlex.join(["lrea", "eval", *scored, "--split", split])
    scores = read_scores(artifact.path, split, remedy, None if is_cache else manifest.made_from)
    run = runs.get(manifest.run) if is_cache else artifact
    return Subject(name, scores, remedy, *_recipe_and_seed(run, manifest if is_cache else None))


def _recipe_and_seed(run: Artifact[Any] | None, cache: CacheManifest | None) -> tuple[str, int | None]:
    """What the runs of other seeds have as well, with what makes the records of a cache; and the seed of training.

    The seed is not known where the run of a cache is gone.
    """
    if run is None:
        return "", None
    settings = run.manifest.recipe
    seed, train = settings["train"]["seed"], {**settings["train"], "seed": None}
    records = [cache.compression, cache.dtype] if cache else None
    return str([run.manifest.made_from, {**settings, "train": train}, records]), seed


def _show_scores(console: Console, compared: list[Compared], title: str) -> None:
    from lrea_cli.stats.metrics import METRICS

    rows = [[row.run, row.method, number(row.metrics["auc"]), "", "", ""] for row in compared]
    for cells, row in zip(rows, compared, strict=True):
        if row.difference is not None:
            cells[3:] = number(row.difference, CHANGE), interval(row.ci, CHANGE), unclear(row.resolved)
    console.table(title, ["run", "method", "AUC", "difference", "95% interval", ""], rows)
    shown = [metric for metric in METRICS if metric.name != "auc"]
    metrics = [[m.title, m.better, *(number(row.metrics[m.name]) for row in compared)] for m in shown]
    console.table("the other metrics", ["", "better", *(row.run for row in compared)], metrics)
    limits = [row.resolvable for row in compared if row.resolvable]
    if limits:
        low, high = min(limits), max(limits)
        text = f"{high:.5f}" if low == high else f"{low:.5f} to {high:.5f}, by the pair"
        console.say(f"smallest difference that this test set can resolve: {text} (found 4 times in 5, at 95%)")
        console.say("these intervals are given the trained models: for other users, not for other seeds of training")


def _show_methods(console: Console, compared: list[ComparedMethod]) -> None:
    """The recipes that have runs of several seeds, beside the first."""
    from lrea_cli.stats.methods import GIVEN_MODELS, OVER_SEEDS

    rows = [[row.runs[0], row.method, str(len(row.runs)), number(row.auc), "", "", ""] for row in compared]
    for cells, row in zip(rows, compared, strict=True):
        if row.difference is not None:
            cells[4:] = number(row.difference, CHANGE), interval(row.ci, CHANGE), unclear(row.resolved)
    if rows:
        title = "methods: mean over runs that differ in their seed alone"
        console.table(title, ["first run", "method", "seeds", "AUC", "difference", "95% interval", ""], rows)
    covers = {row.interval for row in compared}
    if OVER_SEEDS in covers:
        console.say("these intervals are over seeds and users: for other seeds of training and other users")
    alone = [row.runs[0] for row in compared if row.interval == GIVEN_MODELS]
    if alone:
        console.say(f"given the trained models, as one side has one seed: {', '.join(alone)}")


def _compare_benches(console: Console, workspace: Workspace, names: list[str]) -> dict[str, Any]:
    from lrea_cli.bench.bench import compare_rows, read_bench

    first, second = (read_bench(_bench_path(workspace, name)) for name in names)
    matched = compare_rows(first.rows, second.rows)
    if first.machine != second.machine:
        console.warn(f"the machines differ: {first.machine}; and {second.machine}")
    for letter, name in zip("AB", names, strict=True):
        console.say(f"{letter}: {name}")
    title = f"medians of {counted(matched[0].candidates, 'candidate')}, one request at a time"
    columns = ["stage", "route", "kernel", "A p50 ms", "B p50 ms", "B / A", "95% interval", ""]
    console.table(title, columns, [_latency(row) for row in matched])
    console.say(
        "the intervals cover these requests only: a change of the machine between the two results is in the ratio, too"
    )
    alone = len(first.rows) + len(second.rows) - 2 * len(matched)
    if alone:
        console.say(f"{counted(alone, 'row')} without a partner in the other result: left out")
    return {"files": names, "rows": [asdict(row) for row in matched], "unmatched_rows": alone}


def _bench_path(workspace: Workspace, name: str) -> Path:
    """A file as it is named, or of this name in `bench/`."""
    folder = workspace.home / "bench"
    for path in (Path(name), folder / name):
        if path.is_file():
            return path
    hint = nearest(name, [p.name for p in folder.glob("*.json")])
    raise UserError(f"There is no result '{name}' in {folder}{hint}.", "Make one with: lrea serve-bench")


def _latency(row: ComparedLatency) -> list[str]:
    route = row.route if row.length == "real" else f"{row.route} {row.length}"
    medians = map(spread, row.p50_ms, row.p50_ci_ms)
    return [
        row.stage,
        route,
        row.kernel,
        *medians,
        number(row.ratio, ".3f"),
        interval(row.ci, ".3f"),
        unclear(row.resolved),
    ]
