"""A folder of recipes, and its `sweep.toml` where there is one, to a `Sweep`.

title = "..."
folder = "chosen"                       # the recipes of this folder, too
recipes = ["din", "sim", "lrea"]        # of all these recipes the ones that are run; without it, all
once = ["sim", "din-share-0.5"]         # trained with the first seed alone, at all shares or at one
base = "din"                            # the recipe that all others are compared with
shares = [0.125, 0.25, 0.5, 1]          # each recipe with these shares of the training users: a learning curve
[variants]                              # see `variants`
lrea-32 = {recipe = "lrea", rank = 32}
[sources.taobao.data]                   # see `sources`
long = 90
[search]                                # see `search_settings`
points = [{lr = 0.02, initial_accumulator = 0.004}, {lr = 0.05}]
[compress]                              # runs of full attention, after training
recipes = ["din"]
compressors = ["recent", "clusters"]
ranks = [4, 16]
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from lrea_cli.errors import UserError, nearest
from lrea_cli.recipe.chosen import Chosen, read_chosen
from lrea_cli.recipe.recipe import SWEEP_FILE, Recipe, load_recipe, read_toml, shipped_recipes
from lrea_cli.recipe.settings import CompressorName, Limits
from lrea_cli.recipe.values import read_section
from lrea_cli.sweep.search_settings import WHOLE, Rung, Search, read_search
from lrea_cli.sweep.sources import OfSource, Published, read_sources
from lrea_cli.sweep.space import Point
from lrea_cli.sweep.variants import Variant, read_variants, with_point

SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class SweepFile:
    """The keys of `sweep.toml`."""

    title: str | None = None
    folder: str | None = None
    recipes: tuple[str, ...] | None = None
    once: tuple[str, ...] = ()
    variants: dict = field(default_factory=dict)
    sources: dict = field(default_factory=dict)
    base: str | None = None
    search: dict = field(default_factory=dict)
    compress: dict | None = None
    shares: tuple[Annotated[float, Limits(gt=0, le=1)], ...] = ()


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
        search: one point at least for each recipe, tried on the first seed.
        base: the recipe that all others are compared with; None = no comparison.
        chosen: of recipes whose settings `lrea search` chose, on which worlds it did.
        once: recipes that are trained with the first seed alone, or recipes at a share.
        curve: the recipe and the share of the training users that each of `recipes` stands for; empty = as they are.
        variants: by the name that each has among the recipes.
        sources: by the source of a dataset; see `on`.
        published: what a paper reports for the dataset, and `changes` what all recipes have on it.
    """

    name: str
    title: str
    recipes: dict[str, Recipe]
    search: Search
    base: str | None
    compress: Compress | None = None
    seeds: tuple[int, ...] = SEEDS
    once: frozenset[str] = frozenset()
    variants: Mapping[str, Variant] = field(default_factory=dict)
    curve: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    chosen: Mapping[str, Chosen] = field(default_factory=dict)
    sources: Mapping[str, OfSource] = field(default_factory=dict)
    published: Published | None = None
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def on(self, source: str, users: int) -> Sweep:
        """The sweep on a dataset of a source and of so many users: with what [sources] has for it."""
        of_source = self.sources.get(source)
        if of_source is None:
            return self
        recipes = {name: of_source.changed(recipe, f"[sources.{source}]") for name, recipe in self.recipes.items()}
        published = of_source.published
        whole = published if published is not None and users >= published.least_users else None
        return replace(self, recipes=recipes, published=whole, changes=of_source.changes)

    def recipe_of(
        self, name: str, dataset: str, seed: int, point: Point, rung: Rung = WHOLE, origin: str = "[search]"
    ) -> Recipe:
        """The recipe of one training; where the point has an impossible value, the UserError names `origin`."""
        changed = with_point(self.recipes[name], point, origin)
        train = replace(changed.train, **rung.changes(changed), seed=seed)
        return replace(changed, data=replace(changed.data, dataset=dataset), train=train)

    def seeds_of(self, name: str) -> tuple[int, ...]:
        """The seeds that a recipe is trained with."""
        recipe, _ = self.curve.get(name, (name, 1.0))
        return self.seeds[:1] if self.once & {name, recipe} else self.seeds

    def base_of(self, name: str) -> str | None:
        """The recipe that this one is compared with: the base with the same share of the training users."""
        if self.base is None or name not in self.curve:
            return self.base
        return at_share(self.base, self.curve[name][1])


