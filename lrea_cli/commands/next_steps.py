"""The command to type after another one, made of the artifacts that the home holds."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import typer

from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.records.manifest import CACHES
from lrea_cli.runs.manifest import RUNS, RunManifest

if TYPE_CHECKING:
    from lrea_cli.bench.bench import Bench
    from lrea_cli.dataset.layout import Split
    from lrea_cli.decide.verdict.answer import Decision
    from lrea_cli.workspace.home import Artifact, Workspace
    from lrea_cli.workspace.kinds import Kind


def typed_options(context: typer.Context) -> dict[str, Any]:
    """The parameters of the command that runs which were given on the command line, by name."""
    return {
        option.name: option
        for option in context.command.params
        if getattr(context.get_parameter_source(option.name or ""), "name", "") == "COMMANDLINE"
    }


def as_typed(context: typer.Context, command: str, leave_out: Collection[str]) -> str:
    """A command with the options that were given on the command line, quoted for a shell.

    Args:
        command: its name and arguments as a shell reads them, such as `lrea prepare table`.
        leave_out: the options and arguments that the result does not name.
    """
    parts = shlex.split(command)
    for name, option in typed_options(context).items():
        if name in leave_out:
            continue
        value = context.params[name]
        if isinstance(value, bool):
            parts.append((option.opts if value else option.secondary_opts)[0])
        else:
            for one in value if isinstance(value, (list, tuple)) else [value]:
                parts += [option.opts[0], str(one)]
    return shlex.join(parts)


def after_prepare(workspace: Workspace, dataset: str) -> str:
    """Train on the new dataset."""
    return f"lrea train{_named(workspace, DATASETS, dataset)}"


def after_train(workspace: Workspace, run: str, method: str) -> str:
    """Compress the run; `din-short` keeps no record of a user, and is evaluated at once."""
    return f"lrea {'eval' if method == 'din-short' else 'compress'}{_named(workspace, RUNS, run)}"


def after_compress(cache: str) -> str:
    """Score through the cache, then time it."""
    return "lrea eval --cache {0}, then lrea serve-bench --cache {0}".format(shlex.quote(cache))


def after_serve_bench(workspace: Workspace, bench: Bench) -> str:
    """Compare what was timed, or score it where that has not been done.

    A compressor's records are scored by their cache, a method's own by the cache or by the run.
    """
    from lrea_cli.score.kept_scores import scores_path

    run, cache = workspace.open(RUNS, bench.run), bench.cache
    if scores_path(workspace.path(CACHES, cache), "test").is_file():
        return after_evaluate(workspace, run, cache, "test")
    if bench.compressor:
        return f"lrea eval --cache {shlex.quote(cache)}"
    if scores_path(run.path, "test").is_file():
        return after_evaluate(workspace, run, None, "test")
    return f"lrea eval{_named(workspace, RUNS, run.name)}"


def after_evaluate(workspace: Workspace, run: Artifact[RunManifest], cache: str | None, split: Split) -> str:
    """Compare with what has been scored on this dataset; else score another run of it; else train one.

    The other one is full attention where it can be, and LREA for a `din` run. The first of a comparison is its base.

    Args:
        cache: what the run was served from; None = its method's own records.
    """
    from lrea_cli.score.kept_scores import scores_path

    runs = [a for a in workspace.all(RUNS) if a.manifest.made_from == run.manifest.made_from]
    others = [a for a in runs if cache is not None or a.name != run.name]
    others.sort(key=lambda a: (a.name == run.name, a.manifest.method == "din", a.inventory.created), reverse=True)
    on_split = "" if split == "test" else f" --split {split}"
    mine = shlex.quote(run.name if cache is None else cache)
    for other in others:
        if scores_path(other.path, split).is_file():
            return f"lrea compare {shlex.quote(other.name)} {mine}{on_split}"
    if others:
        name = shlex.quote(others[0].name)
        return f"lrea eval --run {name}{on_split}, then lrea compare {name} {mine}{on_split}"
    method = "lrea" if run.manifest.method == "din" else "din"
    train = f"lrea train --method {method} --dataset {shlex.quote(run.manifest.dataset)}"
    return f"{train}, then lrea eval{on_split}, then lrea compare"


def after_decide(decision: Decision) -> str | None:
    """Train what was chosen, or guessed, in the home; None where that is no method.

    Of a compression it is full attention's run, which `lrea compress` makes smaller.
    """
    name = decision.verdict.choice or decision.verdict.guess
    command = next((each for each in decision.measured.commands if each.makes == f"a run of {name}"), None)
    if command is None and name is not None and name.startswith("din, "):
        command = next((each for each in decision.measured.commands if each.makes == "a run of din"), None)
    return None if command is None else command.line


def _named(workspace: Workspace, kind: Kind[Any], name: str) -> str:
    """The option that names an artifact, where there is another one of its kind."""
    return "" if [a.name for a in workspace.all(kind)] == [name] else f" {kind.option} {shlex.quote(name)}"
