"""An option that a method has not is refused; and the list of options is what the methods really read."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lrea_cli.cli import main
from lrea_cli.errors import UserError
from lrea_cli.recipe.recipe import METHOD_OPTIONS, Recipe, foreign_options, load_recipe
from lrea_cli.recipe.settings import METHOD_NAMES, ModelSettings
from tests.methods.test_contract import behaviors, build, candidates

BASE = {"rank": 5, "k": 3, "heads": 2, "m": 12, "tau": 3, "shared_rows": 4, "most_members": 2}
CHANGED: dict[str, Any] = {
    "rank": 4,
    "form": "absorbed",
    "decomp_columns": "free",
    "short_histories": "exact",
    "penalty": "sum",
    "start": 0.5,
    "k": 2,
    "search": "soft",
    "heads": 1,
    "target_attention": "din",
    "m": 6,
    "tau": 2,
    "most_members": 3,
    "shared_rows": 3,
    "half_life": 2,
    "layers": 2,
    "normalize": "tokens",
    "temperature": 0.5,
}
SHARED = {"method", "embedding_dim", "embedding_std", "hidden", "dropout"}


def signature(settings: ModelSettings) -> list[object]:
    """All that comes out of a method: its interests in both forms, its penalty and its bill."""
    method = build(settings)
    seen, asked = behaviors(), candidates()
    trained = method(seen, asked)
    with torch.no_grad():
        tensors = [trained.vectors, method.attend(method.summarize(seen), asked), *trained.penalty.values()]
    return [*(t.detach().flatten().tolist() for t in tensors), method.record, method.cost_of(9, 3)]


@pytest.mark.parametrize("method", METHOD_NAMES)
@pytest.mark.parametrize("option", CHANGED)
def test_an_option_is_a_methods_own_where_it_changes_what_comes_out(method: str, option: str) -> None:
    base = ModelSettings(method=method, **BASE)
    same = signature(base) == signature(replace(base, **{option: CHANGED[option]}))
    assert same == (option in foreign_options(method))


def test_every_setting_is_shared_or_somebodys_own() -> None:
    owned = {option for options in METHOD_OPTIONS.values() for option in options}
    # lam weighs the penalty: tests/runs/test_loop.py; step is the optimizer's: tests/runs/test_optimizer.py
    assert owned == {*CHANGED, "lam", "step"}
    assert owned | SHARED == {f.name for f in fields(ModelSettings)}
    assert not owned & SHARED
    assert set(METHOD_OPTIONS) <= set(METHOD_NAMES)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method", "din", "--rank", "64"], ["rank is no option of method 'din'; its own are: none", "lrea"]),
        (["--method", "din", "--rank", "128"], ["rank is no option of method 'din'"]),  # its default, but typed
        (["--method", "sdim", "--lam", "0.3"], ["lam is no option of method 'sdim'; its own are: m, tau"]),
        (["--method", "eta", "--search", "soft"], ["search is no option of method 'eta'", "sim"]),
        (["--search", "soft"], ["search is no option of method 'lrea'"]),
    ],
)
def test_a_flag_that_the_method_has_not_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: list[str],
) -> None:
    monkeypatch.setenv("LREA_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as stop:
        main(["train", *arguments])
    assert stop.value.code == 2
    shown = capsys.readouterr().err
    for word in words:
        assert word in shown


@pytest.mark.parametrize(("value", "refused"), [(64, True), (ModelSettings.rank, False)])
def test_a_key_that_the_recipes_method_has_not_is_refused_unless_it_says_the_default(
    tmp_path: Path, value: int, refused: bool
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"[model]\nmethod = 'din'\nrank = {value}\n", encoding="utf-8")
    if not refused:
        assert load_recipe(str(path)).model == ModelSettings(method="din")
        return
    with pytest.raises(UserError, match=r"mine.toml: rank is no option of method 'din'") as caught:
        load_recipe(str(path))
    assert caught.value.remedy == "Leave rank out, or choose a method that has it: sketch, lrea."


def test_another_method_than_the_recipes_leaves_its_options_out_and_they_are_named() -> None:
    recipe = load_recipe("kuairand")
    assert recipe.model.rank == 64
    found = recipe.with_flags({"model": {"method": "din", "rank": None}})
    assert found.model == replace(recipe.model, method="din", rank=ModelSettings.rank)
    assert recipe.options_left_by(found) == ["rank"]
    assert recipe.options_left_by(recipe) == []
    assert found.data == recipe.data


def test_an_old_run_opens_whatever_its_recipe_said_of_other_methods() -> None:
    content = {"model": {"method": "din", "rank": 64}}
    assert Recipe.from_dict(content, "run.json").model.rank == 64
