"""Who takes part in a trade-off: each recipe of each method by its runs, and what makes a din run's records smaller."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, get_args

from lrea_cli.compressors import COMPRESSORS
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.errors import UserError, check_choice
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.recipe.settings import METHOD_NAMES, Compression, CompressorName
from lrea_cli.records.cache import Cache
from lrea_cli.records.maker import layout_of
from lrea_cli.records.manifest import CACHES
from lrea_cli.runs.checkpoint import Run, recipe_of
from lrea_cli.runs.manifest import RUNS
from lrea_cli.score.kept_scores import KeptScores
from lrea_cli.workspace.home import Artifact, Workspace
from lrea_cli.workspace.sealed import as_json

RANK = 16
"""Rows of a compressed record."""


@dataclass(frozen=True)
class Contender:
    """A run, and how it is served.

    Args:
        route: through its records; or `full`: attention over the history itself, of a din run.
        difference: what its recipe has and the method's other recipes have not: see `Trained`.
        other_seeds: scores of the runs that differ from this one in the seed alone, served alike.
    """

    run: Run
    cache: Cache
    route: Literal["cache", "full"] = "cache"
    difference: str = ""
    other_seeds: tuple[KeptScores, ...] = ()

    @property
    def name(self) -> str:
        """`lrea`; `sim (din attention)`; `din, clusters 16`; `full attention`."""
        beside = f" ({self.difference})" if self.difference else ""
        if self.route == "full":
            return f"full attention{beside}"
        method, smaller = f"{self.run.recipe.model.method}{beside}", self.cache.manifest.compression
        if smaller is None:
            return method
        rank = f" {smaller.rank}" if COMPRESSORS[smaller.compressor].most_rows(RANK) > 1 else ""
        return f"{method}, {smaller.compressor}{rank}"


def chosen_methods(text: str) -> tuple[str, ...]:
    """`all`, or names with commas, in the order of all methods; a UserError for a name that no method has."""
    if text == "all":
        return METHOD_NAMES
    names = [part.strip() for part in text.split(",")]
    for name in names:
        check_choice("methods", name, METHOD_NAMES)
    return tuple(name for name in METHOD_NAMES if name in names)


@dataclass(frozen=True)
class Trained:
    """The runs of one recipe.

    Args:
        difference: `din attention`, `rank 64, free columns`: those settings of [data] and [model] in which the recipes
            of a method differ, where this one has not the default; so it is empty where there is one recipe.
        runs: names; the latest run first, then the latest of every other seed, all else in the recipe equal.
    """

    method: str
    difference: str
    runs: tuple[str, ...]


def dataset_of(workspace: Workspace, name: str | None, methods: Sequence[str]) -> tuple[Artifact, int]:
    """The named dataset, and how many runs of these methods are of another one, and so left out.

    Without a name: the dataset of the latest run of these methods, or where there is no run, the latest dataset.
    """
    runs = [a for a in workspace.all(RUNS) if a.manifest.method in methods]
    if name is None and runs:
        name = max(runs, key=lambda a: a.order).manifest.dataset
    data = workspace.open(DATASETS, name)
    return data, sum(a.manifest.dataset != data.name for a in runs)


def trained_recipes(workspace: Workspace, dataset: Artifact, methods: Sequence[str]) -> list[Trained]:
    """Every recipe of the methods that has a run on this version of the dataset; a UserError where none has.

    Recipes are told apart by [data] and [model]: what is served. Of runs that differ in [train] alone, those count that
    learnt from most of the users, of these the latest one, with those that differ from it in nothing but the seed.
    """
    here = [a for a in workspace.all(RUNS) if dataset.is_parent_of(a)]
    trained: list[Trained] = []
    for method in methods:
        groups: dict[str, dict[str, Recipe]] = {}
        runs = [(run, recipe_of(run)) for run in here if run.manifest.method == method]
        for run, recipe in sorted(runs, key=lambda pair: (pair[1].train.share, pair[0].order), reverse=True):
            groups.setdefault(str(_settings(recipe)), {})[run.name] = recipe
        differences = _differences([next(iter(group.values())) for group in groups.values()])
        recipes = [Trained(method, *pair) for pair in zip(differences, map(_one_a_seed, groups.values()), strict=True)]
        trained += sorted(recipes, key=lambda t: t.difference)
    if not trained:
        raise UserError(
            f"The dataset '{dataset.name}' has no run of {', '.join(methods)}.",
            f"Train one with: {training(methods[-1], dataset.name)}",
        )
    return trained


def _settings(recipe: Recipe) -> dict[str, object]:
    """What decides what is served: [data] without the dataset's name, and [model]."""
    return asdict(replace(recipe.data, dataset=None)) | asdict(recipe.model)


def _one_a_seed(group: Mapping[str, Recipe]) -> tuple[str, ...]:
    """Of runs of one [data] and [model], the latest first: it and, of every other seed, the latest of its [train]."""
    wanted = next(iter(group.values())).train
    chosen: dict[int, str] = {}
    for name, recipe in group.items():
        if replace(recipe.train, seed=wanted.seed) == wanted:
            chosen.setdefault(recipe.train.seed, name)
    return tuple(chosen.values())


def _differences(recipes: Sequence[Recipe]) -> list[str]:
    """What each recipe has and the others have not, in words."""
    default, settings = _settings(Recipe()), [_settings(recipe) for recipe in recipes]
    varied = [key for key in default if len({str(values[key]) for values in settings}) > 1]
    return [", ".join(_phrase(k, values[k]) for k in varied if values[k] != default[k]) for values in settings]


def _phrase(key: str, value: object) -> str:
    """`din attention`, `rank 64`, `hidden 128-64`, `no match counters`."""
    words = key.replace("_", " ")
    if isinstance(value, str):
        return f"{value} {words.split()[-1]}"
    if isinstance(value, tuple):
        return f"{words} {'-'.join(map(str, value))}" if value else f"no {words}"
    return f"{words} {value}"


def training(method: str, dataset: str) -> str:
    """The command that trains a method."""
    return f"lrea train --method {method} --dataset {shlex.quote(dataset)}"


def compressions(method: str) -> Iterator[Compression | None]:
    """How a run's records are made: by its method; and those of a din run also smaller, by each compressor."""
    yield None
    if method == "din":
        for name in get_args(CompressorName):
            yield Compression(name, COMPRESSORS[name].most_rows(RANK))


def find_whole_cache(workspace: Workspace, run: Run, compression: Compression | None) -> str | None:
    """Name of the latest float32 cache of this version of a run, of all users at the end of the data, made so."""
    layout = as_json(layout_of(run.model, "float32").to_dict())
    data = run.dataset.manifest
    caches = [
        a
        for a in workspace.all(CACHES)
        if run.artifact.is_parent_of(a)
        and (a.manifest.users, a.manifest.as_of, a.manifest.layout) == (data.users, data.splits.end, layout)
        and a.manifest.compression == compression
    ]
    return max(caches, key=lambda a: a.order).name if caches else None
