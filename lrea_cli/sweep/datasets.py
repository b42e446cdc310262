"""The datasets of a sweep: prepared in its own workspace where they are missing, or linked into it."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, fields, replace
from pathlib import Path

from lrea_cli.console.counts import counted
from lrea_cli.console.progress import Reporter
from lrea_cli.dataset.manifest import DATASETS, DatasetManifest
from lrea_cli.errors import UserError, nearest
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.prepare import prepare
from lrea_cli.prepare.sources import SOURCES, find_files
from lrea_cli.prepare.sources.base import Source
from lrea_cli.recipe.recipe import read_section
from lrea_cli.sweep.settings import DatasetPlan, Sweep
from lrea_cli.workspace.home import Artifact, Workspace

Datasets = dict[str, Artifact[DatasetManifest]]
"""Each dataset of a sweep by its name."""


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
    artifact = main.open(DATASETS, name)
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


def make_ready(sweep: Sweep, workspace: Workspace, main: Workspace, reporter: Reporter) -> Datasets:
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
    return {plan.name: workspace.open(DATASETS, plan.name) for plan in sweep.datasets}


def _prepare(plan: DatasetPlan, workspace: Workspace, main: Workspace, reporter: Reporter) -> None:
    source, options = _source(plan), _options(plan)
    folder = workspace.path(DATASETS, plan.name)
    if folder.is_symlink():
        folder.unlink()
    if (folder / DATASETS.file).is_file() and _same(source, options, workspace.open(DATASETS, plan.name)):
        return
    reporter.say(f"dataset {plan.name}: preparing {source.name}")
    files = find_files(source, None, main.home)
    started = time.monotonic()
    made = prepare(source, files, plan.name, workspace, options, look=_look, replace=True)
    seconds, users = time.monotonic() - started, counted(made.users, "user")
    reporter.say(f"dataset {plan.name}: {users}, samples {made.samples}, {seconds:.0f} s")


def _look(folder: Path, manifest: DatasetManifest) -> DatasetManifest:
    from lrea_cli.prepare.look.page import look_into

    return look_into(folder, manifest)[1]


def _same(source: Source, options: PrepareOptions, artifact: Artifact[DatasetManifest]) -> bool:
    """The dataset was made from this source with these options (`threads` and `memory` never change a row)."""
    made, wanted = artifact.manifest, asdict(options)
    own = {name: getattr(source, name) for name in made.source_options}
    asked = json.loads(json.dumps([source.name, own, {name: wanted[name] for name in made.options}]))
    return [made.source, made.source_options, made.options] == asked


def _link(name: str, workspace: Workspace, main: Workspace) -> None:
    """Make `name` of `main` readable in `workspace`, without a copy."""
    target = main.open(DATASETS, name).path.resolve()
    link = workspace.path(DATASETS, name)
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
