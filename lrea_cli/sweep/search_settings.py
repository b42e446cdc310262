"""[search] of a `sweep.toml`: which points are tried, where, and how many go on.

[search]
configurations = 12                                 # for every recipe: as it is, and 11 points of its space
worlds = ["dev-still", "dev-large"]                 # of `lrea search`; without them, the dataset of `lrea sweep`
rungs = [{share = 0.25, keep = 4}, {worlds = ["dev-large"]}]      # a quarter of the users, then all of one world
[search.space]
lr = {low = 0.01, high = 0.5, log = true}
initial_accumulator = {low = 2, high = 50, log = true, unit = "lr^2"}
[search.space.sim]                                  # of a method or of a recipe, beside those of all
k = [32, 64, 128]

Or points that are written out, the same for every recipe:

[search]
points = [{lr = 0.02}, {lr = 0.05, initial_accumulator = 0.025}]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from lrea_cli.errors import UserError
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.recipe.settings import Count, Limits, Seed
from lrea_cli.recipe.values import read_section
from lrea_cli.recipe.worlds import find_world
from lrea_cli.sweep.space import SECTION_OF, Point, check_names, draw_points, key_of, read_space

MOST_CONFIGURATIONS = 1000


@dataclass(frozen=True)
class Rung:
    """One round of a search (successive halving: Jamieson and Talwalkar, 2016).

    Args:
        share: of the users that a training learns from. epochs: at most; None = the recipe's.
        keep: how many points go on to the next rung, by their validation AUC; the last rung chooses one.
        worlds: of the search's, where this rung trains; none = on all of them.
    """

    share: Annotated[float, Limits(gt=0, le=1)] = 1.0
    epochs: Count | None = None
    keep: Count = 1
    worlds: tuple[str, ...] = ()

    def changes(self, recipe: Recipe) -> dict[str, Any]:
        """What a training of this rung has in place of the recipe's [train]."""
        changed: dict[str, Any] = {}
        if self.share < 1:
            changed["share"] = self.share * recipe.train.share
        if self.epochs is not None and self.epochs < recipe.train.epochs:
            changed["epochs"] = self.epochs
        return changed


WHOLE = Rung()
"""All users, and the epochs of the recipe."""


@dataclass(frozen=True)
class Search:
    """What a search tries.

    Args:
        points: of each recipe, as many for all.
        worlds: where they are tried; none = on the dataset of the sweep.
        content: [search] as it was written.
    """

    points: Mapping[str, tuple[Point, ...]]
    rungs: tuple[Rung, ...] = (WHOLE,)
    worlds: tuple[str, ...] = ()
    content: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shared(self) -> tuple[Point, ...]:
        """The points, where every recipe has the same; else none."""
        first, *others = self.points.values()
        return first if all(points == first for points in others) else ()

    @property
    def configurations(self) -> int:
        """Points of each recipe."""
        return len(next(iter(self.points.values())))


@dataclass(frozen=True)
class SearchFile:
    """The keys of [search]."""

    points: tuple[dict, ...] = ()
    configurations: Annotated[int, Limits(ge=1, le=MOST_CONFIGURATIONS)] = 1
    seed: Seed = 1
    worlds: tuple[str, ...] = ()
    rungs: tuple[dict, ...] = ()
    space: dict = field(default_factory=dict)


def read_search(content: Mapping[str, Any], recipes: Mapping[str, Recipe], origin: str) -> Search:
    """The search of a folder of recipes; a `UserError` names `origin`."""
    file: SearchFile = read_section(SearchFile, content, origin)
    if bool(file.points) == bool(file.space) and content:
        raise UserError(f"{origin} needs either points or a space.", "Write points = [..] or a [search.space].")
    where = f"{origin[:-1]}.space]"
    check_names(file.space, recipes, where)
    points: dict[str, tuple[Point, ...]] = {}
    for name, recipe in recipes.items():
        own = file.points or ({},)
        if file.space:
            own = draw_points(read_space(file.space, name, recipe, where), file.configurations, file.seed, recipe)
        points[name] = own
        check_points(own, f"{origin}, recipe {name}")
    worlds = tuple(find_world(world, origin).name for world in file.worlds)
    _require_development(worlds, origin)
    return Search(points, _read_rungs(file, len(next(iter(points.values()))), origin), worlds, content)


def check_points(points: tuple[Point, ...], origin: str) -> None:
    """Raise a `UserError` for a setting that cannot be searched, and for two points that are one."""
    for point in points:
        for setting in point:
            if setting not in SECTION_OF:
                raise UserError(f"{origin}: '{setting}' cannot be searched.", f"Known: {', '.join(SECTION_OF)}")
    if len(set(map(key_of, points))) < len(points):
        raise UserError(
            f"{origin}: two of the {len(points)} points are the same.", "Ask for fewer, or give a wider space."
        )


def _require_development(worlds: tuple[str, ...], origin: str) -> None:
    for world in worlds:
        if (role := find_world(world).role) != "development":
            raise UserError(
                f"{origin}: the world '{world}' is for a {role}.", "Search on worlds whose role is development."
            )


def _read_rungs(file: SearchFile, configurations: int, origin: str) -> tuple[Rung, ...]:
    rungs = tuple(read_section(Rung, rung, f"{origin} rungs, entry {i}") for i, rung in enumerate(file.rungs, 1))
    rungs = rungs or (WHOLE,)
    before = configurations
    for rung in rungs[:-1]:
        if not rung.keep < before:
            raise UserError(f"{origin}: a rung keeps {rung.keep} of {before} points.", "Let each rung keep fewer.")
        before = rung.keep
    for world in (world for rung in rungs for world in rung.worlds):
        if world not in file.worlds:
            raise UserError(
                f"{origin}: a rung is on '{world}', the search is not.",
                "Add it to worlds, or leave it out of the rung.",
            )
    if rungs[-1].keep != 1:
        raise UserError(f"{origin}: the last rung keeps {rungs[-1].keep}.", "It chooses one: leave its keep out.")
    return rungs
