"""The points of a search: every recipe is tried with the same number of settings, drawn over its own space.

The draws are a Latin hypercube (McKay, Beckman and Conover, 1979): of n points each n-th part of every axis has one, so
a dozen points look at both ends of every setting.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints
from zlib import crc32

import numpy as np

from lrea_cli.errors import UserError, nearest
from lrea_cli.recipe.recipe import Recipe, require_own_options
from lrea_cli.recipe.settings import METHOD_NAMES, ModelSettings, TrainSettings
from lrea_cli.recipe.values import read_section

Point = Mapping[str, Any]
"""One point of a search: settings of [model] and [train] by name; empty = the recipe as it is."""

_TYPES = {"model": get_type_hints(ModelSettings), "train": get_type_hints(TrainSettings)}
SECTION_OF = {
    name: section for section, types in _TYPES.items() for name in types if name not in ("method", "seed", "share")
}
"""The section of every setting that can be searched."""

DIGITS = 3
"""Significant digits of a number that was drawn: what a page shows is what was trained."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, drawn evenly, or evenly in their logarithm.

    Args:
        unit: `lr^2` = the numbers are multiples of the point's squared learning rate.
    """

    low: float
    high: float
    log: bool = False
    unit: Literal["lr^2"] | None = None

    def at(self, share: float) -> float:
        """The number at this share (0 to 1) of the way."""
        if self.log:
            return self.low * (self.high / self.low) ** share
        return self.low + share * (self.high - self.low)


Axis = Range | tuple[Any, ...]
"""The values of one setting: a range, or a list of them."""
Space = Mapping[str, Axis]


def read_space(content: Mapping[str, Any], name: str, recipe: Recipe, origin: str) -> dict[str, Axis]:
    """The space of one recipe from [search.space].

    Args:
        content: settings of all recipes, and under the name of a method or recipe those of its own, which go first.
    """
    space: dict[str, Axis] = {}
    for key in (None, recipe.model.method, name):
        part = content if key is None else content.get(key, {})
        where = origin if key is None else f"{origin[:-1]}.{key}]"
        for setting, values in part.items():
            if key is None and setting not in SECTION_OF and isinstance(values, Mapping):
                continue
            space[setting] = _read_axis(setting, values, where)
        if key is not None:
            require_own_options(recipe.model.method, part, where)
    return space


def check_names(content: Mapping[str, Any], recipes: Mapping[str, Recipe], origin: str) -> None:
    """Raise a `UserError` for a table that is named as no setting, method or recipe."""
    known = [*SECTION_OF, *METHOD_NAMES, *recipes]
    for key in content:
        if key not in known:
            raise UserError(
                f"{origin}: '{key}' is not known{nearest(key, known)}.",
                "Name a setting of [model] or [train]; or a method or a recipe, with settings of its own.",
            )


def draw_points(space: Space, count: int, seed: int, recipe: Recipe) -> tuple[Point, ...]:
    """The recipe as it is, and `count - 1` points of its space.

    A setting's draws depend on the seed, the count and its name alone: all recipes have the same learning rates, and
    another setting in the space changes none of them.
    """
    drawn: list[Point] = [{}]
    places: dict[str, np.ndarray] = {}
    for setting in space:
        rng = np.random.default_rng([seed, count, crc32(setting.encode())])
        places[setting] = (rng.permutation(count - 1) + rng.random(count - 1)) / max(1, count - 1)
    for i in range(count - 1):
        shares = {setting: float(place[i]) for setting, place in places.items()}
        lr = _value("lr", space["lr"], shares["lr"], 1.0) if "lr" in space else recipe.train.lr
        drawn.append({setting: _value(setting, axis, shares[setting], lr) for setting, axis in space.items()})
    return tuple(drawn)


def key_of(point: Point) -> str:
    """Eight signs that stand for a point in the names of runs; none for the empty one."""
    if not point:
        return ""
    return hashlib.sha256(json.dumps(dict(point), sort_keys=True).encode()).hexdigest()[:8]


def _value(setting: str, axis: Axis, share: float, lr: float) -> Any:
    if not isinstance(axis, Range):
        return axis[min(int(share * len(axis)), len(axis) - 1)]
    value = axis.at(share) * (lr**2 if axis.unit == "lr^2" else 1.0)
    return round(value) if _type_of(setting) is int else float(f"{value:.{DIGITS}g}")


def _read_axis(setting: str, values: Any, origin: str) -> Axis:
    if setting not in SECTION_OF:
        raise UserError(f"{origin}: '{setting}' is not known{nearest(setting, SECTION_OF)}.", _SETTINGS)
    if isinstance(values, Mapping):
        if _type_of(setting) not in (int, float):
            raise UserError(f"{origin}: {setting} is no number.", "Give its values as a list.")
        return _read_range(values, f"{origin} {setting}")
    if not isinstance(values, list) or not values:
        raise UserError(f"{origin}: {setting} is {values!r}.", "Give a list of values, or {low = .., high = ..}.")
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)


def _read_range(values: Mapping[str, Any], origin: str) -> Range:
    if missing := {"low", "high"} - values.keys():
        raise UserError(f"{origin} has no {min(missing)}.", "Give {low = .., high = ..}.")
    found: Range = read_section(Range, values, origin)
    if not (-math.inf < found.low <= found.high < math.inf) or (found.log and found.low <= 0):
        raise UserError(
            f"{origin} goes from {found.low} to {found.high}.",
            "Give low below high, and above 0 where log = true.",
        )
    return found


_SETTINGS = f"Known: {', '.join(SECTION_OF)}"


def _type_of(setting: str) -> Any:
    return _TYPES[SECTION_OF[setting]][setting]
