"""[chosen] of a recipe file: the search that chose its settings, and the worlds on which it did.

A recipe is the same with and without it: no training depends on how its settings were found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lrea_cli.errors import UserError
from lrea_cli.recipe.recipe import CHOSEN, Recipe, load_recipe, read_toml, shipped_recipes
from lrea_cli.recipe.values import read_section


@dataclass(frozen=True)
class Chosen:
    """How the settings of a recipe were chosen.

    Args:
        search: the folder of recipes whose `sweep.toml` names worlds and space.
        worlds: on whose validation rows the points were compared.
        settings: those that were searched, whether the chosen value is the default or not.
        configurations: points that were tried.
        valid_auc: of the chosen one, mean over the worlds of the last rung.
    """

    search: str
    worlds: tuple[str, ...]
    settings: tuple[str, ...]
    configurations: int
    valid_auc: float


def read_chosen(path: Path) -> Chosen | None:
    """[chosen] of a recipe file; None where it has none; a UserError names what is wrong with it."""
    content = read_toml(path).get(CHOSEN)
    if content is None:
        return None
    origin = f"{path} [{CHOSEN}]"
    if not isinstance(content, Mapping):
        raise UserError(f"{origin} is no section.", "Leave it as `lrea search` wrote it.")
    if missing := [key for key in Chosen.__dataclass_fields__ if key not in content]:
        raise UserError(f"{origin} has no {missing[0]}.", "Leave it as `lrea search` wrote it.")
    return read_section(Chosen, content, origin)


def default_recipe(method: str) -> Recipe:
    """What a training starts from without a recipe: the defaults, with the model that a search chose for the method.

    It stands in `recipes/chosen`, in the file of the method's name, else in the first one of that method. How it was
    trained there is left out: the rates of generated logs left full attention at .55 on a real one (docs/log.md).
    """
    folder = shipped_recipes() / CHOSEN
    paths = sorted(folder.glob("*.toml"), key=lambda path: (path.stem != method, path.stem))
    for path in paths:
        recipe, how = load_recipe(str(path)), read_chosen(path)
        if recipe.model.method == method and how is not None:
            found = {key: value for key, value in vars(recipe.model).items() if key in how.settings}
            return Recipe().with_values({"model": {**found, "method": method}})
    return Recipe().with_values({"model": {"method": method}})


def as_toml(recipe: Recipe, chosen: Chosen) -> str:
    """A recipe file: the settings that were searched, and those that are not at their default."""
    worlds = ", ".join(chosen.worlds)
    parts = [
        f"# Chosen by `lrea search {chosen.search}` among {chosen.configurations} configurations, by validation AUC on "
        f"{worlds}.\n# That command wrote this file."
    ]
    plain = Recipe().to_dict()
    for name, section in recipe.to_dict().items():
        kept = {k: v for k, v in section.items() if v is not None and (v != plain[name][k] or k in chosen.settings)}
        kept |= {"method": recipe.model.method} if name == "model" else {}
        if kept:
            parts.append(_section(name, kept))
    return "\n\n".join([*parts, _section(CHOSEN, asdict(chosen))]) + "\n"


def _section(name: str, values: Mapping[str, Any]) -> str:
    """Numbers, texts, true, false and lists of them are written in TOML as in JSON."""
    return "\n".join([f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())])
