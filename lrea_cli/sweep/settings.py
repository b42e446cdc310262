"""A folder of recipes, and its `sweep.toml` where there is one, to a `Sweep`.

title = "..."
base = "din"                            # the recipe that all others are compared with
[search]                                # values of [train], side by side: the first of each list, the second, ..
lr = [0.02, 0.05]
initial_accumulator = [0.004, 0.025]
[compress]                              # runs of full attention, after training
recipes = ["din"]
compressors = ["recent", "clusters"]
ranks = [4, 16]
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from lrea_cli.errors import UserError, nearest
from lrea_cli.recipe.reading import SWEEP_FILE, load_recipe, read_toml, shipped_recipes
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.recipe.settings import CompressorName, TrainSettings
from lrea_cli.recipe.values import read_section, read_value

SEEDS = (1, 2, 3)
Point = Mapping[str, Any]
"""One point of the search: values of [train]; empty = the recipe as it is."""


@dataclass(frozen=True)
class SweepFile:
    """The keys of `sweep.toml`."""

    title: str | None = None
    base: str | None = None
    search: dict = field(default_factory=dict)
    compress: dict | None = None


@dataclass(frozen=True)
class Compress:
    """[compress]: the recipes, all of full attention, whose runs are compressed after training, and how."""

    recipes: tuple[str, ...] = ("din",)
    compressors: tuple[CompressorName, ...] = ()
    ranks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Sweep:
    """Everything that decides a sweep but for its dataset.

    Args:
        search: one point at least, tried on the first seed.
        base: the recipe that all others are compared with; None = no comparison.
    """

    name: str
    title: str
    recipes: dict[str, Recipe]
    search: tuple[Point, ...]
    base: str | None
    compress: Compress | None = None
    seeds: tuple[int, ...] = SEEDS

    def recipe_of(self, name: str, dataset: str, seed: int, point: Point, origin: str = "[search]") -> Recipe:
        """The recipe of one training; where the point has an impossible value, the UserError names `origin`."""
        content = self.recipes[name].to_dict()
        content["data"] = {**content["data"], "dataset": dataset}
        content["train"] = {**content["train"], **point, "seed": seed}
        return Recipe.from_dict(content, origin)


def load_sweep(folder: str) -> Sweep:
    """Read a folder of recipes, by its path or by the name of one that comes with lrea; a UserError names the file."""
    path = _find(folder)
    files = sorted((p for p in path.glob("*.toml") if p.name != SWEEP_FILE), key=lambda p: _by_number(p.stem))
    if not files:
        raise UserError(f"There is no recipe in {path}.", "Put recipes (*.toml) into it, one a configuration.")
    origin = path / SWEEP_FILE
    content = read_toml(origin) if origin.is_file() else {}
    return read_sweep(path.resolve().name, {p.stem: load_recipe(str(p)) for p in files}, content, str(origin))


def read_sweep(name: str, recipes: dict[str, Recipe], content: Mapping[str, Any], origin: str) -> Sweep:
    """Put recipes and the content of `sweep.toml` together; a UserError names `origin`."""
    file: SweepFile = read_section(SweepFile, content, origin)
    default_base = "din" if "din" in recipes else None
    sweep = Sweep(
        name=name,
        title=name if file.title is None else file.title,
        recipes=recipes,
        search=_points(file.search, f"{origin} [search]"),
        base=default_base if file.base is None else file.base,
        compress=None if file.compress is None else read_section(Compress, file.compress, f"{origin} [compress]"),
    )
    if sweep.base is not None:
        _require_known([sweep.base], recipes, f"{origin} base")
    if sweep.compress is not None:
        _check_compress(sweep.compress, recipes, f"{origin} [compress]")
    for recipe in recipes:
        for point in sweep.search:
            sweep.recipe_of(recipe, "any", 0, point, f"{origin} [search], recipe {recipe}")
    return sweep


def _find(folder: str) -> Path:
    for path in (Path(folder), shipped_recipes() / folder):
        if path.is_dir():
            return path
    known = sorted({str(p.parent.relative_to(shipped_recipes())) for p in shipped_recipes().glob(f"*/{SWEEP_FILE}")})
    raise UserError(f"There is no folder '{folder}'{nearest(folder, known)}.", f"Give a path, or: {', '.join(known)}")


def _by_number(name: str) -> list[tuple[str, int]]:
    """Sorts lrea-8 before lrea-32."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)]


def _points(section: Mapping[str, Any], origin: str) -> tuple[Point, ...]:
    hints = {key: hint for key, hint in get_type_hints(TrainSettings).items() if key != "seed"}
    _require_known(section, hints, origin)
    columns = {key: read_value(values, tuple[hints[key], ...], f"{origin} {key}") for key, values in section.items()}
    sizes = {key: len(values) for key, values in columns.items()}
    if len(set(sizes.values())) > 1 or 0 in sizes.values():
        raise UserError(f"{origin}: the lists have {sizes} values.", "Give all the same number: they go side by side.")
    points = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)] or [{}]
    if len({point.get("lr") for point in points}) < len(points):
        raise UserError(f"{origin}: two points have the same lr.", "Runs are named by lr: give each point its own.")
    return tuple(points)


def _check_compress(compress: Compress, recipes: Mapping[str, Recipe], origin: str) -> None:
    _require_known(compress.recipes, recipes, f"{origin} recipes")
    for name in compress.recipes:
        if recipes[name].model.method != "din":
            raise UserError(f"{origin}: '{name}' is no din.", "Only runs of full attention can be compressed.")
    if not compress.compressors:
        raise UserError(f"{origin} has no compressors.", 'Write compressors = ["clusters"].')
    ranks = compress.ranks
    if not ranks or min(ranks) < 1 or len(set(ranks)) < len(ranks):
        raise UserError(f"{origin} ranks = {list(ranks)}.", "Give one or more different numbers, 1 or above.")


def _require_known(names: Iterable[str], known: Iterable[str], origin: str) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            raise UserError(f"{origin}: '{name}' is not known{nearest(name, known)}.", f"Known: {', '.join(known)}")
