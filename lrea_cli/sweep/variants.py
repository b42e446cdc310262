"""Variants: recipes of a sweep that differ from another one of it in a few settings, and need no file of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lrea_cli.errors import UserError, nearest
from lrea_cli.recipe.recipe import Recipe, require_own_options
from lrea_cli.sweep.space import SECTION_OF, Point


@dataclass(frozen=True)
class Variant:
    """A recipe with other settings: `lrea-32 = {recipe = "lrea", rank = 32}` in [variants]."""

    recipe: str
    point: Point


def read_variants(content: Mapping[str, Any], recipes: Mapping[str, Recipe], origin: str) -> dict[str, Variant]:
    """The variants of [variants].

    Raises:
        UserError: a variant of no recipe, or with a setting that its method has not.
    """
    found = {}
    for name, values in content.items():
        where = f"{origin} {name}"
        if not isinstance(values, Mapping) or values.get("recipe") not in recipes:
            of = values.get("recipe") if isinstance(values, Mapping) else values
            raise UserError(f"{where}: there is no recipe {of!r}{nearest(str(of), recipes)}.", _known(recipes))
        if name in recipes:
            raise UserError(f"{where}: a recipe has this name, too.", "Give the variant another name.")
        point = {setting: value for setting, value in values.items() if setting != "recipe"}
        for setting in point:
            if setting not in SECTION_OF:
                raise UserError(f"{where}: '{setting}' is not known{nearest(setting, SECTION_OF)}.", _known(SECTION_OF))
        require_own_options(recipes[values["recipe"]].model.method, point, where)
        found[name] = Variant(values["recipe"], point)
    return found


def with_point(recipe: Recipe, point: Point, origin: str) -> Recipe:
    """The recipe with the point's settings; where one has an impossible value, the UserError names `origin`."""
    content = recipe.to_dict()
    for setting, value in point.items():
        content[SECTION_OF[setting]] = {**content[SECTION_OF[setting]], setting: value}
    return Recipe.from_dict(content, origin)


def _known(names: Mapping[str, Any]) -> str:
    return f"Known: {', '.join(names)}"