def load_sweep(folder: str) -> Sweep:
    """Read a folder of recipes, by its path or by the name of one that comes with lrea; a UserError names the file."""
    path = _find(folder)
    origin = path / SWEEP_FILE
    content = read_toml(origin) if origin.is_file() else {}
    files = _recipe_files(path)
    if isinstance(other := content.get("folder"), str):
        for stem, file in _recipe_files(_find(other)).items():
            if stem in files:
                raise UserError(f"{origin}: both {path} and {other} have a recipe '{stem}'.", "Rename one of them.")
            files[stem] = file
    if not files:
        raise UserError(f"There is no recipe in {path}.", "Put recipes (*.toml) into it, one a configuration.")
    recipes = {stem: load_recipe(str(file)) for stem, file in files.items()}
    sweep = read_sweep(path.resolve().name, recipes, content, str(origin))
    chosen = {stem: found for stem, file in files.items() if (found := read_chosen(file)) is not None}
    used = {name: sweep.variants[name].recipe if name in sweep.variants else name for name in _names(sweep)}
    return replace(sweep, chosen={name: chosen[recipe] for name, recipe in used.items() if recipe in chosen})


def read_sweep(name: str, recipes: dict[str, Recipe], content: Mapping[str, Any], origin: str) -> Sweep:
    """Put recipes and the content of `sweep.toml` together; a UserError names `origin`."""
    file: SweepFile = read_section(SweepFile, content, origin)
    _require_known(file.recipes or (), recipes, f"{origin} recipes")
    variants = read_variants(file.variants, recipes, f"{origin} [variants]")
    run = {one: recipes[one] for one in (recipes if file.recipes is None else file.recipes)}
    for one, variant in variants.items():
        run[one] = with_point(recipes[variant.recipe], variant.point, f"{origin} [variants] {one}")
    if not run:
        raise UserError(f"{origin} runs no recipe.", "Name some: recipes = [..], or give [variants].")
    default_base = "din" if "din" in run else None
    base = default_base if file.base is None else file.base
    if base is not None:
        _require_known([base], run, f"{origin} base")
    curve = {at_share(recipe, share): (recipe, share) for share in _shares(file, origin) for recipe in run}
    _require_known(file.once, {**run, **curve}, f"{origin} once")
    if curve:
        run = {name: _of_share(run[recipe], share) for name, (recipe, share) in curve.items()}
    sweep = Sweep(
        name=name,
        title=name if file.title is None else file.title,
        recipes=run,
        search=read_search(file.search, run, f"{origin} [search]"),
        base=base,
        compress=None if file.compress is None else read_section(Compress, file.compress, f"{origin} [compress]"),
        once=frozenset(file.once),
        variants=variants,
        curve=curve,
        sources=read_sources(file.sources, run, f"{origin} [sources]"),
    )
    if sweep.compress is not None:
        _check_compress(sweep.compress, run, f"{origin} [compress]")
    for recipe, points in sweep.search.points.items():
        for point in points:
            sweep.recipe_of(recipe, "any", 0, point, origin=f"{origin} [search], recipe {recipe}")
    return sweep


def at_share(recipe: str, share: float) -> str:
    """The name of a recipe with a share of the training users: its own where it has all."""
    return recipe if share == 1 else f"{recipe}-share-{share:g}"


def _shares(file: SweepFile, origin: str) -> tuple[float, ...]:
    if len(set(file.shares)) < len(file.shares):
        raise UserError(f"{origin}: shares = {list(file.shares)}.", "Give each share once.")
    return tuple(sorted(file.shares))


def _of_share(recipe: Recipe, share: float) -> Recipe:
    return replace(recipe, train=replace(recipe.train, share=share * recipe.train.share))


def _find(folder: str) -> Path:
    for path in (Path(folder), shipped_recipes() / folder):
        if path.is_dir():
            return path
    known = sorted(path.name for path in shipped_recipes().iterdir() if path.is_dir())
    raise UserError(f"There is no folder '{folder}'{nearest(folder, known)}.", f"Give a path, or: {', '.join(known)}")


def _recipe_files(folder: Path) -> dict[str, Path]:
    """The recipes of a folder by name, in the order of their numbers."""
    files = [path for path in folder.glob("*.toml") if path.name != SWEEP_FILE]
    return {path.stem: path for path in sorted(files, key=lambda path: _by_number(path.stem))}


def _names(sweep: Sweep) -> list[str]:
    """Of recipes and variants, whatever their shares."""
    return list(dict.fromkeys(sweep.curve.get(name, (name, 1.0))[0] for name in sweep.recipes))


def _by_number(name: str) -> list[tuple[str, int]]:
    """Sorts lrea-8 before lrea-32."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)]


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
