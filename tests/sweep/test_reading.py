"""A folder of recipes and its sweep.toml: what is misspelled or cannot be done is refused before any work starts."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from lrea_cli.errors import UserError
from lrea_cli.recipe.reading import SWEEP_FILE, load_recipe, shipped_recipes
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.recipe.settings import METHOD_NAMES, DataSettings, ModelSettings, TrainSettings
from lrea_cli.sweep.datasets import check_sources, with_dataset
from lrea_cli.sweep.quick import quick
from lrea_cli.sweep.reading import load_sweep, read_sweep
from lrea_cli.sweep.settings import SEEDS, Compress, DatasetPlan, Published, Sweep, point_recipe
from lrea_cli.workspace.home import Workspace

NAMES = ("din", "lrea-8", "lrea-32", "mean")
RECIPES = {name: Recipe.from_dict({"model": {"method": name.partition("-")[0], "rank": 8}}, name) for name in NAMES}
SYNTHETIC = {"name": "a", "source": "synthetic"}


def read(**content: Any) -> Sweep:
    return read_sweep("folder", RECIPES, content, "sweep.toml")


def test_everything_is_read() -> None:
    compress = {"compressors": ["recent"], "ranks": [4, 16], "seeds": [1]}
    plan = {**SYNTHETIC, "options": {"users": 70}, "seeds": [1, 5], "recipes": ["din", "lrea-*"], "compress": compress}
    found = read(title="T", base="mean", search={"lr": [0.1, 1], "batch_size": [64, 32]}, dataset=[plan])
    assert (found.name, found.title, found.base) == ("folder", "T", "mean")
    assert found.search == ({"lr": 0.1, "batch_size": 64}, {"lr": 1.0, "batch_size": 32})
    kept = Compress(("din",), ("recent",), (4, 16), (1,))
    recipes = ("din", "lrea-*")
    assert found.datasets == (DatasetPlan("a", "synthetic", {"users": 70}, {}, (1, 5), recipes, kept),)
    assert found.names_of(recipes) == ("din", "lrea-8", "lrea-32")
    check_sources(found)


def test_compress_is_of_every_dataset_without_its_own(tiny: Workspace) -> None:
    plans = [SYNTHETIC, {**SYNTHETIC, "name": "b", "compress": {"compressors": ["mean"], "ranks": [1]}}]
    found = read(compress={"compressors": ["recent"], "ranks": [4]}, dataset=plans)
    assert [plan.compress for plan in found.datasets] == [
        Compress(compressors=("recent",), ranks=(4,)),
        Compress(compressors=("mean",), ranks=(1,)),
    ]
    assert with_dataset(found, "synthetic", tiny).datasets == (DatasetPlan("synthetic", compress=found.compress),)


def test_published_numbers_are_read_by_source_and_recipe() -> None:
    paper = {"taobao": {"table": "Table 2", "least_users": 9, "auc": {"din": 0.8903, "mean": 1}}}
    assert read(paper=paper).paper == {"taobao": Published("Table 2", 9, {"din": 0.8903, "mean": 1.0})}
    assert read().paper == {}


def test_recipes_change_on_datasets_of_a_source_alone() -> None:
    changes = {"taobao": {"data": {"long": 90}, "model": {"rank": 4}}}
    found = read(source=changes)
    own = found.recipes["lrea-8"]
    changed = found.recipe_on("taobao", "lrea-8")
    assert found.recipe_on("synthetic", "lrea-8") == own
    assert changed == replace(own, data=replace(own.data, long=90), model=replace(own.model, rank=4))
    assert quick(found).recipe_on("taobao", "lrea-8") == quick(found).recipes["lrea-8"]


def test_amazon_has_the_behaviors_of_the_paper_and_ranks_that_fit() -> None:
    sweep = load_sweep("table2")
    for name in sweep.recipes:
        found = sweep.recipe_on("amazon-books", name)
        assert (found.data.short, found.data.long) == (10, 90)
    assert sweep.recipe_on("amazon-books", "lrea").model.rank == 32
    for name in ("amazon-books-lrea", "amazon-books-din"):
        recipe = load_recipe(name)
        assert (recipe.data.dataset, recipe.data.short, recipe.data.long) == ("amazon-books", 10, 90)


def test_without_a_sweep_toml_recipes_run_as_they_are() -> None:
    found = read()
    assert (found.title, found.base, found.search, found.datasets) == ("folder", "din", ({},), ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"serch": {}}, r"unknown key 'serch' \(did you mean 'search'\?\)"),
        ({"base": "dinn"}, r"'dinn' is not known \(did you mean 'din'\?\)"),
        ({"title": 3}, "title is 3, not a text"),
        ({"search": {"lrr": [0.1]}}, r"\[search\]: unknown key 'lrr' \(did you mean 'lr'\?\)"),
        ({"search": {"seed": [1]}}, "unknown key 'seed'"),
        ({"search": {"lr": 0.1}}, r"lr is 0\.1, not a list"),
        ({"search": {"lr": ["x"]}}, "lr, entry 1, is 'x', not a number"),
        ({"search": {"lr": []}}, r"\[search\]: the lists have"),
        ({"search": {"lr": [0.1, 0.2], "epochs": [1]}}, "the lists have"),
        ({"search": {"lr": [0.1, 0.1]}}, "two points have the same lr"),
        ({"search": {"epochs": [1, 2]}}, "two points have the same lr"),
        ({"search": {"lr": [-1]}}, r"recipe din \[train\]: lr is -1\.0"),
        ({"search": 3}, r"\[search\] is no section"),
        ({"dataset": {"name": "a"}}, r"\[dataset\] stands alone"),
        ({"dataset": [3]}, "3 is no table"),
        ({"dataset": [{}]}, "has no name"),
        ({"dataset": [SYNTHETIC, SYNTHETIC]}, "2 runs would be named 'a-din'"),
        ({"dataset": [{**SYNTHETIC, "sedes": [1]}]}, r"unknown key 'sedes' \(did you mean 'seeds'\?\)"),
        ({"dataset": [{**SYNTHETIC, "seeds": []}]}, "seeds = "),
        ({"dataset": [{**SYNTHETIC, "seeds": [1, 1]}]}, "seeds = "),
        ({"dataset": [{**SYNTHETIC, "recipes": ["lera-8"]}]}, r"matches 'lera-8' \(did you mean 'lrea-8'\?\)"),
        ({"dataset": [{**SYNTHETIC, "compress": {"rank": [4]}}]}, r"unknown key 'rank' \(did you mean 'ranks'\?\)"),
        ({"dataset": [{**SYNTHETIC, "compress": 4}]}, "compress = 4 is no table"),
        ({"dataset": [{**SYNTHETIC, "compress": {"compressors": ["recnt"]}}]}, "did you mean 'recent'"),
        ({"dataset": [{**SYNTHETIC, "compress": {"ranks": [0]}}]}, "ranks = "),
        ({"dataset": [{**SYNTHETIC, "compress": {"ranks": [4], "recipes": ["mean"]}}]}, "'mean' is no din"),
        ({"dataset": [{**SYNTHETIC, "compress": {"ranks": [4], "seeds": [9]}}]}, "'9' is not known"),
        ({"compress": 4}, r"\[compress\] = 4 is no table"),
        ({"compress": {"ranks": [4], "recipes": ["mean"]}}, "'mean' is no din"),
        ({"paper": 3}, "paper = 3 is no section"),
        ({"paper": {"taobao": 3}}, r"\[paper\.taobao\]: 3 is no section"),
        ({"paper": {"taobao": {"acu": {}}}}, r"unknown key 'acu' \(did you mean 'auc'\?\)"),
        ({"paper": {"taobao": {"auc": {"din": "x"}}}}, "auc din is 'x', not a number"),
        ({"paper": {"taobao": {"auc": {"dinn": 0.8}}}}, r"'dinn' is not known \(did you mean 'din'\?\)"),
        ({"source": 3}, "source = 3 is no section"),
        ({"source": {"taobao": 3}}, r"\[source\.taobao\] = 3 has no sections"),
        ({"source": {"taobao": {"data": 3}}}, r"\[source\.taobao\] = .* has no sections"),
        ({"source": {"taobao": {"dta": {}}}}, r"unknown section \[dta\] \(did you mean 'data'\?\)"),
        ({"source": {"taobao": {"data": {"logn": 9}}}}, r"unknown key 'logn' \(did you mean 'long'\?\)"),
        (
            {"source": {"taobao": {"model": {"embedding_dim": 0}}}},
            r"\[source\.taobao\], recipe din \[model\]: embedding_dim is 0",
        ),
    ],
)
def test_what_is_misspelled_or_impossible_is_refused(content: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(**content)
    assert "sweep.toml" in caught.value.message


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"name": "a", "source": "syntetic"}, r"unknown source 'syntetic' \(did you mean 'synthetic'\?\)"),
        ({**SYNTHETIC, "options": {"user": 3}}, r"unknown key 'user' \(did you mean 'users'\?\)"),
        ({**SYNTHETIC, "options": {"users": "3"}}, "users is '3', not a whole number"),
        ({**SYNTHETIC, "options": {"preset": "drft"}}, r"'drft', which is not known \(did you mean 'drift'\?\)"),
        ({**SYNTHETIC, "options": {"users": 0}}, "--users is 0"),
        ({**SYNTHETIC, "prepare": {"train_day": 3}}, r"unknown key 'train_day' \(did you mean 'train_days'\?\)"),
        ({"name": "a", "source": "table", "options": {"item_field": [3]}}, "item_field, entry 1, is 3, not a text"),
    ],
)
def test_a_source_that_cannot_be_is_refused(plan: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_sources(read(dataset=[plan]))


@pytest.mark.parametrize("key", ["paper", "source"])
def test_a_section_for_a_source_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(UserError, match=r"unknown source 'taoabo' \(did you mean 'taobao'\?\)"):
        check_sources(read(**{key: {"taoabo": {}}}))


def test_a_folder_is_read_in_the_order_of_numbers(tmp_path: Path) -> None:
    for name in ("lrea-8", "lrea-32", "lrea-128", "din"):
        (tmp_path / f"{name}.toml").write_text("[model]\nmethod = 'mean'\n")
    (tmp_path / SWEEP_FILE).write_text("title = 'T'\n")
    found = load_sweep(str(tmp_path))
    assert list(found.recipes) == ["din", "lrea-8", "lrea-32", "lrea-128"]
    assert (found.name, found.title) == (tmp_path.name, "T")


def test_a_folder_that_is_not_there_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no folder 'rnak' \(did you mean 'rank'\?\)"):
        load_sweep("rnak")
    with pytest.raises(UserError, match="There is no recipe in"):
        load_sweep(str(tmp_path))


@pytest.mark.parametrize("path", sorted(shipped_recipes().glob(f"*/{SWEEP_FILE}")), ids=lambda path: path.parent.name)
def test_every_shipped_sweep_loads_and_shrinks(path: Path) -> None:
    found = load_sweep(path.parent.name)
    assert found.base in found.recipes
    for sweep in (found, quick(found)):
        check_sources(sweep)
        for recipe in sweep.recipes.values():
            for point in sweep.search:
                point_recipe(recipe, "any", 1, point)


def test_table_2_has_every_method_and_each_has_the_same_search_and_the_settings_of_all() -> None:
    found = load_sweep("table2")
    assert {recipe.model.method for recipe in found.recipes.values()} == set(METHOD_NAMES)
    assert ([plan.name for plan in found.datasets], found.base) == (["drift", "exchangeable", "exact-item"], "din")
    assert len(found.search) == 3
    assert all(point["initial_accumulator"] == pytest.approx(10 * point["lr"] ** 2) for point in found.search)
    own = {"method", "search", "target_attention", "form"}
    shared = DataSettings(match_counters=()), TrainSettings(epochs=4, patience=0)
    for name, recipe in found.recipes.items():
        assert name.startswith(recipe.model.method)
        changed = {key for key, value in recipe.to_dict()["model"].items() if value != asdict(ModelSettings())[key]}
        assert (recipe.data, recipe.train) == shared
        assert changed <= own
    assert found.recipes["sim"].model.search == "hard"
    assert found.recipes["sim-soft"].model.search == "soft"
    assert all(found.recipes[f"{name}-din"].model.target_attention == "din" for name in ("sim", "eta"))


def test_the_numbers_of_the_paper_are_those_of_its_table() -> None:
    """Table 2: Amazon, Taobao."""
    table = """
        din       0.8101 0.8903
        din-short 0.7833 0.8535
        sim       0.7919 0.8667
        eta       0.7984 0.8651
        sdim      0.8013 0.8734
        twin      0.8015 0.8838
        lrea      0.8098 0.8904
    """
    rows = [line.split() for line in table.strip().splitlines()]
    paper = load_sweep("table2").paper
    assert set(paper) == {"amazon-books", "taobao"}
    assert paper["amazon-books"].auc == {name: float(amazon) for name, amazon, _ in rows}
    assert paper["taobao"].auc == {name: float(taobao) for name, _, taobao in rows}
    assert all(published.table and published.least_users >= 50_000 for published in paper.values())


def test_table_3_has_the_ranks_and_the_lambdas_of_the_paper_for_both_kinds_of_columns() -> None:
    """Its numbers are of the paper's industrial log, so none is published for a dataset that anyone has."""
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
    assert found.paper == {}


