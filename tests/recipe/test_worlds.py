"""Worlds: what is chosen is chosen on worlds of development, and no table is of them."""

from __future__ import annotations

import re
from dataclasses import fields
from itertools import product
from pathlib import Path

import pytest

from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.errors import UserError
from lrea_cli.prepare.planted.options import PlantedOptions
from lrea_cli.prepare.sources.synthetic import Synthetic
from lrea_cli.recipe.chosen import Chosen, as_toml, read_chosen
from lrea_cli.recipe.recipe import NO_RECIPES, SWEEP_FILE, Recipe, load_recipe, shipped_recipes
from lrea_cli.recipe.worlds import World, find_world, read_worlds, world_of
from lrea_cli.sweep import datasets as datasets_module
from lrea_cli.sweep.datasets import dataset_of, datasets_of_worlds
from lrea_cli.sweep.settings import load_sweep
from lrea_cli.workspace.home import Workspace

ROOT = Path(__file__).parents[2]
WORLDS = read_worlds()
FILES = sorted(path for path in shipped_recipes().rglob("*.toml") if path.name not in NO_RECIPES)


@pytest.mark.parametrize("name", WORLDS)
def test_a_world_names_everything_that_decides_its_log(name: str) -> None:
    assert set(WORLDS[name].options) == {field.name for field in fields(PlantedOptions)}
    made = Synthetic(**WORLDS[name].options)
    assert world_of(made.name, dict(vars(made))) == WORLDS[name]


def test_a_development_world_has_another_seed_and_other_parameters_than_every_table() -> None:
    roles = {role: [w for w in WORLDS.values() if w.role == role] for role in ("development", "table")}
    assert roles["development"]
    assert roles["table"]
    for one, other in product(roles["development"], roles["table"]):
        assert one.seed != other.seed
        parameters = [(w.lengths, w.drift, w.sharpness, w.field_effect) for w in (one, other)]
        assert parameters[0] != parameters[1], (one.name, other.name)
    options = [tuple(world.options.values()) for world in WORLDS.values()]
    assert len(set(options)) == len(options)


def test_no_setting_of_a_recipe_was_chosen_on_a_world_of_a_table() -> None:
    for path in FILES:
        how = read_chosen(path)
        for world in how.worlds if how is not None else ():
            assert find_world(world).role == "development", path
    for settings in shipped_recipes().rglob(SWEEP_FILE):
        for world in load_sweep(str(settings.parent)).search.worlds:
            assert find_world(world).role == "development", settings


def test_no_choice_of_fidelity_names_a_world_of_a_table() -> None:
    """A world stands there in backticks, as the place where a number decided."""
    page = (ROOT / "docs" / "fidelity.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w-]+)`", page)) & set(WORLDS)
    assert all(WORLDS[name].role == "development" for name in named)
    assert "drift-2025" in named


def test_a_dataset_is_a_world_by_its_options_whatever_its_name(tiny: Workspace) -> None:
    manifest = tiny.open(DATASETS, "synthetic").manifest
    assert world_of(manifest.source, manifest.source_options) is None
    options = WORLDS["drift-3k"].options
    assert world_of("synthetic", options) == WORLDS["drift-3k"]
    assert world_of("table", options) is None
    assert world_of("synthetic", {**options, "seed": 1}) is None


def test_a_recipe_is_not_swept_on_the_world_that_it_was_chosen_on(
    tiny: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = tiny.open(DATASETS, "synthetic").manifest.source_options
    world = World("tiny-world", "development", **options)
    monkeypatch.setattr(datasets_module, "world_of", lambda source, given: world if given == world.options else None)
    recipe = Recipe.from_dict({"model": {"method": "mean"}, "train": {"lr": 0.125}}, "x")
    how = Chosen("methods", ("tiny-world",), ("lr", "dropout"), 3, 0.7)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "mean.toml").write_text(as_toml(recipe, how))
    assert load_recipe(str(folder / "mean.toml")) == recipe
    assert read_chosen(folder / "mean.toml") == how
    assert "dropout = 0.3" in (folder / "mean.toml").read_text(), "what was searched stands there, default or not"
    sweep = load_sweep(str(folder))
    with pytest.raises(UserError, match="settings of mean were chosen on the world 'tiny-world'"):
        dataset_of(sweep, "synthetic", tiny)
    (folder / "mean.toml").write_text(as_toml(recipe, Chosen("methods", ("dev-still",), ("lr",), 3, 0.7)))
    assert dataset_of(load_sweep(str(folder)), "synthetic", tiny).name == "synthetic"


def test_a_world_that_is_not_prepared_names_the_command(tiny: Workspace) -> None:
    with pytest.raises(UserError, match="The world 'dev-still' is not prepared") as caught:
        datasets_of_worlds(["dev-still"], tiny)
    assert "lrea prepare world dev-still" in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a]\nrole = 'table'\n", r"\[a\] has no preset"),
        ("a = 1\n", r"\[a\] is no section"),
        ("[a]\nrole = 'both'\n", None),
    ],
)
def test_a_file_of_worlds_with_a_mistake_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str | None
) -> None:
    full = "\n".join(f"{key} = {value!r}" for key, value in WORLDS["drift-3k"].options.items())
    (tmp_path / "worlds.toml").write_text(text if message else text + full)
    monkeypatch.setattr("lrea_cli.recipe.worlds.shipped_recipes", lambda: tmp_path)
    with pytest.raises(UserError, match=message or "role is 'both', which is not known"):
        read_worlds()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chosen = 1\n", r"\[chosen\] is no section"),
        ("[chosen]\nsearch = 'x'\n", r"\[chosen\] has no worlds"),
    ],
)
def test_a_mistake_in_chosen_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(UserError, match=message):
        read_chosen(tmp_path / "r.toml")
