"""What decides a sweep, as frozen dataclasses; `reading.py` makes them of a folder, `quick.py` shrinks them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Literal

from lrea_cli.recipe.recipe import Recipe
from lrea_cli.recipe.settings import CompressorName

SEEDS = (1, 2, 3)
VariantName = Literal[
    "plain metric",
    "no correction",
    "values not fitted",
    "neither",
    "ridge .01",
    "ridge 1",
    "24 + 24 probes",
    "8 shared probes",
]
"""Names of `compressors.VARIANTS`, without loading torch."""
Point = Mapping[str, Any]
"""One point of the search: values of [train]; empty = the recipe as it is."""


@dataclass(frozen=True)
class Compress:
    """Which din runs are compressed, and how.

    Args:
        recipes: globs. compressors: names. seeds: of the runs; empty = all that the dataset has.
        variants: of clusters, by name, tried at `variant_rank`.
    """

    recipes: tuple[str, ...] = ("din",)
    compressors: tuple[CompressorName, ...] = ()
    ranks: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()
    variants: tuple[VariantName, ...] = ()
    variant_rank: int = 16


@dataclass(frozen=True)
class DatasetPlan:
    """One dataset and what is trained on it.

    Args:
        source, options: how it is prepared, as in `lrea prepare SOURCE`; no source = it is prepared already.
        prepare: options of `prepare` that all sources have.
        seeds: of training; the search is on the first.
        recipes: globs over names.
    """

    name: str = ""
    source: str = ""
    options: dict = field(default_factory=dict)
    prepare: dict = field(default_factory=dict)
    seeds: tuple[int, ...] = SEEDS
    recipes: tuple[str, ...] = ("*",)
    compress: Compress | None = None


@dataclass(frozen=True)
class Published:
    """What a paper reports for a dataset that is public.

    Args:
        table: where it stands. auc: by recipe.
        least_users: of the whole dataset; with fewer it is a sample, or made, and no number is put beside the paper's.
    """

    table: str = ""
    least_users: int = 0
    auc: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Sweep:
    """Everything that decides a sweep.

    Args:
        name: of the folder. findings: what came out, in words. recipes: by name. search: one point at least.
        base: the recipe that all others are compared with; None = none.
        datasets: empty = the one that the recipes name, else the latest.
        compress: of datasets without their own, and of one that is named on the command line.
        paper: published numbers, by the source of the dataset.
        changes: what all recipes have in place of their own on datasets of a source: its sections of recipes.
    """

    name: str
    title: str
    findings: str
    recipes: dict[str, Recipe]
    search: tuple[Point, ...]
    base: str | None
    datasets: tuple[DatasetPlan, ...]
    compress: Compress | None = None
    paper: dict[str, Published] = field(default_factory=dict)
    changes: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def recipe_on(self, source: str, name: str, origin: str = "sweep.toml") -> Recipe:
        """A recipe as it is on datasets of a source.

        Raises:
            UserError: what is changed is misspelled or impossible; names `origin`.
        """
        content = self.recipes[name].to_dict()
        for section, values in self.changes.get(source, {}).items():
            content[section] = {**content.get(section, {}), **values}
        return Recipe.from_dict(content, f"{origin} [source.{source}], recipe {name}")

    def names_of(self, globs: Iterable[str]) -> tuple[str, ...]:
        """Recipes that match, in the order of the globs."""
        return tuple(dict.fromkeys(n for glob in globs for n in self.recipes if fnmatchcase(n, glob)))

    def with_seeds(self, count: int) -> Sweep:
        """Seeds 1 .. count on every dataset; of the compressed seeds those among them."""
        return replace(self, datasets=tuple(reseeded(plan, tuple(range(1, count + 1))) for plan in self.datasets))


def reseeded(plan: DatasetPlan, seeds: tuple[int, ...]) -> DatasetPlan:
    """The plan with other seeds; of the compressed seeds those among them, all of them where none is left."""
    compress = plan.compress
    if compress is not None:
        compress = replace(compress, seeds=tuple(s for s in compress.seeds if s in seeds))
    return replace(plan, seeds=seeds, compress=compress)


def point_recipe(recipe: Recipe, dataset: str, seed: int, point: Point, origin: str = "[search]") -> Recipe:
    """The recipe of one training.

    Raises:
        UserError: an impossible value; names `origin`.
    """
    content = recipe.to_dict()
    content["data"] = {**content["data"], "dataset": dataset}
    content["train"] = {**content["train"], **point, "seed": seed}
    return Recipe.from_dict(content, origin)
