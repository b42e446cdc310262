"""The points of a search: as many for every recipe, spread over its own space, the same from the same seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lrea_cli.errors import UserError
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.recipe.settings import ModelSettings, TrainSettings
from lrea_cli.sweep.search_settings import Search, read_search
from lrea_cli.sweep.space import SECTION_OF, Range, draw_points, key_of, read_space

SIM, LREA = (Recipe.from_dict({"model": {"method": method}}, method) for method in ("sim", "lrea"))
RECIPES = {"sim": SIM, "sim-long": SIM, "lrea": LREA}
SPACE: dict[str, Any] = {
    "lr": {"low": 0.01, "high": 1.0, "log": True},
    "initial_accumulator": {"low": 2, "high": 50, "log": True, "unit": "lr^2"},
    "sim": {"k": [32, 64, 128], "heads": {"low": 1, "high": 9}},
    "sim-long": {"k": [500]},
    "lrea": {"step": {"low": 0.001, "high": 1.0, "log": True}, "penalty": ["mean", "sum"]},
}


def search(count: int = 13, seed: int = 1, **other: Any) -> Search:
    content = {"configurations": count, "seed": seed, "space": SPACE, **other}
    return read_search(content, RECIPES, "sweep.toml [search]")


def test_every_recipe_has_as_many_points_and_the_first_is_the_recipe_as_it_is() -> None:
    found = search()
    assert found.configurations == 13
    assert {name: len(points) for name, points in found.points.items()} == dict.fromkeys(RECIPES, 13)
    assert all(points[0] == {} for points in found.points.values())
    assert found.shared == ()


def test_a_recipe_is_searched_over_what_is_its_own_beside_what_is_of_all() -> None:
    points = search().points
    assert set(points["sim"][1]) == {"lr", "initial_accumulator", "k", "heads"}
    assert set(points["lrea"][1]) == {"lr", "initial_accumulator", "step", "penalty"}
    assert {point["k"] for point in points["sim"][1:]} == {32, 64, 128}
    assert {point["k"] for point in points["sim-long"][1:]} == {500}, "a recipe's own goes before its method's"
    assert [p["lr"] for p in points["sim"][1:]] == [p["lr"] for p in points["lrea"][1:]]


def test_of_n_points_each_nth_part_of_every_setting_has_one() -> None:
    points = search().points["sim"][1:]
    parts = np.log(np.array([p["lr"] for p in points]) / 0.01) / np.log(100.0) * 12
    assert sorted(np.floor(parts).astype(int)) == list(range(12))
    times = np.array([p["initial_accumulator"] / p["lr"] ** 2 for p in points])
    parts = np.log(times / 2) / np.log(25.0) * 12
    assert np.abs(np.sort(parts) - np.arange(12) - 0.5).max() < 0.51  # rounded to three digits
    assert [sum(p["k"] == k for p in points) for k in (32, 64, 128)] == [4, 4, 4]
    heads = [p["heads"] for p in points]
    assert all(isinstance(value, int) and 1 <= value <= 9 for value in heads)
    assert min(heads) <= 2
    assert max(heads) >= 8


def test_the_seed_decides_and_another_setting_changes_no_draw() -> None:
    first, same, other = search(), search(), search(seed=2)
    assert first.points == same.points
    assert first.points != other.points
    space = read_space({"lr": SPACE["lr"], "dropout": [0.1, 0.2]}, "sim", SIM, "[x]")
    wider = draw_points(space, 13, 1, SIM)
    assert [p["lr"] for p in wider[1:]] == [p["lr"] for p in first.points["sim"][1:]]


def test_a_start_in_units_of_the_squared_rate_follows_the_recipes_rate_where_that_is_not_searched() -> None:
    space = {"initial_accumulator": Range(10.0, 10.0, unit="lr^2")}
    (_, point) = draw_points(space, 2, 1, SIM)
    assert point == {"initial_accumulator": pytest.approx(10 * TrainSettings.lr**2)}


def test_a_range_is_even_or_even_in_its_logarithm() -> None:
    assert [Range(1.0, 100.0, log=True).at(share) for share in (0.0, 0.5, 1.0)] == pytest.approx([1, 10, 100])
    assert [Range(1.0, 101.0).at(share) for share in (0.0, 0.5, 1.0)] == pytest.approx([1, 51, 101])


def test_a_key_stands_for_the_values_and_not_for_their_order() -> None:
    assert key_of({}) == ""
    assert key_of({"lr": 0.1, "k": 2}) == key_of({"k": 2, "lr": 0.1})
    assert len({key_of(p) for p in ({"lr": 0.1}, {"lr": 0.2}, {"dropout": 0.1}, {"hidden": (8, 4)})}) == 4
    assert key_of({"hidden": (8, 4)}) == key_of({"hidden": [8, 4]})


def test_every_setting_of_model_and_train_can_be_searched_but_three() -> None:
    every = {*vars(ModelSettings()), *vars(TrainSettings())}
    assert every - set(SECTION_OF) == {"method", "seed", "share"}


def test_a_wrong_name_of_a_method_is_refused() -> None:
    with pytest.raises(UserError, match=r"\[search.space\]: 'simm' is not known \(did you mean 'sim'\?\)"):
        read_search({"configurations": 2, "space": {**SPACE, "simm": {}}}, RECIPES, "x [search]")
