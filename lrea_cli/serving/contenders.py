"""Who takes part in a trade-off: each method by its latest run, and what makes a din run's records smaller."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from lrea_cli.errors import UserError, nearest
from lrea_cli.recipe import METHOD_NAMES, Compression, CompressorName
from lrea_cli.serving.cache import Cache, compression_of
from lrea_cli.serving.records import RecordFormat
from lrea_cli.training.checkpoint import Run
from lrea_cli.workspace import Artifact, Workspace, as_json

RANK = 16
"""Rows of a compressed record."""


@dataclass(frozen=True)
class Contender:
    """One way to serve a run.

    Args:
        cache: of the run. route: through its records; or `full`: attention over the history itself, of a din run.
    """

    run: Run
    cache: Cache
    route: Literal["cache", "full"] = "cache"

    @property
    def name(self) -> str:
        """`lrea`; `din, clusters 16`; `full attention`."""
        if self.route == "full":
            return "full attention"
        method, made = self.run.recipe.model.method, self.cache.compression
        if made is None:
            return method
        return f"{method}, {made.compressor}" + ("" if made.compressor == "mean" else f" {made.rank}")

    @property
    def scores(self) -> Artifact:
        """Where `eval` keeps its scores: with the cache that a compressor made, else with the run."""
        return self.cache.artifact if self.cache.compression else self.run.artifact


def chosen_methods(text: str) -> tuple[str, ...]:
    """`all`, or names with commas, in the order of all methods.

    Raises:
        UserError: there is no method of such a name.
    """
    if text == "all":
        return METHOD_NAMES
    names = [part.strip() for part in text.split(",")]
    for name in names:
        if name not in METHOD_NAMES:
            known = ", ".join(METHOD_NAMES)
            raise UserError(
                f"--methods: there is no method '{name}'{nearest(name, METHOD_NAMES)}.", f"Known: all, {known}"
            )
    return tuple(name for name in METHOD_NAMES if name in names)


def latest_runs(workspace: Workspace, dataset: Artifact, methods: Sequence[str]) -> dict[str, str]:
    """Method -> its latest run on this version of the dataset, for those that have one.

    Raises:
        UserError: none of them has.
    """
    here = [a for a in workspace.all("runs") if dataset.is_parent_of(a)]
    latest = {a.manifest["method"]: a.name for a in sorted(here, key=lambda a: a.order)}
    found = {method: latest[method] for method in methods if method in latest}
    if not found:
        raise UserError(
            f"The dataset '{dataset.name}' has no run of {', '.join(methods)}.",
            f"Train one with: {training(methods[-1], dataset.name)}",
        )
    return found


def training(method: str, dataset: str) -> str:
    """The command that trains a method."""
    return f"lrea train --method {method} --dataset {dataset}"


def compressions(method: str) -> Iterator[Compression | None]:
    """How a run's records are made: by its method; and those of a din run also smaller, by each compressor."""
    yield None
    if method == "din":
        for name in get_args(CompressorName):
            yield Compression(name, 1 if name == "mean" else RANK)


def find_whole_cache(workspace: Workspace, run: Run, compression: Compression | None) -> str | None:
    """Name of the latest float32 cache with the records of all users at the end of the data, made in this way.

    Args:
        run: that the cache must be of, this version of it.
    """
    layout = as_json(RecordFormat(run.model.long.record, "float32").to_dict())
    made = [
        a
        for a in workspace.all("caches")
        if run.artifact.is_parent_of(a)
        and (a.manifest["users"], a.manifest["as_of"], a.manifest["layout"])
        == (run.dataset.users, run.dataset.end, layout)
        and compression_of(a) == compression
    ]
    return max(made, key=lambda a: a.order).name if made else None
