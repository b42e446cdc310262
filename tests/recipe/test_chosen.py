"""What a training starts from: the settings that a search chose for its method."""

from __future__ import annotations

from pathlib import Path

import pytest

from lrea_cli.recipe import chosen
from lrea_cli.recipe.chosen import Chosen, as_toml, default_recipe, read_chosen
from lrea_cli.recipe.recipe import Recipe, load_recipe, shipped_recipes
from lrea_cli.recipe.settings import METHOD_NAMES, DataSettings, ModelSettings, TrainSettings

FOLDER = shipped_recipes() / "chosen"


def test_each_recipe_that_is_searched_is_there_with_the_worlds_of_the_search() -> None:
    searched = {path.name for path in (shipped_recipes() / "methods").glob("*.toml")} - {"sweep.toml"}
    assert {path.name for path in FOLDER.glob("*.toml")} == searched
    for path in FOLDER.glob("*.toml"):
        how = read_chosen(path)
        assert how is not None
        assert how.search == "methods"
        assert how.worlds
        assert load_recipe(str(path)).model.method == load_recipe(f"methods/{path.stem}").model.method


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_training_starts_from_what_was_chosen_for_its_method(method: str) -> None:
    found = default_recipe(method)
    assert found.model.method == method
    assert found.data == DataSettings()
    assert found.train == TrainSettings()
    of_method = [p for p in sorted(FOLDER.glob("*.toml")) if load_recipe(str(p)).model.method == method]
    path = next((p for p in of_method if p.stem == method), of_method[0])
    how = read_chosen(path)
    assert how is not None
    of_model = {setting for setting in how.settings if not hasattr(found.train, setting)}
    assert {"dropout", "hidden", "scorer_hidden"} <= of_model
    for setting in of_model:
        assert getattr(found.model, setting) == getattr(load_recipe(str(path)).model, setting)


def test_the_file_of_the_methods_name_goes_first_and_without_any_the_defaults_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chosen, "shipped_recipes", lambda: tmp_path)
    assert default_recipe("sim") == Recipe.from_dict({"model": {"method": "sim"}}, "x")
    (tmp_path / "chosen").mkdir()
    for name, dropout, search in (("a-sim", 0.2, "soft"), ("sim", 0.35, "hard"), ("a-din", 0.4, "hard")):
        model = {"method": "din" if "din" in name else "sim", "search": search, "dropout": dropout}
        content = {"model": model, "train": {"lr": 0.3}}
        how = Chosen("methods", ("dev-still",), ("lr", "dropout"), 3, 0.7)
        (tmp_path / "chosen" / f"{name}.toml").write_text(as_toml(Recipe.from_dict(content, name), how))
    assert default_recipe("sim").model.dropout == 0.35
    assert default_recipe("din").model.dropout == 0.4
    assert default_recipe("sim").train.lr == TrainSettings.lr
    (tmp_path / "chosen" / "sim.toml").unlink()
    assert (default_recipe("sim").model.dropout, default_recipe("sim").model.search) == (0.2, "hard")
    assert default_recipe("eta").model.dropout == ModelSettings.dropout
