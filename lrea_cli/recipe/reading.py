"""Recipe files: TOML, by path or by the name of one that comes with lrea, and the manifest of a run."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import lrea_cli
from lrea_cli.errors import UserError, nearest
from lrea_cli.recipe.method_options import require_own_options
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.recipe.settings import ModelSettings
from lrea_cli.workspace.sealed import read_json

MOST_BYTES = 100_000
"""Of a file of settings; some texts take their parser a time that grows with the square of their length."""

RUN_FILE = "run.json"
"""The manifest of a run, which holds the recipe that it was trained by."""

SWEEP_FILE = "sweep.toml"
"""Lies among the recipes of a folder and is none: see `sweep.reading`."""


def load_recipe(name: str | None, *, every_method: bool = False) -> Recipe:
    """Load a recipe from a path, or by the name of one that comes with lrea, or that of a run; None = all defaults.

    Args:
        every_method: it is read for all methods, so that it may have the options of any.

    Raises:
        UserError: no such file, not TOML, a key that is not known, or an option that the recipe's method has not.
    """
    if name is None:
        return Recipe()
    path = _find(name)
    if path.name == RUN_FILE:
        return _recipe_of_run(path)
    content = read_toml(path)
    recipe = Recipe.from_dict(content, str(path))
    if not every_method:
        plain = ModelSettings()
        changed = [key for key in content.get("model", {}) if getattr(recipe.model, key) != getattr(plain, key)]
        require_own_options(recipe.model.method, changed, str(path))
    return recipe


def _recipe_of_run(path: Path) -> Recipe:
    """The recipe in the manifest of a run; it may have options of other methods, as recipes of a sweep do."""
    content = read_json(path, "Name another recipe.").get("recipe")
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no recipe: it is not the manifest of a run.", "Name another recipe.")
    return Recipe.from_dict(content, str(path))


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        UserError: it is not TOML, or larger or deeper than any recipe.
    """
    if path.stat().st_size > MOST_BYTES:
        raise UserError(f"{path} is no recipe: it has more than {MOST_BYTES:,} bytes.", "Name a recipe.")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error
    except (RecursionError, ValueError) as error:  # brackets in brackets; a number of thousands of digits
        raise UserError(f"{path} is no recipe: {type(error).__name__}: {error}") from error


def shipped_recipes() -> Path:
    """The folder of recipes that come with lrea: inside the installed package, or beside it in a checkout."""
    package = Path(lrea_cli.__file__).parent
    installed = package / "recipes"
    return installed if installed.exists() else package.parent / "recipes"


def shipped_names() -> list[str]:
    """The names of the recipes that come with lrea, such as `taobao-lrea` and `table2/din`."""
    folder = shipped_recipes()
    return sorted(
        str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.toml") if path.name != SWEEP_FILE
    )


def _find(name: str) -> Path:
    for path in (Path(name), shipped_recipes() / f"{name.removesuffix('.toml')}.toml"):
        if path.is_file():
            return path
    known = shipped_names()
    raise UserError(
        f"There is no recipe '{name}'{nearest(name, known)}.",
        f"Give a path, or one of: {', '.join(known)}",
    )
