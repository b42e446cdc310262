"""A folder of recipes and its sweep.toml: what is misspelled or cannot be done is refused before any work starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lrea_cli.errors import UserError
from lrea_cli.recipe.chosen import Chosen, as_toml
from lrea_cli.recipe.recipe import SWEEP_FILE, Recipe, foreign_options, load_recipe, shipped_recipes
from lrea_cli.recipe.settings import METHOD_NAMES
from lrea_cli.sweep.datasets import dataset_of
from lrea_cli.sweep.settings import SEEDS, Compress, Sweep, load_sweep, read_sweep
from lrea_cli.workspace.home import Workspace

NAMES = ("din", "lrea-8", "lrea-32", "mean")
RECIPES = {name: Recipe.from_dict({"model": {"method": name.partition("-")[0], "rank": 8}}, name) for name in NAMES}


def read(**content: Any) -> Sweep:
    return read_sweep("folder", RECIPES, content, "sweep.toml")


def test_everything_is_read() -> None:
    compress = {"recipes": ["din"], "compressors": ["recent"], "ranks": [4, 16]}
    sweep = read(title="T", base="mean", search={"points": [{"lr": 0.1}, {"k": 32}]}, compress=compress)
    assert (sweep.name, sweep.title, sweep.base, sweep.seeds) == ("folder", "T", "mean", SEEDS)
    assert sweep.search.shared == ({"lr": 0.1}, {"k": 32})
    assert sweep.compress == Compress(("din",), ("recent",), (4, 16))


def test_without_a_sweep_toml_recipes_run_as_they_are() -> None:
    sweep = read()
    assert (sweep.title, sweep.base, sweep.search.shared, sweep.compress) == ("folder", "din", ({},), None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"serch": {}}, r"unknown key 'serch' \(did you mean 'search'\?\)"),
        ({"base": "dinn"}, r"'dinn' is not known \(did you mean 'din'\?\)"),
        ({"title": 3}, "title is 3, not a text"),
        ({"search": {"lr": [0.1]}}, r"\[search\]: unknown key 'lr'"),
        ({"search": {"points": [{"lrr": 0.1}]}}, "'lrr' cannot be searched"),
        ({"search": {"points": [{"seed": 1}]}}, "'seed' cannot be searched"),
        ({"search": {"points": [{"share": 0.5}]}}, "'share' cannot be searched"),
        ({"search": {"points": [{"lr": "x"}]}}, r"recipe din \[train\]: lr is 'x', not a number"),
        ({"search": {"points": [{"lr": 0.1}, {"lr": 0.1}]}}, "two of the 2 points are the same"),
        ({"search": {"points": [{"lr": -1.0}]}}, r"recipe din \[train\]: lr is -1\.0"),
        ({"search": {"configurations": 3}}, "needs either points or a space"),
        ({"search": {"points": [{}], "space": {"lr": [0.1]}}}, "needs either points or a space"),
        ({"search": {"space": {"lrr": [0.1]}}}, r"\[search.space\]: 'lrr' is not known \(did you mean 'lr'\?\)"),
        ({"search": {"space": {"seed": [1]}}}, "'seed' is not known"),
        ({"search": {"space": {"lr": 0.1}}}, r"\[search.space\]: lr is 0\.1"),
        ({"search": {"space": {"lr": []}}}, r"\[search.space\]: lr is \[\]"),
        ({"search": {"space": {"lr": {"low": 0.1}}}}, r"\[search.space\] lr has no high"),
        ({"search": {"space": {"lr": {"low": 0.2, "high": 0.1}}}}, r"lr goes from 0\.2 to 0\.1"),
        ({"search": {"space": {"lr": {"low": 0.0, "high": 0.1, "log": True}}}}, r"lr goes from 0\.0 to 0\.1"),
        ({"search": {"space": {"lr": {"low": 0.1, "high": 0.2, "lg": True}}}}, "unknown key 'lg'"),
        ({"search": {"space": {"hidden": {"low": 1, "high": 2}}}}, "hidden is no number"),
        ({"search": {"space": {"din": {"k": [1, 2]}}}}, r"\[search.space.din\]: k is no option of method 'din'"),
        ({"search": {"space": {"lrea-8": {"rankk": [1]}}}}, r"\[search.space.lrea-8\]: 'rankk' is not known"),
        ({"search": {"configurations": 4, "space": {"epochs": [1, 2]}}}, "two of the 4 points are the same"),
        ({"search": {"configurations": 3, "space": {"lr": [-1.0, -2.0]}}}, r"din \[train\]: lr is -[12]\.0"),
        ({"search": {"points": [{}], "worlds": ["dev-stil"]}}, r"no world 'dev-stil' \(did you mean 'dev-still'\?\)"),
        ({"search": {"points": [{}], "worlds": ["drift-3k"]}}, "the world 'drift-3k' is for a table"),
        ({"search": {"points": [{}, {"lr": 0.1}], "rungs": [{"keep": 2}, {}]}}, "a rung keeps 2 of 2 points"),
        ({"search": {"points": [{}, {"lr": 0.1}], "rungs": [{"keep": 2}]}}, "the last rung keeps 2"),
        (
            {"search": {"points": [{}], "rungs": [{"worlds": ["dev-still"]}]}},
            "a rung is on 'dev-still', the search is not",
        ),
        ({"search": {"points": [{}], "rungs": [{"share": 0.0}]}}, "rungs, entry 1: share is 0"),
        ({"search": 3}, "search is 3, not a table"),
        ({"recipes": []}, "runs no recipe"),
        ({"recipes": ["dinn"]}, r"recipes: 'dinn' is not known \(did you mean 'din'\?\)"),
        ({"once": ["dinn"]}, r"once: 'dinn' is not known"),
        ({"recipes": ["din"], "once": ["mean"]}, "once: 'mean' is not known"),
        ({"recipes": ["mean"], "base": "din"}, "base: 'din' is not known"),
        ({"variants": {"x": {"rank": 4}}}, r"\[variants\] x: there is no recipe None"),
        ({"variants": {"x": 3}}, r"\[variants\] x: there is no recipe 3"),
        ({"variants": {"x": {"recipe": "dinn"}}}, r"no recipe 'dinn' \(did you mean 'din'\?\)"),
        ({"variants": {"din": {"recipe": "mean"}}}, r"\[variants\] din: a recipe has this name"),
        ({"variants": {"x": {"recipe": "din", "rnk": 4}}}, r"x: 'rnk' is not known \(did you mean 'rank'\?\)"),
        ({"variants": {"x": {"recipe": "din", "seed": 4}}}, "x: 'seed' is not known"),
        ({"variants": {"x": {"recipe": "din", "rank": 4}}}, "x: rank is no option of method 'din'"),
        ({"variants": {"x": {"recipe": "lrea-8", "rank": 0}}}, r"\[variants\] x \[model\]: rank is 0"),
        ({"shares": [0.5, 0.5]}, r"shares = \[0\.5, 0\.5\]"),
        ({"shares": [0]}, "shares, entry 1, is 0"),
        ({"dataset": [{"name": "a"}]}, "unknown key 'dataset'"),
        ({"compress": 4}, "compress is 4, not a table"),
        ({"compress": {"rank": [4]}}, r"unknown key 'rank' \(did you mean 'ranks'\?\)"),
        ({"compress": {"compressors": ["recnt"]}}, "did you mean 'recent'"),
        ({"compress": {"compressors": ["recent"], "ranks": [0]}}, r"ranks = \[0\]"),
        ({"compress": {"compressors": ["recent"]}}, r"ranks = \[\]"),
        ({"compress": {"ranks": [4]}}, "has no compressors"),
        ({"compress": {"ranks": [4], "recipes": ["mean"]}}, "'mean' is no din"),
        ({"compress": {"ranks": [4], "recipes": ["dinn"]}}, r"'dinn' is not known \(did you mean 'din'\?\)"),
    ],
)
def test_what_is_misspelled_or_impossible_is_refused(content: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(**content)
    assert "sweep.toml" in caught.value.message


def test_a_folder_is_read_in_the_order_of_numbers(tmp_path: Path) -> None:
    for name in ("lrea-8", "lrea-32", "lrea-128", "din"):
        (tmp_path / f"{name}.toml").write_text("[model]\nmethod = 'mean'\n")
    (tmp_path / SWEEP_FILE).write_text("title = 'T'\n")
    found = load_sweep(str(tmp_path))
    assert list(found.recipes) == ["din", "lrea-8", "lrea-32", "lrea-128"]
    assert (found.name, found.title) == (tmp_path.name, "T")


def test_variants_are_recipes_with_other_settings_and_stand_after_those_that_are_named() -> None:
    wide = {"recipe": "lrea-8", "rank": 64, "hidden": [16], "lr": 0.3}
    sweep = read(recipes=["mean", "din"], variants={"lrea-64": wide, "din-again": {"recipe": "din"}}, once=["lrea-64"])
    assert list(sweep.recipes) == ["mean", "din", "lrea-64", "din-again"]
    changed = {"model": {"rank": 64, "hidden": (16,)}, "train": {"lr": 0.3}}
    assert sweep.recipes["lrea-64"] == RECIPES["lrea-8"].with_values(changed)
    assert sweep.recipes["din-again"] == RECIPES["din"]
    assert [sweep.seeds_of(name) for name in ("din", "lrea-64")] == [SEEDS, SEEDS[:1]]
    assert set(sweep.search.points) == set(sweep.recipes)


def test_shares_are_of_variants_too_and_once_holds_for_every_share() -> None:
    sweep = read(recipes=["din"], variants={"lrea-64": {"recipe": "lrea-8", "rank": 64}}, shares=[0.5, 1], once=["din"])
    assert list(sweep.recipes) == ["din-share-0.5", "lrea-64-share-0.5", "din", "lrea-64"]
    assert sweep.recipes["lrea-64-share-0.5"].train.share == 0.5
    assert [len(sweep.seeds_of(name)) for name in sweep.recipes] == [1, 3, 1, 3]
    at_a_share = read(recipes=["din", "mean"], shares=[0.5, 1], once=["mean-share-0.5"])
    assert {name: len(at_a_share.seeds_of(name)) for name in at_a_share.recipes} == {
        "din-share-0.5": 3,
        "mean-share-0.5": 1,
        "din": 3,
        "mean": 3,
    }
    with pytest.raises(UserError, match=r"'mean-share-0.7' is not known \(did you mean 'mean-share-0.5'"):
        read(recipes=["mean"], shares=[0.5, 1], once=["mean-share-0.7"])


def test_the_recipes_of_another_folder_are_taken_with_how_they_were_chosen(tmp_path: Path) -> None:
    other, own = tmp_path / "other", tmp_path / "own"
    other.mkdir()
    own.mkdir()
    chosen = Chosen("methods", ("dev-still",), ("lr",), 3, 0.7)
    (other / "lrea.toml").write_text(as_toml(RECIPES["lrea-8"], chosen))
    (other / "din.toml").write_text("[model]\nmethod = 'din'\n")
    (own / "mean.toml").write_text("[model]\nmethod = 'mean'\n")
    written = own / SWEEP_FILE
    written.write_text(f"folder = '{other}'\nrecipes = ['mean']\n[variants]\nx = {{recipe = 'lrea', rank = 4}}\n")
    found = load_sweep(str(own))
    assert {name: recipe.model.method for name, recipe in found.recipes.items()} == {"mean": "mean", "x": "lrea"}
    assert found.recipes["x"].model.rank == 4
    assert found.chosen == {"x": chosen}
    written.write_text(f"folder = '{other}'\nshares = [0.5]\n")
    assert load_sweep(str(own)).chosen == {"lrea": chosen}
    (own / "din.toml").write_text("[model]\nmethod = 'din'\n")
    with pytest.raises(UserError, match="have a recipe 'din'"):
        load_sweep(str(own))


def test_a_folder_that_is_not_there_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no folder 'tabel3' \(did you mean 'table3'\?\)"):
        load_sweep("tabel3")
    with pytest.raises(UserError, match="There is no recipe in"):
        load_sweep(str(tmp_path))


@pytest.mark.parametrize("path", sorted(shipped_recipes().glob(f"*/{SWEEP_FILE}")), ids=lambda path: path.parent.name)
def test_every_shipped_sweep_loads(path: Path) -> None:
    sweep = load_sweep(path.parent.name)
    assert sweep.base in {*sweep.recipes, *(recipe for recipe, _ in sweep.curve.values())}


def test_table_2_has_every_method_with_the_settings_that_a_search_chose_for_it() -> None:
    found, chosen = load_sweep("table2"), load_sweep("chosen")
    assert {recipe.model.method for recipe in found.recipes.values()} == set(METHOD_NAMES)
    assert found.base == "din"
    assert {name: found.recipes[name] for name in chosen.recipes} == chosen.recipes
    assert set(found.chosen) == set(found.recipes)


PUBLISHED = {"table": "T", "least_users": 150, "auc": {"din": 0.8903}}


def test_a_source_changes_every_recipe_and_its_published_numbers_are_of_a_whole_log() -> None:
    of_source = {"data": {"short": 10, "long": 90}, "model": {"rank": 3}, "published": PUBLISHED}
    sweep = read(sources={"taobao": of_source})
    on = sweep.on("taobao", 150)
    assert all((recipe.data.short, recipe.data.long) == (10, 90) for recipe in on.recipes.values())
    assert on.recipes["lrea-8"].model.rank == 3
    assert on.published is not None
    assert on.published.auc == {"din": 0.8903}
    assert sweep.on("taobao", 149).published is None
    assert sweep.on("kuairand", 150) is sweep


@pytest.mark.parametrize(
    ("of_source", "message"),
    [
        ({"data": {"long": -1}}, r"\[sources.taobao\] \[data\]: long is -1"),
        ({"data": {"lnog": 9}}, r"unknown key 'lnog' \(did you mean 'long'\?\)"),
        ({"dtaa": {"long": 9}}, r"\[sources.taobao\] has a section 'dtaa'"),
        ({"long": 9}, r"\[sources.taobao\] is no table of sections"),
        ({"published": {**PUBLISHED, "auc": {"dni": 0.8}}}, r"there is no recipe 'dni' \(did you mean 'din'\?\)"),
        ({"published": {**PUBLISHED, "least_users": "x"}}, r"\[sources.taobao.published\]: least_users is 'x'"),
    ],
)
def test_what_is_wrong_with_a_source_is_named(of_source: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(sources={"taobao": of_source})


def test_the_numbers_of_the_paper_are_those_of_its_table() -> None:
    """Table 2: Amazon, Taobao. Its ETA and ours have DIN's scorer after the search."""
    table = """
        din       0.8101 0.8903
        din-short 0.7833 0.8535
        sim       0.7919 0.8667
        eta-din   0.7984 0.8651
        sdim      0.8013 0.8734
        twin      0.8015 0.8838
        lrea      0.8098 0.8904
    """
    rows = [line.split() for line in table.strip().splitlines()]
    published = {source: each.published for source, each in load_sweep("table2").sources.items()}
    assert set(published) == {"amazon-books", "taobao"}
    for position, source in enumerate(("amazon-books", "taobao"), 1):
        of_source = published[source]
        assert of_source is not None
        assert of_source.auc == {row[0]: float(row[position]) for row in rows}
        assert of_source.least_users >= 50_000


