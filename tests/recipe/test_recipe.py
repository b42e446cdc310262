"""Recipes: flag over file over default, and nothing misspelled or impossible gets through."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest

from lrea_cli.commands import demo, train
from lrea_cli.errors import UserError
from lrea_cli.methods import METHODS
from lrea_cli.methods.pseudo_items import PseudoItemMethod
from lrea_cli.recipe.recipe import NO_RECIPES, Recipe, load_recipe, shipped_recipes
from lrea_cli.recipe.settings import METHOD_NAMES, ModelSettings

FOLDER = shipped_recipes()
SHIPPED = sorted(
    str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.toml") if path.name not in NO_RECIPES
)


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_recipe_loads(name: str) -> None:
    assert load_recipe(name) == load_recipe(f"{name}.toml") == load_recipe(str(FOLDER / f"{name}.toml"))


def test_there_are_shipped_recipes() -> None:
    assert "demo" in SHIPPED


def test_method_names_are_the_same_everywhere() -> None:
    assert set(METHOD_NAMES) == set(METHODS) == set(get_args(train.MethodName))
    assert all(name == method.name for name, method in METHODS.items())
    assert set(demo.METHODS) <= set(METHOD_NAMES)


def test_flag_over_recipe_over_default(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, "[model]\nrank = 64\nlam = 1\n[data]\nshort = 7\n"))
    flags = {"model": {"rank": 32, "lam": None, "method": None}, "train": {"epochs": 2, "seed": None}}
    found = recipe.with_flags(flags)
    assert (found.model.rank, found.model.lam, found.data.short) == (32, 1.0, 7)
    assert (found.train.epochs, found.train.seed, found.model.method) == (2, 2025, "lrea")


def test_a_run_that_is_older_than_the_readers_is_read_by_dins_scorer_of_64_units() -> None:
    written = json.loads((Path(__file__).parents[1] / "workspace" / "written" / "run.json").read_text(encoding="utf-8"))
    assert not {"reader", "scorer_hidden"} & set(written["recipe"]["model"])
    model = Recipe.from_dict(written["recipe"], "run.json").model
    assert (model.reader, model.scorer_hidden) == ("din", 64)


@pytest.mark.parametrize("hidden", [1, 8, 64, 4096])
def test_the_scorers_width_is_a_setting_of_every_method(hidden: int) -> None:
    for method in METHOD_NAMES:
        assert Recipe().with_flags({"model": {"method": method, "scorer_hidden": hidden}}).model.scorer_hidden == hidden


def test_only_methods_of_pseudo_items_have_a_reader() -> None:
    for method in METHOD_NAMES:
        flags = {"model": {"method": method, "reader": "softmax"}}
        if issubclass(METHODS[method], PseudoItemMethod):
            assert Recipe().with_flags(flags).model.reader == "softmax"
        else:
            with pytest.raises(UserError, match=f"reader is no option of method '{method}'"):
                Recipe().with_flags(flags)


def test_a_flag_of_zero_is_given() -> None:
    found = Recipe().with_flags({"model": {"lam": 0.0}, "train": {"seed": 0}})
    assert (found.model.lam, found.train.seed) == (0.0, 0)


def test_a_recipe_survives_its_manifest(tmp_path: Path) -> None:
    text = "[data]\nfields = ['item', 'category']\n[model]\nhidden = [8, 4]\nmethod = 'din'\n"
    recipe = load_recipe(write(tmp_path, text))
    assert recipe.data.fields == ("item", "category")
    assert recipe.model.hidden == (8, 4)
    assert Recipe.from_dict(recipe.to_dict(), "run.json") == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[model]\nrnak = 3", r"\[model\]: unknown key 'rnak' \(did you mean 'rank'\?\)"),
        ("[train]\nlearning_rate = .1".replace(" .1", " 0.1"), r"\[train\]: unknown key 'learning_rate'"),
        ("[modle]\nrank = 3", r"unknown section \[modle\] \(did you mean 'model'\?\)"),
        ("rank = 3", r"unknown section \[rank\]"),
        ("model = 3", "'model' stands outside a section"),
        ("[model]\nrank = '3'", r"\[model\]: rank is '3', not a whole number"),
        ("[model]\nrank = 3.0", r"rank is 3\.0, not a whole number"),
        ("[model]\nrank = true", "rank is true, not a whole number"),
        ("[model]\nlam = true", "lam is true, not a number"),
        ("[model]\nlam = '0.3'", r"lam is '0\.3', not a number"),
        ("[model]\nmethod = 3", "method is 3, which is not known"),
        ("[model]\nhidden = 64", "hidden is 64, not a list"),
        ("[model]\nhidden = [64, '32']", "hidden, entry 2, is '32', not a whole number"),
        ("[data]\ndataset = 3", "dataset is 3, not a text in quotes"),
        ("[model]\nrank = ", "is not valid TOML"),
        ("[model]\nmethod = 'lrae'", r"method is 'lrae', which is not known \(did you mean 'lrea'\?\)"),
        ("[model]\nform = 'absorb'", r"form is 'absorb', which is not known \(did you mean 'absorbed'\?\)"),
        ("[model]\ndecomp_columns = 'any'", "decomp_columns is 'any', which is not known"),
        ("[model]\nshort_histories = 'exakt'", "did you mean 'exact'"),
    ],
)
def test_what_is_misspelled_or_of_another_type_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_recipe(write(tmp_path, text))
    assert "recipe.toml" in caught.value.message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("data", {"short": 0}),
        ("data", {"long": -1}),
        ("data", {"long": 0}),
        ("data", {"long": 127}),
        ("model", {"rank": 0}),
        ("model", {"rank": 501}),
        ("model", {"embedding_dim": 0}),
        ("model", {"hidden": ()}),
        ("model", {"hidden": (8, 0)}),
        ("model", {"scorer_hidden": 0}),
        ("model", {"scorer_hidden": 4097}),
        ("model", {"lam": -0.1}),
        ("model", {"lam": float("nan")}),
        ("model", {"lam": float("inf")}),
        ("model", {"method": "dinn"}),
        ("train", {"epochs": 0}),
        ("train", {"patience": -1}),
        ("train", {"batch_size": 1}),
        ("train", {"lr": 0.0}),
        ("train", {"lr": -1.0}),
        ("train", {"lr": float("nan")}),
        ("train", {"lr": float("inf")}),
        ("train", {"seed": -1}),
        ("train", {"seed": 2**63}),
        ("data", {"long": 99_999_999_999}),
        ("model", {"lam": 1e300}),
        ("model", {"hidden": (10**9,)}),
        ("model", {"dropout": 1.0}),
        ("train", {"weight_decay": float("nan")}),
        ("model", {"method": "sdim", "m": 20, "tau": 20}),
        ("model", {"method": "sdim", "m": 39, "tau": 13}),
    ],
)
def test_impossible_values_are_refused_from_file_and_flag(section: str, values: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"^command line: "):
        Recipe().with_flags({section: values})
    with pytest.raises(UserError, match=r"^here( \[(data|model|train)\])?: "):
        Recipe.from_dict({section: values}, "here")


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("data", {"long": 128}),
        ("model", {"rank": 500}),
        ("train", {"patience": 0}),
        ("train", {"batch_size": 2}),
        ("train", {"seed": 2**63 - 1}),
        ("model", {"method": "sdim", "m": 26, "tau": 13}),
    ],
)
def test_values_at_the_edge_are_taken(section: str, values: dict[str, Any]) -> None:
    Recipe().with_flags({section: values})


def test_a_long_sequence_of_zero_is_for_din_short_alone() -> None:
    for method in METHOD_NAMES:
        flags = {"model": {"method": method}, "data": {"long": 0}}
        if method == "din-short":
            Recipe().with_flags(flags)
        else:
            with pytest.raises(UserError, match="long = 0 leaves nothing"):
                Recipe().with_flags(flags)


def test_a_recipe_that_is_not_there_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no recipe 'dmo' \(did you mean 'demo'\?\)") as caught:
        load_recipe("dmo")
    assert "demo" in caught.value.remedy


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="not valid TOML"):
        load_recipe(str(path))


@pytest.mark.parametrize(
    "text", ["x = " + "[" * 90_000, "x = " + "[" * 100_000, "[model]\nrank = " + "9" * 10_000, "#" * 100_001]
)
def test_toml_that_no_parser_bears_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe(write(tmp_path, text))
    assert "recipe.toml" in caught.value.message
    assert "\n" not in caught.value.message


def test_a_whole_number_too_large_for_a_float_is_out_of_range(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="lam is inf"):
        load_recipe(write(tmp_path, "[model]\nlam = 1" + "0" * 400))


@pytest.mark.parametrize(
    ("section", "values", "message", "remedy"),
    [
        ("model", {"rank": 0}, "here [model]: rank is 0.", "Use 1 to 1,000,000."),
        ("model", {"dropout": 1.5}, "here [model]: dropout is 1.5.", "Use 0 or more, below 1."),
        ("train", {"lr": 0}, "here [train]: lr is 0.", "Use more than 0, below 100."),
        ("train", {"share": 0}, "here [train]: share is 0.", "Use more than 0, at most 1."),
        ("train", {"share": 1.1}, "here [train]: share is 1.1.", "Use more than 0, at most 1."),
        ("model", {"hidden": []}, "here [model]: hidden is [], without an entry.", "Give one entry or more."),
        ("model", {"hidden": [8, 0]}, "here [model]: hidden, entry 2, is 0.", "Use 1 to 65,536."),
        ("model", {"search": "sof"}, "here [model]: search is 'sof', which is not known (did you mean 'soft'?).", None),
    ],
)
def test_a_value_is_refused_with_its_key_and_what_may_stand_there(
    section: str, values: dict[str, Any], message: str, remedy: str | None
) -> None:
    with pytest.raises(UserError) as caught:
        Recipe.from_dict({section: values}, "here")
    assert caught.value.message == message
    assert caught.value.remedy == (remedy or "Known: hard, soft")


def test_every_number_of_a_recipe_has_limits() -> None:
    """A new setting is checked, too, whatever it is."""
    recipe = Recipe()
    for section in ("data", "model", "train"):
        for name, value in vars(getattr(recipe, section)).items():
            if isinstance(value, (int, float)):
                for impossible in (-1, 10**18 if name != "seed" else 2**64, float("nan")):
                    with pytest.raises(UserError):
                        recipe.with_flags({section: {name: impossible}})


def test_every_setting_reaches_the_manifest() -> None:
    content = Recipe().to_dict()
    assert set(content) == {"data", "model", "train"}
    assert set(content["model"]) == {f.name for f in fields(ModelSettings)}
