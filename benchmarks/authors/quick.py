"""`--quick`: the same on a tenth of everything, to see that all of it runs; its numbers say nothing."""

from __future__ import annotations

from dataclasses import replace

from authors.plans import Plan
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.sweep.search_settings import Search
from lrea_cli.sweep.settings import Compress, Sweep

USERS = 150
SHORT, LONG = 8, 40
RANK_DIVISOR = 8
MOST_POINTS, MOST_SEEDS = 2, 2


def quick_plan(plan: Plan) -> Plan:
    """Fewer users of planted datasets, which get names of their own, and fewer seeds."""
    rank = plan.variant_rank and max(1, plan.variant_rank // RANK_DIVISOR)
    plan = replace(plan, seeds=plan.seeds[:MOST_SEEDS], variant_rank=rank)
    return replace(plan, dataset=f"{plan.dataset}-quick", users=USERS) if plan.preset else plan


def quick_sweep(sweep: Sweep) -> Sweep:
    """Fewer points, smaller models, one epoch; trained apart from the whole sweep."""
    return replace(
        sweep,
        name=f"{sweep.name}-quick",
        recipes={name: _small(recipe) for name, recipe in sweep.recipes.items()},
        search=_few_points(sweep.search),
        compress=sweep.compress and _few_rows(sweep.compress),
    )


def _few_points(search: Search) -> Search:
    points = {name: own[:MOST_POINTS] for name, own in search.points.items()}
    return replace(search, points=points, rungs=search.rungs[-1:])


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


def _few_rows(compress: Compress) -> Compress:
    return replace(compress, ranks=tuple(dict.fromkeys(max(1, rank // RANK_DIVISOR) for rank in compress.ranks)))
