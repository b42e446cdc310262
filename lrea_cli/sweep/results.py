"""All numbers of a finished sweep, as `results.json` has them and the page and the tables show them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lrea_cli.stats.estimates import Interval
from lrea_cli.stats.methods import OVER_SEEDS, MethodEstimate
from lrea_cli.workspace.sealed import as_json


@dataclass(frozen=True)
class OverSeeds:
    """One number over the seeds.

    Args:
        values: one a seed; None where it is undefined.
        mean, sd: of those that are defined; sd of two at least.
        ci: 95% for other users, given the trained models: the bounds are means over the seeds of each seed's bounds.
        ci_over_seeds: 95% of the mean for other seeds and other users; None where one seed is defined, and in results
            from before it was kept.
    """

    values: tuple[float | None, ...]
    mean: float | None
    sd: float | None
    ci: Interval | None = None
    ci_over_seeds: Interval | None = None

    @property
    def interval(self) -> Interval | None:
        """Over seeds and users where that is known, else given the trained models."""
        return self.ci if self.ci_over_seeds is None else self.ci_over_seeds

    @property
    def range(self) -> Interval | None:
        """The smallest and the largest seed's; None where fewer than two are defined."""
        known = [v for v in self.values if v is not None]
        return (min(known), max(known)) if len(known) > 1 else None

    @property
    def resolved(self) -> bool:
        """Of a difference: zero lies outside the interval over seeds and users.

        Where there is none: outside the one given the trained models, and all seeds agree in sign.
        """
        if self.ci_over_seeds is not None:
            return not self.ci_over_seeds[0] <= 0 <= self.ci_over_seeds[1]
        spans = [span for span in (self.ci, self.range) if span is not None]
        return self.ci is not None and all(not low <= 0 <= high for low, high in spans)


def over_seeds(
    values: Iterable[float | None],
    intervals: Iterable[Sequence[float] | None] = (),
    of_method: MethodEstimate | None = None,
) -> OverSeeds:
    """Mean and spread; `ci` only where every seed has one, `ci_over_seeds` where that of the method covers seeds."""
    values, bounds = tuple(values), list(intervals)
    known = [v for v in values if v is not None]
    ci = None
    if bounds and all(b is not None for b in bounds):
        low, high = (statistics.fmean(b[side] for b in bounds if b is not None) for side in (0, 1))
        ci = (low, high)
    mean = statistics.fmean(known) if known else None
    over = of_method.ci if of_method is not None and of_method.cover == OVER_SEEDS else None
    return OverSeeds(values, mean, statistics.stdev(known) if len(known) > 1 else None, ci, over)


@dataclass(frozen=True)
class Prepared:
    """One dataset; `best`: what its source knows to be reachable (`bayes_auc`), empty for real logs."""

    name: str
    source: str
    options: dict[str, Any]
    seeds: tuple[int, ...]
    users: int
    items: int
    samples: dict[str, int]
    best: dict[str, float]


@dataclass(frozen=True)
class Tried:
    """One training of the search or of another seed.

    Args:
        point: the settings that were searched.
        rung: of the search, from 0.
        chosen: its point is the one that the other seeds were trained with.
        valid_auc, best_epoch, epochs, seconds: None where it failed.
    """

    dataset: str
    recipe: str
    run: str
    seed: int
    point: dict[str, Any]
    chosen: bool
    valid_auc: float | None = None
    best_epoch: int | None = None
    epochs: int | None = None
    seconds: float | None = None
    rung: int = 0


@dataclass(frozen=True)
class Scored:
    """One recipe on the test split, with the chosen point.

    Args:
        metrics: by name, as trained; `auc` with its intervals.
        gap: auc_served - auc.
        rms_over_sd: of the logit's change from the trained to the served form, over the sd of the trained one's.
        difference, difference_served: AUC minus that of the base, in either form, the same users drawn for both; None
            for the base itself and where there is none.
        curve, share: of a learning curve, the recipe and the share of the training users that it learnt from.
        train_rows: samples that it learnt from.
    """

    dataset: str
    recipe: str
    seeds: tuple[int, ...]
    point: dict[str, Any]
    metrics: dict[str, OverSeeds]
    difference: OverSeeds | None
    auc_served: OverSeeds
    difference_served: OverSeeds | None
    gap: OverSeeds
    rms_over_sd: OverSeeds
    column_entropy: OverSeeds
    bytes_per_record: OverSeeds
    rows_changed: OverSeeds
    flops_changed: OverSeeds
    best_counter: OverSeeds
    seconds: OverSeeds
    curve: str | None = None
    share: float = 1.0
    train_rows: OverSeeds | None = None

    @property
    def auc(self) -> OverSeeds:
        """As trained."""
        return self.metrics["auc"]


@dataclass(frozen=True)
class Compressed:
    """A recipe's runs by one compressor: deviation of the logit over its sd, and AUC minus full attention's."""

    dataset: str
    recipe: str
    compressor: str
    rank: int
    seeds: tuple[int, ...]
    deviation: OverSeeds
    deviation_long: OverSeeds
    difference: OverSeeds
    bytes_per_record: OverSeeds


@dataclass(frozen=True)
class LeftOut:
    """A recipe of which no model can be made for a dataset."""

    dataset: str
    recipe: str
    reason: str


@dataclass(frozen=True)
class About:
    """How results came about: the date in UTC; of the machine its cpu, its cores, and the jobs at a time."""

    command: str
    date: str
    machine: dict[str, Any]
    versions: dict[str, str]


@dataclass(frozen=True)
class Results(About):
    """A sweep.

    Args:
        search: the points that every recipe tried; none where each has its own.
        space: [search] of the folder, where each recipe has its own points.
        chosen: how the settings of recipes were found that `lrea search` wrote.
        published: what a paper reports for the dataset: the name of the table, and AUC by recipe; empty = nothing.
        changes: by section, what all recipes have in place of their own on datasets of this source.
        failed: message of each job that failed, by its name.
    """

    sweep: str
    title: str
    base: str | None
    recipes: dict[str, dict[str, Any]]
    search: tuple[dict[str, Any], ...]
    datasets: tuple[Prepared, ...]
    tried: tuple[Tried, ...]
    scored: tuple[Scored, ...]
    compressed: tuple[Compressed, ...]
    failed: dict[str, str]
    left_out: tuple[LeftOut, ...] = ()
    space: dict[str, Any] = field(default_factory=dict)
    chosen: dict[str, dict[str, Any]] = field(default_factory=dict)
    published: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON gives them back; each metric of a recipe is a key."""
        content = as_json(asdict(self))
        for row in content["scored"]:
            row |= row.pop("metrics")
        return content
