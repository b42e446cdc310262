"""Who takes part in a trade-off: recipes with the runs of all seeds, whole caches made in the right way, mistakes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from lrea_cli.bench.contenders import (
    Contender,
    _phrase,
    chosen_methods,
    compressions,
    find_whole_cache,
    trained_recipes,
    training,
)
from lrea_cli.console.progress import Silent
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.errors import UserError
from lrea_cli.recipe.settings import COMPRESSOR_NAMES, METHOD_NAMES, CacheDtype, Compression
from lrea_cli.records.cache import CacheSettings, compress, open_cache
from lrea_cli.runs.checkpoint import Run, open_run
from lrea_cli.workspace.home import Workspace
from lrea_cli.workspace.sealed import read_json, write_json
from tests.changed import change_json

CPU = torch.device("cpu")
CLUSTERS = Compression("clusters", 16)


def test_all_and_named_methods() -> None:
    assert chosen_methods("all") == METHOD_NAMES
    assert chosen_methods("din, lrea,din-short") == ("din-short", "lrea", "din")


@pytest.mark.parametrize(
    ("text", "words"), [("lrea,tvin", "--methods is 'tvin' (did you mean 'twin'?)"), ("all,din", "'all'"), ("", "''")]
)
def test_an_unknown_method_is_the_users_mistake(text: str, words: str) -> None:
    with pytest.raises(UserError) as error:
        chosen_methods(text)
    assert words in error.value.message
    assert all(name in error.value.remedy for name in METHOD_NAMES)


def test_only_din_is_compressed() -> None:
    assert [list(compressions(m)) for m in METHOD_NAMES if m != "din"] == [[None]] * (len(METHOD_NAMES) - 1)
    own, *made = compressions("din")
    assert own is None
    assert tuple(c.compressor for c in made if c) == COMPRESSOR_NAMES
    assert [c.rank for c in made if c] == [1 if c.compressor == "mean" else 16 for c in made if c]


def again(
    workspace: Workspace, name: str, copy: str, recipe: dict[str, dict[str, object]] | None = None, **changed: str
) -> None:
    """A copy of a run with another manifest.

    Args:
        recipe: settings that differ, by section.
    """
    folder = workspace.home / "runs" / copy
    shutil.copytree(workspace.home / "runs" / name, folder)
    manifest = read_json(folder / "run.json", "")
    for section, values in (recipe or {}).items():
        manifest["recipe"][section].update(values)
    write_json(folder / "run.json", {**manifest, **changed})


def found_in(workspace: Workspace, *methods: str) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(t.method, t.difference, t.runs) for t in trained_recipes(workspace, workspace.open(DATASETS), methods)]


def test_a_recipe_has_its_latest_run_on_this_version_of_the_dataset(workspace_copy: Workspace) -> None:
    again(workspace_copy, "tiny-din", "a-later", created="2999")
    again(workspace_copy, "tiny-din", "z-earlier", created="1999")
    again(workspace_copy, "tiny-lrea", "z-other", created="3000", made_from="another version")
    again(workspace_copy, "tiny-lrea", "z-twin", method="twin", made_from="another version")
    found = found_in(workspace_copy, "lrea", "twin", "din")
    assert found == [("lrea", "", ("tiny-lrea",)), ("din", "", ("a-later",))]
    assert found_in(workspace_copy, "din") == found[1:]


def test_runs_that_differ_in_the_seed_alone_are_one_recipe(workspace_copy: Workspace) -> None:
    """The latest run first; of every other seed the latest one, and none of another [train]."""
    home = workspace_copy
    again(home, "tiny-din", "seed-1", {"train": {"seed": 1}}, created="3001")
    again(home, "tiny-din", "seed-2", {"train": {"seed": 2}}, created="3002")
    again(home, "tiny-din", "seed-1-old", {"train": {"seed": 1}}, created="3000")
    again(home, "tiny-din", "slow", {"train": {"seed": 3, "lr": 0.001}}, created="2999")
    assert found_in(home, "din") == [("din", "", ("seed-2", "seed-1", "tiny-din"))]
    again(home, "tiny-din", "slower", {"train": {"seed": 3, "lr": 0.0001}}, created="3003")
    assert found_in(home, "din") == [("din", "", ("slower",))]


def test_runs_of_all_users_come_before_later_ones_of_a_share(workspace_copy: Workspace) -> None:
    """As in the home of a sweep with a learning curve."""
    home = workspace_copy
    again(home, "tiny-din", "seed-1", {"train": {"seed": 1}}, created="2000")
    again(home, "tiny-din", "a-tenth", {"train": {"seed": 1, "share": 0.1}}, created="3001")
    again(home, "tiny-din", "half", {"train": {"share": 0.5}}, created="3002")
    assert found_in(home, "din") == [("din", "", ("tiny-din", "seed-1"))]


def test_recipes_of_one_method_are_told_apart_by_what_is_not_the_default(workspace_copy: Workspace) -> None:
    home = workspace_copy
    again(home, "tiny-din", "own", {"model": {"target_attention": "din"}})
    again(home, "tiny-lrea", "wide", {"model": {"rank": 12, "form": "absorbed"}})
    again(home, "tiny-lrea", "counted", {"data": {"match_counters": []}, "model": {"lam": 0.5}})
    assert found_in(home, "din", "lrea") == [
        ("din", "", ("tiny-din",)),
        ("din", "din attention", ("own",)),
        ("lrea", "no match counters, rank 6, lam 0.5", ("counted",)),
        ("lrea", "rank 12, absorbed form", ("wide",)),
        ("lrea", "rank 6", ("tiny-lrea",)),
    ]


def test_settings_are_named_in_words() -> None:
    assert _phrase("target_attention", "din") == "din attention"
    assert _phrase("search", "soft") == "soft search"
    assert _phrase("hidden", (128, 64)) == "hidden 128-64"
    assert _phrase("embedding_dim", 8) == "embedding dim 8"


def test_without_any_run_the_command_that_trains_one_is_named(tiny: Workspace) -> None:
    with pytest.raises(UserError, match=r"'synthetic' has no run of sim, twin") as error:
        trained_recipes(tiny, tiny.open(DATASETS), ("sim", "twin"))
    assert training("twin", "synthetic") == "lrea train --method twin --dataset synthetic"
    assert training("twin", "synthetic") in error.value.remedy


def make(
    workspace: Workspace,
    run: Run,
    name: str,
    compression: Compression | None = None,
    dtype: CacheDtype = "float32",
    users: np.ndarray | None = None,
    age: int = 0,
) -> None:
    compress(
        workspace,
        run,
        CacheSettings(dtype, as_of=run.dataset.manifest.splits.end - age, users=users, compression=compression),
        Silent(),
        name,
    )


def test_only_a_whole_cache_made_in_this_way_is_found(din_run: Run, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    make(workspace, din_run, "some", users=np.arange(149))
    make(workspace, din_run, "old", age=1)
    make(workspace, din_run, "half", dtype="float16")
    make(workspace, din_run, "rank", Compression("clusters", 15))
    make(workspace, din_run, "seed", Compression("clusters", 16, 7))
    make(workspace, din_run, "recent", Compression("recent", 16))
    assert find_whole_cache(workspace, din_run, None) is None
    assert find_whole_cache(workspace, din_run, CLUSTERS) is None
    for name in ("z", "a"):
        make(workspace, din_run, name)
        make(workspace, din_run, f"{name}-clusters", CLUSTERS)
        assert find_whole_cache(workspace, din_run, None) == name
        assert find_whole_cache(workspace, din_run, CLUSTERS) == f"{name}-clusters"
    assert find_whole_cache(workspace, din_run, Compression("recent", 16)) == "recent"


def test_a_cache_of_another_version_of_the_run_is_not_found(workspace_copy: Workspace) -> None:
    run = open_run(workspace_copy, "tiny-lrea", None, CPU)
    make(workspace_copy, run, "cache")
    assert find_whole_cache(workspace_copy, run, None) == "cache"
    change_json(workspace_copy.home / "runs" / "tiny-lrea" / "run.json", note="trained anew")
    assert find_whole_cache(workspace_copy, open_run(workspace_copy, "tiny-lrea", None, CPU), None) is None


def test_contenders_have_names(din_run: Run, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    make(workspace, din_run, "own")
    make(workspace, din_run, "clusters", CLUSTERS)
    make(workspace, din_run, "mean", Compression("mean", 1))
    own, clusters, mean = (open_cache(workspace, din_run, name) for name in ("own", "clusters", "mean"))
    found = [Contender(din_run, c) for c in (own, clusters, mean)] + [Contender(din_run, own, "full")]
    assert [c.name for c in found] == ["din", "din, clusters 16", "din, mean", "full attention"]
    other = [Contender(din_run, c, difference="rank 9") for c in (own, clusters)]
    assert [c.name for c in other] == ["din (rank 9)", "din (rank 9), clusters 16"]
    assert Contender(din_run, own, "full", "rank 9").name == "full attention (rank 9)"
