"""`lrea prepare world`, `lrea search`, a sweep of what was chosen, and a learning curve, as a user types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lrea_cli.recipe.chosen import read_chosen
from lrea_cli.recipe.recipe import load_recipe
from lrea_cli.recipe.worlds import World
from lrea_cli.workspace.sealed import read_json
from tests.commands.test_chain import home, lrea, result
from tests.sweep.conftest import pool

__all__ = ["home", "pool"]

RECIPE = """[data]
short = 5
long = 20
[model]
method = '{}'
hidden = [8]
embedding_dim = 4
[train]
epochs = 1
batch_size = 64
"""
SWEEP = """[search]
configurations = 3
worlds = ["small", "other"]
rungs = [{share = 0.5, keep = 2}, {}]
[search.space]
lr = {low = 0.02, high = 0.2, log = true}
[search.space.sim]
k = [4, 8]
"""


def small(name: str, role: str, users: int, seed: int) -> World:
    return World(name, role, "drift", "week", users, 0.9, 14.0, 0.4, seed)  # type: ignore[arg-type]


WORLDS = [small("small", "development", 60, 1), small("other", "development", 50, 2), small("shown", "table", 60, 3)]


@pytest.fixture(autouse=True)
def worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three small worlds in place of those that come with lrea."""
    monkeypatch.setattr("lrea_cli.recipe.worlds.read_worlds", lambda: {world.name: world for world in WORLDS})


@pytest.fixture
def folder(home: Path) -> Path:
    made = home.parent / "found"
    made.mkdir()
    for method in ("sim", "din"):
        (made / f"{method}.toml").write_text(RECIPE.format(method))
    (made / "sweep.toml").write_text(SWEEP)
    return made


def test_a_world_is_prepared_by_its_name_and_a_dataset_remembers_its_options(home, capsys):
    found = result(capsys, "prepare", "world", "small")
    assert (found["dataset"], found["users"], found["source"]) == ("small", 60, "synthetic")
    assert found["source_options"] == WORLDS[0].options
    assert "--seed 1" in " ".join(found["arguments"])
    assert "did you mean 'small'" in lrea(capsys, "prepare", "world", "smal", code=2).err


@pytest.mark.slow
def test_settings_are_chosen_on_worlds_and_a_table_is_of_another(home, folder, pool, capsys):
    to, page = home.parent / "chosen", home.parent / "docs" / "search.md"
    arguments = ["search", folder, "--chosen", to]
    assert "lrea prepare world small" in lrea(capsys, *arguments, code=2).err
    for world in WORLDS:
        lrea(capsys, "prepare", "world", world.name)
    assert "searched on the worlds small, other" in lrea(capsys, "sweep", folder, "--dataset", "shown", code=2).err
    found = result(capsys, *arguments, "--page", page)
    assert len(pool.names) == 2 * 2 * (3 + 2)
    assert sorted(path.name for path in to.iterdir()) == ["din.toml", "sim.toml"]
    for name in ("sim", "din"):
        how = read_chosen(to / f"{name}.toml")
        assert how is not None
        assert how.worlds == ("small", "other")
        assert how.configurations == 3
        (best,) = {str(t["point"]) for t in found["tried"] if t["recipe"] == name and t["chosen"]}
        recipe = load_recipe(str(to / f"{name}.toml"))
        assert best == "{}" or f"'lr': {recipe.train.lr}" in best
    assert read_json(page.parent / "search" / "search.json", "") == found
    assert f"lrea search {folder} --chosen {to} --page {page}" in page.read_text()
    pool.names.clear()
    lrea(capsys, *arguments)
    assert pool.names == []
    assert "chosen on the world 'small'" in lrea(capsys, "sweep", to, "--dataset", "small", code=2).err
    swept = result(capsys, "sweep", to, "--dataset", "shown", "--seeds", 1)
    assert set(swept["chosen"]) == {"din", "sim"}
    assert [t["point"] for t in swept["tried"]] == [{}, {}]


def test_a_search_without_worlds_is_refused(home, folder, capsys):
    (folder / "sweep.toml").write_text(SWEEP.replace('worlds = ["small", "other"]\n', ""))
    assert "names no worlds" in lrea(capsys, "search", folder, "--chosen", home.parent / "to", code=2).err


@pytest.mark.slow
def test_shares_make_a_learning_curve(home, folder, pool, capsys):
    lrea(capsys, "prepare", "world", "shown")
    (folder / "sweep.toml").write_text("shares = [1, 0.25]\n")
    page = home.parent / "docs" / "curve.md"
    found = result(capsys, "sweep", folder, "--seeds", 1, "--page", page)
    scored = {s["recipe"]: s for s in found["scored"]}
    assert list(scored) == [f"{n}{share}" for share in ("-share-0.25", "") for n in ("din", "sim")]
    rows = read_json(home / "data" / "shown" / "data.json", "")["samples"]["train"]
    for name, one in scored.items():
        share = float(name.partition("-share-")[2] or 1)
        assert (one["curve"], one["share"]) == (name.partition("-share-")[0], share)
        assert one["train_rows"]["values"] == [share * rows]
        if one["curve"] == "din":
            assert one["difference"] is None
        else:
            base = scored[name.replace("sim", "din")]
            expected = one["auc"]["mean"] - base["auc"]["mean"]
            assert one["difference"]["mean"] == pytest.approx(expected, abs=1e-12)
    text = page.read_text()
    assert f"| recipe; share: samples | 0.25: {rows // 4:,} | 1: {rows:,} |" in text
    assert f"| din | {scored['din-share-0.25']['auc_served']['mean']:.4f} |" in text
    assert "](curve/curve-shown.png)" in text
    assert (page.parent / "curve" / "curve-shown.png").read_bytes().startswith(b"\x89PNG")