def test_quick_is_small_and_keeps_ranks_apart() -> None:
    found = quick(load_sweep("rank"))
    assert all(plan.options["users"] <= 150 and len(plan.seeds) <= 2 for plan in found.datasets)
    assert all(recipe.train.epochs == 1 for recipe in found.recipes.values())
    assert len({recipe.model.rank for name, recipe in found.recipes.items() if name.startswith("lrea")}) == 3
    assert all(recipe.model.k < recipe.data.long for recipe in quick(load_sweep("table2")).recipes.values())


def test_seeds_from_the_command_line_count_from_one() -> None:
    plan = {**SYNTHETIC, "seeds": [7, 2], "compress": {"compressors": ["mean"], "ranks": [4], "seeds": [7, 2]}}
    found = read(dataset=[plan]).with_seeds(3).datasets[0]
    assert found.seeds == (1, 2, 3)
    assert found.compress is not None
    assert found.compress.seeds == (2,)


def test_the_dataset_is_the_named_one_or_that_of_the_recipes_or_the_latest(tiny: Workspace) -> None:
    expected = (DatasetPlan(name="synthetic", seeds=SEEDS),)
    assert with_dataset(read(dataset=[SYNTHETIC]), None, tiny).datasets[0].name == "a"
    assert with_dataset(read(dataset=[SYNTHETIC]), "synthetic", tiny).datasets == expected
    assert with_dataset(read(), None, tiny).datasets == expected
    named = Recipe.from_dict({"data": {"dataset": "taobao"}}, "x")
    with pytest.raises(UserError, match="no dataset 'taobao'"):
        with_dataset(read_sweep("x", {"x": named}, {}, "x"), None, tiny)
    other = Recipe.from_dict({"data": {"dataset": "synthetic"}}, "y")
    with pytest.raises(UserError, match="name different datasets: synthetic, taobao"):
        with_dataset(read_sweep("x", {"x": named, "y": other}, {}, "x"), None, tiny)
