"""The datasets of a sweep: which one is asked for, and how it is reached from the sweep's own workspace."""

from __future__ import annotations

import os
from collections.abc import Sequence

from lrea_cli.console.progress import Reporter
from lrea_cli.dataset.layout import DatasetInfo
from lrea_cli.dataset.manifest import DATASETS, DatasetManifest
from lrea_cli.errors import UserError
from lrea_cli.recipe.worlds import find_world, world_of
from lrea_cli.sweep.jobs import reason_against
from lrea_cli.sweep.results import LeftOut
from lrea_cli.sweep.settings import Sweep
from lrea_cli.workspace.home import Artifact, Workspace

Dataset = Artifact[DatasetManifest]


def dataset_of(sweep: Sweep, name: str | None, main: Workspace) -> Dataset:
    """The named dataset of a home, else the one that the recipes name (a UserError for several), else the latest.

    Raises:
        UserError: a recipe's settings were chosen on this very log, so nothing measured on it is a result.
    """
    if name is None:
        named = {recipe.data.dataset for recipe in sweep.recipes.values() if recipe.data.dataset is not None}
        if len(named) > 1:
            raise UserError(f"The recipes name different datasets: {', '.join(sorted(named))}.", "Choose by --dataset.")
        name = next(iter(named), None)
    dataset = main.open(DATASETS, name)
    world = world_of(dataset.manifest.source, dataset.manifest.source_options)
    chosen_here = [recipe for recipe, found in sweep.chosen.items() if world is not None and world.name in found.worlds]
    if world is not None and chosen_here:
        raise UserError(
            f"The settings of {', '.join(chosen_here)} were chosen on the world '{world.name}', which is the dataset "
            f"'{dataset.name}'.",
            "Use a dataset that no setting was chosen on: --dataset NAME",
        )
    return dataset


def datasets_of_worlds(worlds: Sequence[str], main: Workspace) -> tuple[Dataset, ...]:
    """A dataset of the home for each world, whatever its name; a UserError names the command that prepares one."""
    prepared = main.all(DATASETS)
    found = []
    for name in worlds:
        world = find_world(name)
        own = [d for d in prepared if world_of(d.manifest.source, d.manifest.source_options) == world]
        if not own:
            raise UserError(f"The world '{name}' is not prepared.", f"Prepare it: lrea prepare world {name}")
        found.append(own[-1])
    return tuple(found)


def workspace_of(sweep: Sweep, dataset: Dataset, main: Workspace) -> Workspace:
    """The sweep's own: all that it trains lies there."""
    return Workspace(main.home / "sweeps" / f"{sweep.name}-{dataset.name}")


def link(dataset: Dataset, workspace: Workspace) -> Dataset:
    """A link to the dataset in the sweep's workspace."""
    link = workspace.path(DATASETS, dataset.name)
    if link.is_symlink():
        link.unlink()
    elif link.exists():
        raise UserError(f"{link} is in the way of the dataset '{dataset.name}'.", "Remove that folder.")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(dataset.path.resolve(), link.parent.resolve()))
    return workspace.open(DATASETS, dataset.name)


def recipes_left_out(sweep: Sweep, dataset: DatasetInfo, reporter: Reporter) -> tuple[LeftOut, ...]:
    """Recipes that cannot run on the dataset: each is said once, before any work."""
    reasons = {name: reason_against(recipe, dataset) for name, recipe in sweep.recipes.items()}
    left_out = tuple(LeftOut(dataset.manifest.dataset, name, reason) for name, reason in reasons.items() if reason)
    if len(left_out) == len(sweep.recipes):
        first = left_out[0]
        raise UserError(f"No recipe can run: {first.recipe} on {first.dataset}: {first.reason}")
    for one in left_out:
        reporter.say(f"{one.recipe} is left out on {one.dataset}: {one.reason}")
    return left_out
