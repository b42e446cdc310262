"""[sources.NAME] of a sweep: what its recipes have on datasets of one source, and what a paper reports for it.

[sources.amazon-books.data]             # sections of recipes: what all recipes have in place of their own
long = 90
[sources.amazon-books.published]        # see `Published`
table = "Table 2 of a paper"
least_users = 50000
auc = {din = 0.8101}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lrea_cli.errors import UserError, nearest
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.recipe.values import read_section

PUBLISHED = "published"


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
    auc: dict


@dataclass(frozen=True)
class OfSource:
    """What a sweep has for datasets of one source.

    Args:
        published: None where no paper has numbers of it.
        changes: sections of recipes.
    """

    published: Published | None = None
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def changed(self, recipe: Recipe, origin: str) -> Recipe:
        """The recipe with the changes; where one has an impossible value, the UserError names `origin`."""
        content = recipe.to_dict()
        for section, values in self.changes.items():
            content[section] = {**content[section], **values}
        return Recipe.from_dict(content, origin)


def read_sources(content: Mapping[str, Any], recipes: Mapping[str, Recipe], origin: str) -> dict[str, OfSource]:
    """What `[sources]` says.

    Raises:
        UserError: a section that no recipe has, an impossible value, or a number of no recipe.
    """
    found = {}
    for source, parts in content.items():
        where = f"{origin[:-1]}.{source}]"
        if not isinstance(parts, Mapping) or not all(isinstance(part, Mapping) for part in parts.values()):
            raise UserError(f"{where} is no table of sections.", "Write [sources.NAME.data] or the like.")
        published = None
        if PUBLISHED in parts:
            published = read_section(Published, parts[PUBLISHED], f"{where[:-1]}.{PUBLISHED}]")
            for name in published.auc:
                if name not in recipes:
                    raise UserError(f"{where} auc: there is no recipe '{name}'{nearest(name, recipes)}.")
        of_source = OfSource(published, {name: dict(part) for name, part in parts.items() if name != PUBLISHED})
        for name in of_source.changes:
            if name not in ("data", "model", "train"):
                raise UserError(f"{where} has a section '{name}'.", f"Use data, model, train or {PUBLISHED}.")
        for recipe in recipes.values():
            of_source.changed(recipe, where)
        found[source] = of_source
    return found
