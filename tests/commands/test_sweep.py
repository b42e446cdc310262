"""`lrea sweep` as a user types it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from lrea_cli.recipe.recipe import Recipe, load_recipe
from lrea_cli.sweep import settings
from lrea_cli.workspace.sealed import read_json
from tests.commands.test_chain import home, lrea, result
from tests.fixtures.exposures_raw import write_exposures
from tests.fixtures.taobao_raw import write_taobao
from tests.sweep.conftest import pool

__all__ = ["home", "pool"]

RECIPE = "[data]\nshort = 5\nlong = 20\n[model]\nmethod = '{}'\nhidden = [8]\n[train]\nepochs = 1\nbatch_size = 64\n"


@pytest.fixture
def folder(home: Path) -> Path:
    """Two recipes, no sweep.toml."""
    made = home.parent / "two"
    made.mkdir()
    for method in ("mean", "din"):
        (made / f"{method}.toml").write_text(RECIPE.format(method))
    return made


def test_a_plain_folder_on_a_prepared_dataset(home, folder, pool, capsys):
    lrea(capsys, "prepare", "synthetic", "--users", 60)
    where = home.parent / "docs" / "found.md"
    arguments = ["sweep", folder, "--dataset", "synthetic", "--seeds", 2]
    found = result(capsys, *arguments, "--page", where)
    assert len(pool.names) == 8
    assert {s["recipe"]: s["seeds"] for s in found["scored"]} == {"din": [1, 2], "mean": [1, 2]}
    assert (home / "sweeps" / "two-synthetic" / "data" / "synthetic").is_symlink()
    written = read_json(where.parent / "found" / "two.json", "")
    assert written == found
    assert "[found/two.json](found/two.json)" in where.read_text()
    assert f"lrea sweep {folder} --dataset synthetic --seeds 2 --page" in where.read_text()
    shown = lrea(capsys, *arguments).out
    assert len(pool.names) == 8
    assert re.search(r"mean +0\.\d{4} +0\.\d{4} .*~? ?[+-]0\.\d{4}", shown)


@pytest.mark.slow
def test_a_recipe_that_a_dataset_does_not_suit_is_one_line_and_ends_with_0(home, folder, pool, capsys):
    write_exposures(home.parent / "exposures.tsv", users=60)
    columns = ["--user-column", "user_id", "--item-column", "video_id", "--time-column", "time_ms", "--time-unit", "ms"]
    lrea(capsys, "prepare", "table", "--raw", home.parent / "exposures.tsv", *columns, "--label-column", "is_click")
    (folder / "sim.toml").write_text(RECIPE.format("sim"))
    (folder / "sweep.toml").write_text("search = {points = [{lr = 0.1}, {lr = 0.2}]}\n")
    shown = lrea(capsys, "sweep", folder, "--seeds", 2)
    assert shown.out.count("sim is left out on table: sim searches by category") == 1
    assert "FAILED" not in shown.out
    assert not any("sim" in name for name in pool.names)
    assert re.search(r"mean +0\.\d{4}", shown.out)
    for method in ("mean", "din"):
        (folder / f"{method}.toml").unlink()
    assert "No recipe can run: sim on table: sim searches" in lrea(capsys, "sweep", folder, code=2).err


def test_a_failed_job_ends_with_1_after_the_table(home, folder, pool, capsys):
    lrea(capsys, "prepare", "synthetic", "--users", 60)

    def fail(name: str) -> None:
        if "mean" in name:
            raise KeyError("x")

    pool.before = fail
    shown = lrea(capsys, "sweep", folder, "--seeds", 1, code=1)
    assert "1 job failed, first synthetic-mean-seed1: KeyError: 'x'" in shown.err
    assert f"Try them again with: lrea sweep {folder} --seeds 1" in shown.err
    assert re.search(r"din +0\.\d{4}", shown.out)
    assert list((home / "sweeps" / "two-synthetic" / "runs").glob("synthetic-din-*"))


def test_ctrl_c_says_how_to_go_on(home, folder, pool, capsys):
    lrea(capsys, "prepare", "synthetic", "--users", 60)

    def stop(name: str) -> None:
        raise KeyboardInterrupt

    pool.before = stop
    shown = lrea(capsys, "sweep", folder, code=130)
    assert f"Stopped by Ctrl-C: what is finished is kept, go on with: lrea sweep {folder}\n" in shown.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tabel3"], "did you mean 'table3'"),
        (["table3", "--dataset", "none"], "There is no dataset"),
        (["table3", "--seeds", "0"], "--seeds is 0"),
    ],
)
def test_mistakes_end_with_2(home, capsys, arguments, words):
    assert words in lrea(capsys, "sweep", *arguments, code=2).err


@pytest.mark.slow
@pytest.mark.parametrize(("name", "recipes", "trainings"), [("table2", 15, 15), ("table3", 14, 14)])
def test_a_table_of_the_paper_is_one_line_and_goes_on(home, pool, capsys, monkeypatch, name, recipes, trainings):
    write_taobao(home.parent / "UserBehavior.csv")
    lrea(capsys, "prepare", "taobao")
    monkeypatch.setattr(settings, "load_recipe", small_recipe)
    arguments = ["sweep", name, "--dataset", "taobao", "--seeds", 1]

    def stop(job: str) -> None:
        if len(pool.names) == 5:
            raise KeyboardInterrupt

    pool.before = stop
    lrea(capsys, *arguments, code=130)
    pool.before, pool.names = lambda name: None, []
    found = result(capsys, *arguments)
    assert len(pool.names) == trainings - 4 + recipes + len(found["compressed"])
    assert len(found["scored"]) == recipes
    assert len(found["tried"]) == trainings
    assert all(t["valid_auc"] is not None and t["seed"] == 1 for t in found["tried"])
    assert all(t["point"] == {} for t in found["tried"])
    assert (found["failed"], found["left_out"]) == ({}, [])


def small_recipe(path: str) -> Recipe:
    """A shipped recipe with a small model and one epoch, and a long part that holds every rank of table3."""
    recipe = load_recipe(path)
    model = replace(recipe.model, rank=max(1, recipe.model.rank // 8), k=8, embedding_dim=4, hidden=(8,))
    train = replace(recipe.train, epochs=1, batch_size=64)
    return Recipe(replace(recipe.data, short=5, long=128), model, train)
