"""A folder of recipes, and its `sweep.toml` where there is one, to a `Sweep`.

title = "..."
findings = "..."                        # what came out, in words: it opens the page
base = "din"                            # the recipe that all others are compared with
[search]                                # values of [train], side by side: the first of each list, the second, ..
lr = [0.02, 0.05]
initial_accumulator = [0.004, 0.025]
[compress]                              # of din runs, for every dataset that does not say otherwise
compressors = ["recent", "clusters"]
ranks = [4, 16]                         # more: recipes = ["din"], seeds = [1], variants = ["values not fitted"]
[[dataset]]
name = "drift"
source = "synthetic"                    # as in `lrea prepare SOURCE`
options = {preset = "drift"}            # of the source; `prepare = {..}`: those that all sources have
seeds = [1, 2, 3]
recipes = ["*"]                         # globs over the recipes' names
compress = {compressors = ["mean"], ranks = [1]}     # its own
[paper.taobao]                          # published numbers for datasets of this source
table = "Table 2 of .."                 # where they stand
least_users = 900_000                   # a dataset with fewer users is not the whole log
auc = {din = 0.8903}                    # by recipe
[source.amazon-books]                   # what all recipes have on datasets of this source
data = {short = 10, long = 90}
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

from lrea_cli.errors import UserError, nearest
from lrea_cli.recipe.reading import SWEEP_FILE, load_recipe, read_toml, shipped_recipes
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.recipe.settings import TrainSettings
from lrea_cli.recipe.values import read_section, read_value
from lrea_cli.sweep.settings import Compress, DatasetPlan, Point, Published, Sweep, point_recipe

KEYS = ("title", "findings", "base", "search", "compress", "dataset", "paper", "source")


def load_sweep(folder: str) -> Sweep:
    """Read a folder of recipes, by its path or by the name of one that comes with lrea.

    Raises:
        UserError: no such folder, no recipe in it, or something in it that is misspelled or impossible.
    """
    path = _find(folder)
    files = sorted((p for p in path.glob("*.toml") if p.name != SWEEP_FILE), key=lambda p: _by_number(p.stem))
    if not files:
        raise UserError(f"There is no recipe in {path}.", "Put recipes (*.toml) into it, one a configuration.")
    origin = path / SWEEP_FILE
    content = read_toml(origin) if origin.is_file() else {}
    return read_sweep(path.resolve().name, {p.stem: load_recipe(str(p)) for p in files}, content, str(origin))


def read_sweep(name: str, recipes: dict[str, Recipe], content: Mapping[str, Any], origin: str) -> Sweep:
    """Put recipes and the content of `sweep.toml` together.

    Raises:
        UserError: an unknown key, a wrong type or an impossible value; names `origin`.
    """
    for key in content:
        if key not in KEYS:
            raise UserError(f"{origin}: unknown key '{key}'{nearest(key, KEYS)}.", f"Known: {', '.join(KEYS)}")
    base = read_value(content.get("base", "din" if "din" in recipes else None), str | None, f"{origin} base")
    tables = content.get("dataset", [])
    if not isinstance(tables, list):
        raise UserError(f"{origin}: [dataset] stands alone.", "Write [[dataset]]: there may be several.")
    paper = content.get("paper", {})
    if not isinstance(paper, Mapping):
        raise UserError(f"{origin}: paper = {paper!r} is no section.", "Write [paper.SOURCE].")
    compress = _compress(content.get("compress"), f"{origin} [compress]")
    sweep = Sweep(
        name=name,
        title=read_value(content.get("title", name), str, f"{origin} title"),
        findings=read_value(content.get("findings", ""), str, f"{origin} findings").strip(),
        recipes=recipes,
        search=_points(content.get("search", {}), f"{origin} [search]"),
        base=base,
        datasets=tuple(_plan(table, compress, f"{origin} [[dataset]]") for table in tables),
        compress=compress,
        paper={source: _published(table, f"{origin} [paper.{source}]") for source, table in paper.items()},
        changes=_changes(content.get("source", {}), origin),
    )
    _check(sweep, origin)
    return sweep


def _find(folder: str) -> Path:
    for path in (Path(folder), shipped_recipes() / folder):
        if path.is_dir():
            return path
    known = sorted({str(p.parent.relative_to(shipped_recipes())) for p in shipped_recipes().glob(f"*/{SWEEP_FILE}")})
    raise UserError(f"There is no folder '{folder}'{nearest(folder, known)}.", f"Give a path, or: {', '.join(known)}")


def _by_number(name: str) -> list[tuple[str, int]]:
    """Sorts lrea-8 before lrea-32."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)]


def _points(section: Any, origin: str) -> tuple[Point, ...]:
    if not isinstance(section, Mapping):
        raise UserError(f"{origin} is no section.", "Write [search], and under it lists such as lr = [0.02, 0.05].")
    hints = {key: hint for key, hint in get_type_hints(TrainSettings).items() if key != "seed"}
    columns: dict[str, tuple[Any, ...]] = {}
    for key, values in section.items():
        if key not in hints:
            raise UserError(f"{origin}: unknown key '{key}'{nearest(key, hints)}.", f"Known: {', '.join(hints)}")
        columns[key] = read_value(values, tuple[hints[key], ...], f"{origin} {key}")
    sizes = {key: len(values) for key, values in columns.items()}
    if len(set(sizes.values())) > 1 or 0 in sizes.values():
        raise UserError(f"{origin}: the lists have {sizes} values.", "Give all the same number: they go side by side.")
    points = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)] or [{}]
    if len({point.get("lr") for point in points}) < len(points):
        raise UserError(f"{origin}: two points have the same lr.", "Runs are named by lr: give each point its own.")
    return tuple(points)


