"""What a decision is asked to do: the methods, their settings, the compressions, the hours; and where its work lies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lrea_cli import __version__
from lrea_cli.errors import UserError, nearest
from lrea_cli.recipe.settings import Compression, CompressorName
from lrea_cli.sweep.datasets import Dataset
from lrea_cli.sweep.search_settings import Rung, read_search
from lrea_cli.sweep.settings import Sweep, load_sweep
from lrea_cli.workspace.home import Workspace
from lrea_cli.workspace.sealed import as_json

FOLDER, SPACE = "chosen", "methods"
"""The recipes of lrea that are asked, and those whose `sweep.toml` has the space of the search that chose them."""
COMPRESSED_BY: tuple[CompressorName, ...] = ("clusters", "codes")
"""The other compressors are controls."""
RANKS = (16, 64)
FULL, SHORT = "din", "din-short"


@dataclass(frozen=True)
class Asked:
    """What decides the work. Budget and tolerance do not: they read its numbers.

    Args:
        sweep: the recipes, and the seeds of training.
        compressions: of the runs of full attention; their seed is that of the run.
        hours: that all may take.
        candidates: of a timed request.
    """

    sweep: Sweep
    compressions: tuple[Compression, ...]
    hours: float
    candidates: int

    def searched(self, points: int, shares: tuple[float, ...]) -> Sweep:
        """The sweep with so many settings of each recipe, as it is and drawn from its space, and a rung a share."""
        space = {"configurations": points, "space": self.sweep.search.content["space"]}
        search = read_search(space, self.sweep.recipes, f"recipes/{SPACE}/sweep.toml [search]")
        return replace(self.sweep, search=replace(search, rungs=tuple(Rung(share) for share in shares)))

    def without(self, names: set[str]) -> Asked:
        """The same without these recipes."""
        kept = {name: recipe for name, recipe in self.sweep.recipes.items() if name not in names}
        return replace(
            self, sweep=replace(self.sweep, recipes=kept), compressions=self.compressions if FULL in kept else ()
        )

    def key(self, dataset: Dataset) -> str:
        """Eight signs that stand for the work on a dataset; more hours go on with what fewer have done."""
        content = {
            "version": __version__,
            "dataset": dataset.identity,
            "recipes": {name: recipe.to_dict() for name, recipe in self.sweep.recipes.items()},
            "search": self.sweep.search.content,
            "seeds": self.sweep.seeds,
            "compressions": [vars(each) for each in self.compressions],
            "candidates": self.candidates,
        }
        return hashlib.sha256(json.dumps(as_json(content), sort_keys=True).encode()).hexdigest()[:8]

    def workspace(self, dataset: Dataset, main: Workspace) -> Workspace:
        """The decision's own: all that it trains lies there."""
        return Workspace(main.home / "decisions" / f"{dataset.name}-{self.key(dataset)}")


def read_asked(
    methods: str | None, seeds: int, hours: float, candidates: int, window: Mapping[str, int | None] | None = None
) -> Asked:
    """What the options of `lrea decide` ask.

    Args:
        methods: names of recipes and compressors with commas; None = all.
        window: `short` and `long` of every recipe; None = the recipe's.

    Raises:
        UserError: a name that neither a recipe nor a compressor has, a compressor without full attention, or fewer
            than two recipes.
    """
    sweep = replace(load_sweep(FOLDER), search=load_sweep(SPACE).search)
    known = [*sweep.recipes, *COMPRESSED_BY]
    names = known if methods is None else [part.strip() for part in methods.split(",")]
    for name in names:
        if name not in known:
            raise UserError(f"--methods '{name}' is not known{nearest(name, known)}.", f"Known: {', '.join(known)}")
    data = {"data": window or {}}
    recipes = {name: recipe.with_values(data) for name, recipe in sweep.recipes.items() if name in names}
    smaller = [name for name in COMPRESSED_BY if name in names]
    if smaller and FULL not in recipes:
        raise UserError(f"--methods: {smaller[0]} makes records of {FULL} smaller.", f"Name {FULL}, too.")
    if len(recipes) < 2:
        raise UserError("A decision is between two methods or more.", f"Name more of: {', '.join(sweep.recipes)}")
    compressions = tuple(Compression(name, rank, 0) for name in COMPRESSED_BY if name in names for rank in RANKS)
    sweep = replace(sweep, recipes=recipes, seeds=tuple(range(1, seeds + 1)), base=None)
    return Asked(sweep, compressions, hours, candidates)
