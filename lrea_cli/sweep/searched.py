"""What a search on worlds came to: all trials as numbers, and the chosen recipes as files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lrea_cli.recipe.chosen import Chosen, as_toml
from lrea_cli.sweep.gather import prepared, tried
from lrea_cli.sweep.results import About, Prepared, Tried
from lrea_cli.sweep.run import Searched
from lrea_cli.sweep.search import Trial, chosen
from lrea_cli.sweep.settings import Sweep
from lrea_cli.sweep.variants import with_point
from lrea_cli.workspace.sealed import as_json, replacing


@dataclass(frozen=True)
class SearchResults(About):
    """A search.

    Args:
        space: [search] of the folder, as it was written.
        worlds: their datasets.
        tried: every training.
        chosen: by recipe; one of which no training ended well has none.
        failed: message of each job that failed, by its name.
    """

    sweep: str
    title: str
    recipes: dict[str, dict[str, Any]]
    space: dict[str, Any]
    worlds: tuple[Prepared, ...]
    tried: tuple[Tried, ...]
    chosen: dict[str, Chosen]
    failed: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON gives them back."""
        return as_json(asdict(self))


def gather_search(sweep: Sweep, searched: Searched, about: About) -> SearchResults:
    """All numbers of a search, from the files of its jobs."""
    best = {name: trial for name, own in searched.trials.items() if (trial := chosen(sweep.search, own))}
    return SearchResults(
        **vars(about),
        sweep=sweep.name,
        title=sweep.title,
        recipes={name: as_json(recipe.to_dict()) for name, recipe in sweep.recipes.items()},
        space=as_json(dict(sweep.search.content)),
        worlds=tuple(prepared(dataset, sweep.seeds[:1]) for dataset in searched.datasets),
        tried=tuple(_tried(searched, best)),
        chosen={name: _chosen(sweep, searched, trial) for name, trial in best.items()},
        failed={failure.job: failure.message for failure in searched.failures},
    )


def write_recipes(sweep: Sweep, results: SearchResults, searched: Searched, folder: Path) -> list[Path]:
    """Write the chosen recipes into a folder, each whole or not at all; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, how in results.chosen.items():
        trial = chosen(sweep.search, searched.trials[name])
        assert trial is not None
        path = folder / f"{name}.toml"
        recipe = with_point(sweep.recipes[name], trial.point, name)
        with replacing(path) as file:
            file.write(as_toml(recipe, how).encode())
        written.append(path)
    return written


def _tried(searched: Searched, best: dict[str, Trial]) -> Iterator[Tried]:
    for name, trials in searched.trials.items():
        for trial in trials:
            is_chosen = name in best and trial.number == best[name].number
            for job in trial.jobs:
                yield tried(job.recipe.data.dataset or "", name, job, trial.point, is_chosen, trial.rung)


def _chosen(sweep: Sweep, searched: Searched, trial: Trial) -> Chosen:
    own = sweep.search.points[trial.recipe]
    settings = sorted({setting for point in own for setting in point})
    auc = trial.valid_auc
    assert auc is not None
    return Chosen(sweep.name, sweep.search.worlds, tuple(settings), len(own), round(auc, 6))
