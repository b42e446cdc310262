"""What is behind each page of docs/results: datasets, recipes and seeds, and what the paper published beside them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from lrea_cli.recipe.recipe import Recipe
from lrea_cli.sweep.settings import SEEDS, Sweep


@dataclass(frozen=True)
class Plan:
    """One dataset of a page and what is trained on it.

    Args:
        dataset: its name in the home.
        preset, users: of the planted dataset; without a preset the dataset is there already, as docs/data.md says.
        seeds: of training.
        recipes: names; empty = all of the folder.
        variant_rank: rank at which every choice of `clusters` is tried; 0 = none is.
    """

    dataset: str
    preset: str = ""
    users: int = 0
    seeds: tuple[int, ...] = SEEDS
    recipes: tuple[str, ...] = ()
    variant_rank: int = 0

    def sweep(self, sweep: Sweep) -> Sweep:
        """The sweep with this plan's recipes and seeds."""
        recipes = {name: sweep.recipes[name] for name in self.recipes or sweep.recipes}
        compress = sweep.compress
        if compress is not None:
            compress = replace(compress, recipes=tuple(name for name in compress.recipes if name in recipes))
        return replace(sweep, recipes=recipes, seeds=self.seeds, compress=compress)


@dataclass(frozen=True)
class Published:
    """What a paper reports for a public log.

    Args:
        table: where it stands.
        least_users: of the whole log; a dataset with fewer is a sample, and no number is put beside the paper's.
        auc: by recipe.
    """

    table: str
    least_users: int
    auc: dict[str, float]


@dataclass(frozen=True)
class OfSource:
    """What a folder of recipes has for datasets of one source.

    Args:
        published: the paper's numbers.
        changes: sections of recipes that all recipes have in place of their own.
    """

    published: Published
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def changed(self, sweep: Sweep) -> Sweep:
        """The sweep with the changes in each recipe."""
        return replace(sweep, recipes={name: self._changed(recipe) for name, recipe in sweep.recipes.items()})

    def _changed(self, recipe: Recipe) -> Recipe:
        content = recipe.to_dict()
        for section, values in self.changes.items():
            content[section] = {**content[section], **values}
        return Recipe.from_dict(content, "changes of a source")


_COMPARED = ("din-short", "mean", "sim", "eta", "sdim", "twin", "lrea", "din")
_RANKS = ("din-short", "mean", "din", "lrea-8-unit", "lrea-128-unit")

PLANS: dict[str, tuple[Plan, ...]] = {
    "table2": (
        Plan("drift", "drift", 3000),
        Plan("exchangeable", "exchangeable", 2000, (1,), _COMPARED),
        Plan("exact-item", "exact-item", 2000, (1,), _COMPARED),
    ),
    "rank": (
        Plan("drift", "drift", 3000, variant_rank=16),
        Plan("exchangeable", "exchangeable", 2000, recipes=_RANKS),
        Plan("exact-item", "exact-item", 2000, (1,), _RANKS),
    ),
    "real": (Plan("kuairand"),),
    "defaults": (Plan("drift", "drift", 3000, (1, 2)),),
    "table3": (),
}
"""By folder of recipes, which is the name of the page, too."""

OF_SOURCE: dict[str, dict[str, OfSource]] = {
    "table2": {
        "taobao": OfSource(
            # the whole log has 987,994 users
            Published(
                "Table 2 of LREA (SIGIR 2025), Taobao",
                900_000,
                {
                    "din": 0.8903,
                    "din-short": 0.8535,
                    "sim": 0.8667,
                    "eta": 0.8651,
                    "sdim": 0.8734,
                    "twin": 0.8838,
                    "lrea": 0.8904,
                },
            )
        ),
        "amazon-books": OfSource(
            Published(
                "Table 2 of LREA (SIGIR 2025), Amazon",
                50_000,
                {
                    "din": 0.8101,
                    "din-short": 0.7833,
                    "sim": 0.7919,
                    "eta": 0.7984,
                    "sdim": 0.8013,
                    "twin": 0.8015,
                    "lrea": 0.8098,
                },
            ),
            # The paper's 10 + 90 behaviors (4.1). It names no rank for them; 128 rows would be more than 90 behaviors.
            {"data": {"short": 10, "long": 90}, "model": {"rank": 32}},
        ),
    }
}
"""By folder of recipes and source. The paper gives no GAUC of public logs; its Table 3 is of its own log alone."""
