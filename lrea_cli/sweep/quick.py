"""`--quick`: the same sweep on a tenth of everything, to see that all of it runs; its numbers say nothing."""

from __future__ import annotations

from dataclasses import replace

from lrea_cli.recipe.recipe import Recipe
from lrea_cli.sweep.settings import DatasetPlan, Sweep, reseeded

USERS = 150
SHORT = 8
LONG = 40
RANK_DIVISOR = 8
MOST_POINTS = 2
MOST_SEEDS = 2


def quick(sweep: Sweep) -> Sweep:
    """Fewer users (where a source has them as an option), points and seeds; small models for any source, one epoch."""
    recipes = {name: _small(recipe) for name, recipe in sweep.recipes.items()}
    plans = tuple(_few(plan) for plan in sweep.datasets)
    return replace(sweep, recipes=recipes, search=sweep.search[:MOST_POINTS], datasets=plans, changes={})


def _small(recipe: Recipe) -> Recipe:
    rank = max(1, recipe.model.rank // RANK_DIVISOR)
    long = min(recipe.data.long, LONG)
    if recipe.model.method == "lrea":
        rank = min(rank, long)
    return Recipe(
        replace(recipe.data, short=min(recipe.data.short, SHORT), long=long),
        replace(recipe.model, rank=rank, k=max(1, recipe.model.k // RANK_DIVISOR), embedding_dim=4, hidden=(16, 8)),
        replace(recipe.train, epochs=1, batch_size=min(recipe.train.batch_size, 256)),
    )


def _few(plan: DatasetPlan) -> DatasetPlan:
    options = dict(plan.options)
    if plan.source == "synthetic":
        options["users"] = min(options.get("users", USERS), USERS)
    plan = reseeded(replace(plan, options=options), plan.seeds[:MOST_SEEDS])
    if plan.compress is not None:
        ranks = tuple(dict.fromkeys(max(1, rank // RANK_DIVISOR) for rank in plan.compress.ranks))
        small = max(1, plan.compress.variant_rank // RANK_DIVISOR)
        plan = replace(plan, compress=replace(plan.compress, ranks=ranks, variant_rank=small))
    return plan
