"""What decides a sweep, as frozen dataclasses; `reading.py` makes them of a folder, `quick.py` shrinks them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lrea_cli.recipe.recipe import Recipe
from lrea_cli.recipe.settings import CompressorName

SEEDS = (1, 2, 3)
Point = Mapping[str, Any]
"""One point of the search: values of [train]; empty = the recipe as it is."""


@dataclass(frozen=True)
class Compress:
    """[compress]: which recipes' runs are compressed after training, and how.

    Args:
        recipes: names; each is full attention (din).
        compressors: names.
        ranks: most rows of a record.
    """

    recipes: tuple[str, ...] = ("din",)
    compressors: tuple[CompressorName, ...] = ()
    ranks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Sweep:
    """Everything that decides a sweep but for its dataset.

    Args:
        name: of the folder.
        recipes: by name.
        search: one point at least, tried on the first seed.
        base: the recipe that all others are compared with; None = no comparison.
        compress: None = nothing is compressed.
        seeds: of training.
    """

    name: str
    title: str
    recipes: dict[str, Recipe]
    search: tuple[Point, ...]
    base: str | None
    compress: Compress | None = None
    seeds: tuple[int, ...] = SEEDS

    def recipe_of(self, name: str, dataset: str, seed: int, point: Point, origin: str = "[search]") -> Recipe:
        """The recipe of one training.

        Raises:
            UserError: the point has an impossible value; the message names `origin`.
        """
        content = self.recipes[name].to_dict()
        content["data"] = {**content["data"], "dataset": dataset}
        content["train"] = {**content["train"], **point, "seed": seed}
        return Recipe.from_dict(content, origin)