def test_amazon_has_the_behaviors_of_the_paper_and_ranks_that_fit() -> None:
    sweep = load_sweep("table2").on("amazon-books", 1)
    for recipe in sweep.recipes.values():
        assert (recipe.data.short, recipe.data.long) == (10, 90)
    assert sweep.recipes["lrea"].model.rank == 32
    for name in ("amazon-books-lrea", "amazon-books-din"):
        recipe = load_recipe(name)
        assert (recipe.data.dataset, recipe.data.short, recipe.data.long) == ("amazon-books", 10, 90)


def test_every_method_is_searched_with_as_many_configurations_on_worlds_of_development() -> None:
    found = load_sweep("methods")
    assert {recipe.model.method for recipe in found.recipes.values()} == set(METHOD_NAMES)
    assert {len(points) for points in found.search.points.values()} == {found.search.configurations}
    assert found.search.worlds
    for name, recipe in found.recipes.items():
        searched = {setting for point in found.search.points[name] for setting in point}
        foreign = foreign_options(recipe.model.method)
        assert {"lr", "initial_accumulator", "hidden"} <= searched
        assert not searched & foreign


def test_table_3_has_the_ranks_and_the_lambdas_of_the_paper_for_both_kinds_of_columns() -> None:
    found = load_sweep("table3")
    points = {(32, 0.3), (64, 0.3), (128, 0.05), (128, 0.1), (128, 0.3), (128, 0.5), (128, 0.8)}
    for columns, penalty in (("unit", "mean"), ("free", "sum")):
        models = [r.model for name, r in found.recipes.items() if name.startswith(columns)]
        assert {(m.method, m.decomp_columns, m.penalty) for m in models} == {("lrea", columns, penalty)}
        assert len(models) == len(points)
        assert {(m.rank, m.lam) for m in models} == points
    for name, recipe in found.recipes.items():
        lam = "" if recipe.model.lam == 0.3 else f"-lam-{100 * recipe.model.lam:03.0f}"
        assert name == f"{recipe.model.decomp_columns}-{recipe.model.rank}{lam}"


def test_the_dataset_is_the_named_one_or_that_of_the_recipes_or_the_latest(tiny: Workspace) -> None:
    assert dataset_of(read(), "synthetic", tiny).name == "synthetic"
    assert dataset_of(read(), None, tiny).name == "synthetic"
    named = Recipe.from_dict({"data": {"dataset": "taobao"}}, "x")
    with pytest.raises(UserError, match="no dataset 'taobao'"):
        dataset_of(read_sweep("x", {"x": named}, {}, "x"), None, tiny)
    other = Recipe.from_dict({"data": {"dataset": "synthetic"}}, "y")
    both = read_sweep("x", {"x": named, "y": other}, {}, "x")
    with pytest.raises(UserError, match="name different datasets: synthetic, taobao"):
        dataset_of(both, None, tiny)
    assert dataset_of(both, "synthetic", tiny).name == "synthetic"
