"""The command to type after another one: each function knows what is there, and proposes what works on it."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from lrea_cli.bench.bench import Bench
    from lrea_cli.dataset.layout import Split
    from lrea_cli.runs.checkpoint import Run
    from lrea_cli.workspace.home import Workspace
    from lrea_cli.workspace.kinds import Kind


def as_typed(context: typer.Context, command: str, leave_out: Collection[str]) -> str:
    """A command with the options that were given on the command line, quoted for a shell.

    Args:
        context: of the command that runs.
        command: its name and arguments as a shell reads them, such as `lrea prepare table`.
        leave_out: names of options and arguments to say nothing of.
    """
    parts = shlex.split(command)
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if source is None or source.name != "COMMANDLINE" or option.name in leave_out:
            continue
        value = context.params[option.name or ""]
        if isinstance(value, bool):
            parts.append((option.opts if value else option.secondary_opts)[0])
        else:
            for one in value if isinstance(value, (list, tuple)) else [value]:
                parts += [option.opts[0], str(one)]
    return shlex.join(parts)


def after_prepare(workspace: Workspace, dataset: str) -> str:
    """Train on the new dataset."""
    from lrea_cli.dataset.manifest import DATASETS

    return f"lrea train{_named(workspace, DATASETS, dataset)}"


def after_train(workspace: Workspace, run: str, method: str) -> str:
    """Compress the run; `din-short` keeps nothing of a user, and is evaluated at once."""
    from lrea_cli.runs.manifest import RUNS

    return f"lrea {'eval' if method == 'din-short' else 'compress'}{_named(workspace, RUNS, run)}"


def after_compress(cache: str) -> str:
    """Time the cache, then score through it."""
    name = shlex.quote(cache)
    return f"lrea serve-bench --cache {name}, then lrea eval --cache {name}"


def after_serve_bench(workspace: Workspace, bench: Bench) -> str:
    """Score what was timed: a compressor's records by their cache, a method's own by the run."""
    from lrea_cli.runs.manifest import RUNS

    if bench.compressor:
        return f"lrea eval --cache {shlex.quote(bench.cache)}"
    return f"lrea eval{_named(workspace, RUNS, bench.run)}"


def after_evaluate(workspace: Workspace, run: Run, cache: str | None, split: Split) -> str:
    """Compare with what has been scored on this dataset; else score another run of it; else train one.

    The other one is full attention where it can be, and of a `din` run LREA. The first of a comparison is its base.

    Args:
        run: that was evaluated. cache: that it was served from; None = in the run's own way. split: that was scored.
    """
    from lrea_cli.runs.manifest import RUNS
    from lrea_cli.score.kept import scores_path

    made_from = run.artifact.manifest.made_from
    runs = [a for a in workspace.all(RUNS) if a.manifest.made_from == made_from]
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
    method = "lrea" if run.recipe.model.method == "din" else "din"
    train = f"lrea train --method {method} --dataset {shlex.quote(run.dataset.name)}"
    return f"{train}, then lrea eval{on_split}, then lrea compare"


def _named(workspace: Workspace, kind: Kind[Any], name: str) -> str:
    """The option that names an artifact, where there is another one of its kind."""
    return "" if [a.name for a in workspace.all(kind)] == [name] else f" {kind.option} {shlex.quote(name)}"
