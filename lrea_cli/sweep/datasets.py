"""The datasets of a sweep: prepared in its own workspace where they are missing, or linked into it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from lrea_cli.console.counts import counted
from lrea_cli.console.progress import Reporter
from lrea_cli.errors import UserError, nearest
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.prepare import Surroundings, prepare
from lrea_cli.prepare.sources import SOURCES, find_files
from lrea_cli.prepare.sources.base import Source
from lrea_cli.recipe.recipe import read_section
from lrea_cli.sweep.settings import DatasetPlan, Sweep
from lrea_cli.workspace.home import Artifact, Workspace
from lrea_cli.workspace.kinds import MANIFESTS


def with_dataset(sweep: Sweep, name: str | None, main: Workspace) -> Sweep:
    """A sweep that has datasets: the named one of `main`, else its own, else the one that its recipes name.

    Raises:
        UserError: no such dataset, or the recipes name different ones.
    """
    if name is None and sweep.datasets:
        return sweep
    if name is None:
        named = {recipe.data.dataset for recipe in sweep.recipes.values() if recipe.data.dataset is not None}
        if len(named) > 1:
            raise UserError(f"The recipes name different datasets: {', '.join(sorted(named))}.", "Choose by --dataset.")
        name = next(iter(named), None)
    artifact = main.open("data", name)
    return replace(sweep, datasets=(DatasetPlan(artifact.name, compress=sweep.compress),))


def check_sources(sweep: Sweep) -> None:
    """Refuse unknown sources and options before any work starts.

    Raises:
        UserError: naming the dataset.
    """
    for name in (*sweep.paper, *sweep.changes):
        _source_type(name, "sweep.toml")
    for plan in sweep.datasets:
        if plan.source:
            _source(plan)
            _options(plan)


def make_ready(sweep: Sweep, workspace: Workspace, main: Workspace, reporter: Reporter) -> dict[str, Artifact]:
    """Prepare (as `lrea prepare` does) or link what is missing in `workspace`, and what was made by other options.

    Args:
        main: where prepared datasets and raw files are.

    Returns:
        each dataset by its name.

    Raises:
        UserError: a dataset or raw file is not there.
    """
    for plan in sweep.datasets:
        if plan.source:
            _prepare(plan, workspace, main, reporter)
        else:
            _link(plan.name, workspace, main)
    return {plan.name: workspace.open("data", plan.name) for plan in sweep.datasets}


def _prepare(plan: DatasetPlan, workspace: Workspace, main: Workspace, reporter: Reporter) -> None:
    source, options = _source(plan), _options(plan)
    folder = workspace.path("data", plan.name)
    if folder.is_symlink():
        folder.unlink()
    if (folder / MANIFESTS["data"]).is_file() and _same(source, options, workspace.open("data", plan.name)):
        return
    reporter.say(f"dataset {plan.name}: preparing {source.name}")
    files = find_files(source, None, main.home)
    found = prepare(source, files, plan.name, workspace, options, Surroundings(look=_look, replace=True))
    users = counted(found["users"], "user")
    reporter.say(f"dataset {plan.name}: {users}, samples {found['samples']}, {found['seconds']:.0f} s")


def _look(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    from lrea_cli.prepare.look.page import look_into

    return asdict(look_into(folder, manifest))


def _same(source: Source, options: PrepareOptions, artifact: Artifact) -> bool:
    """The dataset was made from this source with these options (`threads` and `memory` never change a row)."""
    made, wanted = artifact.manifest, asdict(options)
    own = {name: getattr(source, name) for name in made["source_options"]}
    asked = json.loads(json.dumps([source.name, own, {name: wanted[name] for name in made["options"]}]))
    return [made["source"], made["source_options"], made["options"]] == asked


def _link(name: str, workspace: Workspace, main: Workspace) -> None:
    """Make `name` of `main` readable in `workspace`, without a copy."""
    target = main.open("data", name).path.resolve()
    link = workspace.path("data", name)
    if link.is_symlink():
        link.unlink()
    elif link.exists():
        raise UserError(f"{link} is in the way of the dataset '{name}'.", "Remove that folder.")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(target, link.parent.resolve()))


def _source(plan: DatasetPlan) -> Source:
    source_type = _source_type(plan.source, f"[[dataset]] {plan.name}")
    return read_section(source_type, plan.options, f"[[dataset]] {plan.name} options")


def _source_type(name: str, origin: str) -> type[Source]:
    sources = {source.name: source for source in SOURCES}
    if name not in sources:
        raise UserError(f"{origin}: unknown source '{name}'{nearest(name, sources)}.", f"Known: {', '.join(sources)}")
    return sources[name]


def _options(plan: DatasetPlan) -> PrepareOptions:
    """An option that the source has under the same name, such as `seed`, sets both, as on the command line."""
    own = {field.name: plan.options[field.name] for field in fields(PrepareOptions) if field.name in plan.options}
    return read_section(PrepareOptions, {**own, **plan.prepare}, f"[[dataset]] {plan.name} prepare")
