"""The search, rung by rung: the best go on, what is done is not done again, and the chosen recipes say where from."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from lrea_cli.console.progress import Silent
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.errors import LreaError, UserError
from lrea_cli.recipe.chosen import read_chosen
from lrea_cli.recipe.recipe import Recipe, load_recipe
from lrea_cli.recipe.worlds import find_world
from lrea_cli.reporting.search import search_page, search_rows
from lrea_cli.sweep import run, search
from lrea_cli.sweep.search_settings import Rung
from lrea_cli.sweep.searched import gather_search, write_recipes
from lrea_cli.sweep.settings import Sweep
from lrea_cli.workspace.home import Artifact, Workspace
from tests.changed import change_json
from tests.sweep.conftest import ABOUT, Inline, InlineSweep, make_dataset, make_sweep, run_of

POINTS = [{"lr": 0.05}, {"lr": 0.1}, {"lr": 0.2}, {"lr": 0.1, "dropout": 0.1}]
RUNGS = [{"share": 0.5, "keep": 2}, {}]


def halving(worlds: tuple[str, ...] = (), **settings: Any) -> Sweep:
    sweep = make_sweep({"mean": {"model": {"method": "mean"}}}, (1,), search={"points": POINTS, "rungs": RUNGS})
    return replace(sweep, search=replace(sweep.search, worlds=worlds, **settings))


def valid_auc(home: Path, name: str) -> float:
    return json.loads((home / "runs" / name / "run.json").read_text())["best_valid_auc"]


def test_all_points_run_on_a_share_and_the_best_of_them_on_all(tmp_path: Path, inline_sweep: InlineSweep) -> None:
    pool, home = Inline(), tmp_path / "home"
    finished = inline_sweep(halving(), home, pool)
    assert not finished.failures
    first = {run_of("mean", 1, **point, share=0.5): point for point in POINTS}
    assert pool.names[:4] == list(first)
    for name in first:
        recipe = json.loads((home / "runs" / name / "run.json").read_text())["recipe"]
        assert recipe["train"]["share"] == 0.5
    best = sorted(first, key=lambda name: -valid_auc(home, name))[:2]
    second = [run_of("mean", 1, **first[name]) for name in best]
    assert pool.names[4:6] == second
    chosen = max(second, key=lambda name: valid_auc(home, name))
    (cell,) = finished.cells
    assert cell.chosen == first[best[second.index(chosen)]]
    assert [job.name for job in cell.trained] == [chosen], "the first seed's run is that of the last rung"
    assert [trial.rung for trial in cell.tried] == [0] * 4 + [1] * 2
    again = Inline()
    inline_sweep(halving(), home, again)
    assert again.names == []


def test_a_point_whose_training_fails_is_dropped(tmp_path: Path, inline_sweep: InlineSweep) -> None:
    def fail(name: str) -> None:
        if name not in (run_of("mean", 1, lr=0.2, share=0.5), run_of("mean", 1, lr=0.2)):
            raise LreaError("The loss became nan.")

    finished = inline_sweep(halving(), tmp_path / "home", Inline(fail))
    (cell,) = finished.cells
    assert cell.chosen == {"lr": 0.2}
    assert [trial.point for trial in cell.tried if trial.rung == 1] == [{"lr": 0.2}]
    assert len(finished.failures) == 3


@pytest.fixture
def two(tmp_path: Path, dataset: Artifact) -> tuple[Artifact, Artifact]:
    """Two datasets of one home; the second has other users."""
    other = make_dataset(tmp_path / "main", 60)
    moved = tmp_path / "main" / "data" / "other"
    shutil.copytree(other.path, moved)
    change_json(moved / "data.json", dataset="other")
    shutil.copytree(dataset.path, tmp_path / "main" / "data" / "first")
    change_json(tmp_path / "main" / "data" / "first" / "data.json", dataset="first")
    main = Workspace(tmp_path / "main")
    return main.open(DATASETS, "first"), main.open(DATASETS, "other")


def test_a_search_on_worlds_takes_the_best_mean_and_writes_what_loads(
    tmp_path: Path, two: tuple[Artifact, Artifact], pool: Inline
) -> None:
    sweep, home = halving(worlds=("dev-still", "dev-large")), Workspace(tmp_path / "home")
    searched = run.run_search(sweep, two, home, 1, Silent())
    assert not searched.failures
    assert len(pool.names) == 2 * (4 + 2)
    means = {
        trial.number: fmean(valid_auc(home.home, job.name) for job in trial.jobs)
        for trial in searched.trials["mean"]
        if trial.rung == 1
    }
    results = gather_search(sweep, searched, ABOUT)
    best = POINTS[max(means, key=lambda number: means[number])]
    (path,) = write_recipes(sweep, results, searched, tmp_path / "chosen")
    written = load_recipe(str(path))
    before = sweep.recipes["mean"]
    expected = Recipe.from_dict(
        {
            **before.to_dict(),
            "model": {**before.to_dict()["model"], **{k: v for k, v in best.items() if k == "dropout"}},
            "train": {**before.to_dict()["train"], "lr": best["lr"]},
        },
        "x",
    )
    assert written == expected
    how = read_chosen(path)
    assert how is not None
    assert how.worlds == ("dev-still", "dev-large")
    assert (how.search, how.configurations, how.settings) == ("tiny-sweep", 4, ("dropout", "lr"))
    assert how.valid_auc == pytest.approx(max(means.values()), abs=1e-6)
    assert "# Chosen by `lrea search tiny-sweep`" in path.read_text()
    columns, (line,) = search_rows(results.tried)
    assert line[columns.index("valid AUC")] == f"{how.valid_auc:.4f}"
    assert line[columns.index("trainings")] == "12"
    page = search_page(results, "x/search.json")
    assert "| first | drift |" in page
    assert f"| {how.valid_auc:.4f} |" in page
    pool.names.clear()
    run.run_search(sweep, two, home, 1, Silent())
    assert pool.names == []


def test_a_rung_may_have_a_world_of_its_own(
    tmp_path: Path, two: tuple[Artifact, Artifact], pool: Inline, monkeypatch: pytest.MonkeyPatch
) -> None:
    world_of = {
        two[0].manifest.source_options["users"]: "dev-still",
        two[1].manifest.source_options["users"]: "dev-large",
    }
    monkeypatch.setattr(search, "world_of", lambda source, options: find_world(world_of[options["users"]]))
    rungs = (Rung(share=0.5, keep=2, worlds=("dev-still",)), Rung(worlds=("dev-large",)))
    sweep, home = halving(worlds=("dev-still", "dev-large"), rungs=rungs), Workspace(tmp_path / "home")
    searched = run.run_search(sweep, two, home, 1, Silent())
    assert [name.partition("-")[0] for name in pool.names] == ["first"] * 4 + ["other"] * 2
    results = gather_search(sweep, searched, ABOUT)
    assert [(one.dataset, one.rung) for one in results.tried] == [("first", 0)] * 4 + [("other", 1)] * 2
    last = {one.run: one.valid_auc for one in results.tried if one.rung == 1}
    assert results.chosen["mean"].valid_auc == pytest.approx(max(filter(None, last.values())), abs=1e-6)
    columns, (line,) = search_rows(results.tried)
    assert line[columns.index("valid AUC")] == f"{results.chosen['mean'].valid_auc:.4f}"
    plain = next((one.valid_auc for one in results.tried if one.rung == 1 and not one.point), None)
    assert line[columns.index("as in the recipe")] == ("-" if plain is None else f"{plain:.4f}")


def test_a_sweep_does_not_search_on_the_rows_of_its_table(tmp_path: Path, inline_sweep: InlineSweep) -> None:
    with pytest.raises(UserError, match="searched on the worlds dev-still") as caught:
        inline_sweep(halving(worlds=("dev-still",)), tmp_path / "home")
    assert "lrea search" in caught.value.remedy