def _plan(table: Any, compress: Compress | None, origin: str) -> DatasetPlan:
    if not isinstance(table, Mapping):
        raise UserError(f"{origin}: {table!r} is no table.", "Write [[dataset]].")
    plan = read_section(DatasetPlan, {k: v for k, v in table.items() if k != "compress"}, origin)
    return replace(plan, compress=_compress(table.get("compress"), f"{origin} compress") or compress)


def _compress(table: Any, origin: str) -> Compress | None:
    if table is None:
        return None
    if not isinstance(table, Mapping):
        raise UserError(f"{origin} = {table!r} is no table.", "Write {ranks = [4], compressors = [..]}.")
    return read_section(Compress, table, origin)


def _published(table: Any, origin: str) -> Published:
    if not isinstance(table, Mapping):
        raise UserError(f"{origin}: {table!r} is no section.", "Write [paper.SOURCE], and under it auc = {din = 0.8}.")
    found = read_section(Published, table, origin)
    return replace(found, auc={name: read_value(auc, float, f"{origin} auc {name}") for name, auc in found.auc.items()})


def _changes(table: Any, origin: str) -> dict[str, dict[str, dict[str, Any]]]:
    """[source.SOURCE]: sections of recipes; what is in them is read with each recipe."""
    remedy = "Write [source.SOURCE], and under it sections of recipes such as data = {long = 90}."
    if not isinstance(table, Mapping):
        raise UserError(f"{origin}: source = {table!r} is no section.", remedy)
    for source, sections in table.items():
        if not isinstance(sections, Mapping) or not all(isinstance(values, Mapping) for values in sections.values()):
            raise UserError(f"{origin} [source.{source}] = {sections!r} has no sections.", remedy)
    return {source: {name: dict(values) for name, values in sections.items()} for source, sections in table.items()}


def _check(sweep: Sweep, origin: str) -> None:
    """Refuse what cannot be done before any work starts."""
    if sweep.base is not None:
        _known([sweep.base], sweep.recipes, f"{origin} base")
    for source, published in sweep.paper.items():
        _known(published.auc, sweep.recipes, f"{origin} [paper.{source}] auc")
    if any(not plan.name for plan in sweep.datasets):
        raise UserError(f"{origin}: a [[dataset]] has no name.", 'Write name = "..".')
    runs = Counter(f"{plan.name}-{name}" for plan in sweep.datasets for name in sweep.names_of(plan.recipes))
    for name, count in runs.items():
        if count > 1:
            raise UserError(f"{origin}: {count} runs would be named '{name}'.", "Give each dataset its own name.")
    if sweep.compress is not None:
        _check_plan(sweep, DatasetPlan(compress=sweep.compress), origin)
    for plan in sweep.datasets:
        _check_plan(sweep, plan, f"{origin} [[dataset]] {plan.name}")
    for name, recipe in sweep.recipes.items():
        for point in sweep.search:
            point_recipe(recipe, "any", 0, point, f"{origin} [search], recipe {name}")
        for source in sweep.changes:
            sweep.recipe_on(source, name, origin)


def _check_plan(sweep: Sweep, plan: DatasetPlan, origin: str) -> None:
    _check_globs(sweep, plan.recipes, f"{origin} recipes")
    _check_whole(plan.seeds, 0, f"{origin} seeds")
    if plan.compress is None:
        return
    compress, origin = plan.compress, f"{origin} compress"
    _check_globs(sweep, compress.recipes, f"{origin} recipes")
    for name in sweep.names_of(compress.recipes):
        if sweep.recipes[name].model.method != "din":
            raise UserError(f"{origin}: '{name}' is no din.", "Only runs of full attention can be compressed.")
    _check_whole(compress.ranks, 1, f"{origin} ranks")
    _check_whole((compress.variant_rank,), 1, f"{origin} variant_rank")
    _known(map(str, compress.seeds), list(map(str, plan.seeds)), f"{origin} seeds")


def _check_globs(sweep: Sweep, globs: Iterable[str], origin: str) -> None:
    for glob in globs:
        if not sweep.names_of([glob]):
            raise UserError(
                f"{origin}: no recipe matches '{glob}'{nearest(glob, sweep.recipes)}.",
                f"There are: {', '.join(sweep.recipes)}",
            )


def _check_whole(values: tuple[int, ...], least: int, origin: str) -> None:
    if not values or min(values) < least or len(set(values)) < len(values):
        raise UserError(f"{origin} = {list(values)}.", f"Give one or more different numbers, {least} or above.")


def _known(names: Iterable[str], known: Iterable[str], origin: str) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            raise UserError(f"{origin}: '{name}' is not known{nearest(name, known)}.", f"Known: {', '.join(known)}")
