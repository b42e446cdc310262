"""docs/results: every committed page is that of the numbers beside it, and of the command that stands on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lrea_cli.recipe.chosen import Chosen, read_chosen
from lrea_cli.recipe.recipe import shipped_recipes
from lrea_cli.recipe.worlds import find_world, world_names, world_of
from lrea_cli.reporting.results import page
from lrea_cli.reporting.search import search_page
from lrea_cli.stats.metrics import METRICS
from lrea_cli.sweep.results import Compressed, LeftOut, OverSeeds, Prepared, Results, Scored, Tried
from lrea_cli.sweep.searched import SearchResults
from lrea_cli.sweep.settings import load_sweep
from lrea_cli.workspace.sealed import SEAL

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted((DOCS / "results").glob("*.md"))
OF_SEARCHES = [path for path in PAGES if (path.with_suffix("") / "search.json").exists()]
OF_SWEEPS = [path for path in PAGES if path not in OF_SEARCHES]
OF_DEFAULTS = {"budget"}
"""Sweeps of `recipes/methods`, whose settings no search chose."""
KINDS = {"datasets": Prepared, "tried": Tried, "scored": Scored, "compressed": Compressed, "left_out": LeftOut}


def read_results(content: Mapping[str, Any]) -> Results:
    """Back from the JSON file of a page."""
    made = {name: tuple(kind(**_read(row)) for row in content[name]) for name, kind in KINDS.items()}
    return Results(**{**content, "search": tuple(content["search"]), **made})


def _read(row: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: _value(value) for name, value in row.items()}
    if "auc_served" in row:  # of a recipe: each metric is a key
        values["metrics"] = {m.name: values.pop(m.name) for m in METRICS if m.name in values}
    return values


def _value(value: Any) -> Any:
    if isinstance(value, Mapping) and {"values", "mean", "sd", "ci"} <= set(value):
        return OverSeeds(**{name: _value(inner) for name, inner in value.items()})
    return tuple(value) if isinstance(value, list) else value


def content_of(numbers: Path) -> dict[str, Any]:
    content = json.loads(numbers.read_text(encoding="utf-8"))
    content.pop(SEAL)
    return content


def test_there_are_pages_of_both_kinds() -> None:
    assert OF_SEARCHES
    assert OF_SWEEPS


@pytest.mark.parametrize("committed", OF_SWEEPS, ids=lambda path: path.stem)
def test_a_committed_page_of_a_sweep_is_that_of_its_numbers(committed: Path) -> None:
    (numbers,) = (DOCS / "results" / committed.stem).glob("*.json")
    results = read_results(content_of(numbers))
    assert committed.read_text(encoding="utf-8") == page(results, f"{committed.stem}/{numbers.name}")
    assert results.command.startswith(f"lrea sweep {results.sweep} --dataset {results.datasets[0].name} ")
    assert results.command.endswith(f" --page docs/results/{committed.name}")
    assert f"results/{committed.name}" in (DOCS / "results.md").read_text(encoding="utf-8")
    assert not results.failed


@pytest.mark.parametrize("committed", OF_SWEEPS, ids=lambda path: path.stem)
def test_no_setting_of_a_table_was_chosen_on_the_log_of_the_table(committed: Path) -> None:
    (numbers,) = (DOCS / "results" / committed.stem).glob("*.json")
    results = read_results(content_of(numbers))
    (dataset,) = results.datasets
    assert all(point == {} for point in results.search), "a table searches nothing: its settings come from elsewhere"
    settings = load_sweep(results.sweep)
    recipes = {settings.curve[name][0] if name in settings.curve else name for name in settings.recipes}
    assert set(results.chosen) == (set() if results.sweep in OF_DEFAULTS else recipes)
    if (world := world_of(dataset.source, dataset.options)) is not None:
        assert world.role == "table"
        for how in results.chosen.values():
            assert world.name not in how["worlds"]
            assert all(find_world(name).role == "development" for name in how["worlds"])


@pytest.mark.parametrize("committed", OF_SEARCHES, ids=lambda path: path.stem)
def test_a_committed_page_of_a_search_is_that_of_its_numbers(committed: Path) -> None:
    numbers = committed.with_suffix("") / "search.json"
    content = content_of(numbers)
    made = {
        "worlds": tuple(Prepared(**world) for world in content["worlds"]),
        "tried": tuple(Tried(**tried) for tried in content["tried"]),
        "chosen": {name: Chosen(**how) for name, how in content["chosen"].items()},
    }
    results = SearchResults(**{**content, **made})
    assert committed.read_text(encoding="utf-8") == search_page(results, f"{committed.stem}/{numbers.name}")
    assert results.command == f"lrea search methods --chosen recipes/chosen --page docs/results/{committed.name}"
    for name, how in results.chosen.items():
        assert replace(how, worlds=tuple(how.worlds), settings=tuple(how.settings)) == read_chosen(
            shipped_recipes() / "chosen" / f"{name}.toml"
        )


def test_every_world_is_for_development_or_for_tables() -> None:
    assert {find_world(name).role for name in world_names()} == {"development", "table"}
