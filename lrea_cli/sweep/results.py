"""All numbers of a finished sweep, as `results.json` has them and the page and the tables show them."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lrea_cli.sweep.settings import Published
from lrea_cli.workspace.sealed import SEAL

Interval = tuple[float, float]


@dataclass(frozen=True)
class OverSeeds:
    """One number over the seeds; None where it is undefined.

    Args:
        values: one a seed. mean, sd: of those that are defined; sd of two at least.
        ci: 95% for other users, given the trained models: the bounds are means over the seeds of each seed's bounds.
    """

    values: tuple[float | None, ...]
    mean: float | None
    sd: float | None
    ci: Interval | None = None

    @property
    def range(self) -> Interval | None:
        """The smallest and the largest seed's; None where fewer than two are defined."""
        known = [v for v in self.values if v is not None]
        return (min(known), max(known)) if len(known) > 1 else None

    @property
    def resolved(self) -> bool:
        """Of a difference: zero lies outside the interval, and all seeds agree in sign."""
        spans = [span for span in (self.ci, self.range) if span is not None]
        return self.ci is not None and all(not low <= 0 <= high for low, high in spans)


def over_seeds(values: Iterable[float | None], intervals: Iterable[Sequence[float] | None] = ()) -> OverSeeds:
    """Mean and spread; the interval only where every seed has one."""
    values, bounds = tuple(values), list(intervals)
    known = [v for v in values if v is not None]
    ci = None
    if bounds and all(b is not None for b in bounds):
        low, high = (statistics.fmean(b[side] for b in bounds if b is not None) for side in (0, 1))
        ci = (low, high)
    mean = statistics.fmean(known) if known else None
    return OverSeeds(values, mean, statistics.stdev(known) if len(known) > 1 else None, ci)


@dataclass(frozen=True)
class Prepared:
    """One dataset.

    Args:
        best: what its source knows to be reachable (`bayes_auc`), empty for real logs.
        changes: what all recipes have here in place of their own, by section.
    """

    name: str
    source: str
    options: dict[str, Any]
    seeds: tuple[int, ...]
    users: int
    items: int
    samples: dict[str, int]
    best: dict[str, float]
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Tried:
    """One training of the search or of another seed.

    Args:
        point: values of [train] that were searched. valid_auc, ..: None where it failed.
        chosen: its point is the one that the dataset's other seeds were trained with.
    """

    dataset: str
    recipe: str
    run: str
    seed: int
    point: dict[str, float]
    chosen: bool
    valid_auc: float | None = None
    best_epoch: int | None = None
    epochs: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Scored:
    """One recipe on one dataset, on the test split, with the chosen point.

    Args:
        gap: auc_served - auc. rms_over_sd: of the logit's change from the trained to the served form, over the sd of
            the trained one's. difference, difference_served: AUC minus that of the base of the same seed, in either
            form, paired by user; None for the base itself and where there is none. to_best, to_best_served: the same
            with the recipe of the highest mean in place of the base; None in results from before they were kept, too.
    """

    dataset: str
    recipe: str
    seeds: tuple[int, ...]
    point: dict[str, float]
    auc: OverSeeds
    gauc: OverSeeds
    difference: OverSeeds | None
    auc_served: OverSeeds
    difference_served: OverSeeds | None
    gap: OverSeeds
    rms_over_sd: OverSeeds
    column_entropy: OverSeeds
    bytes_per_record: OverSeeds
    rows_changed: OverSeeds
    flops_changed: OverSeeds
    normalized_entropy: OverSeeds
    best_counter: OverSeeds
    seconds: OverSeeds
    to_best: OverSeeds | None = None
    to_best_served: OverSeeds | None = None


def best_of(scored: Sequence[Scored], auc: Callable[[Scored], OverSeeds]) -> Scored:
    """The recipe of the highest mean AUC, the first of equals.

    Args:
        scored: of one dataset. auc: as trained, or as served.
    """

    def mean(one: Scored) -> float:
        found = auc(one).mean
        return -math.inf if found is None else found

    return max(scored, key=mean)


@dataclass(frozen=True)
class Compressed:
    """One way of compressing a recipe's runs: deviation of the logit over its sd, and AUC minus full attention's."""

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
class Results:
    """A sweep.

    Args:
        command: that made it. date: UTC. machine: cpu, cores, jobs at a time. recipes: as they are in the folder.
        search: the points. failed: message of each job that failed, by its name.
        paper: published numbers, by the name of the dataset; only for datasets that are the paper's.
        fidelity: how many mechanisms have each status, by the section of docs/fidelity.md.
    """

    sweep: str
    title: str
    findings: str
    command: str
    date: str
    machine: dict[str, Any]
    versions: dict[str, str]
    base: str | None
    recipes: dict[str, dict[str, Any]]
    search: tuple[dict[str, float], ...]
    datasets: tuple[Prepared, ...]
    tried: tuple[Tried, ...]
    scored: tuple[Scored, ...]
    compressed: tuple[Compressed, ...]
    failed: dict[str, str]
    left_out: tuple[LeftOut, ...] = ()
    paper: dict[str, Published] = field(default_factory=dict)
    fidelity: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def statuses(self) -> Counter[str]:
        """How many mechanisms have each status, of all papers together."""
        totals = Counter[str]()
        for counts in self.fidelity.values():
            totals.update(counts)
        return totals

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON gives them back."""
        return json.loads(json.dumps(asdict(self), allow_nan=False))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Results:
        """Back from `results.json`, of a version without `left_out`, `paper` or `fidelity`, too."""
        content = {"left_out": (), "paper": {}, **{k: v for k, v in content.items() if k != SEAL}}
        kinds = {
            "datasets": Prepared,
            "tried": Tried,
            "scored": Scored,
            "compressed": Compressed,
            "left_out": LeftOut,
        }
        made = {name: tuple(kind(**_read(row)) for row in content[name]) for name, kind in kinds.items()}
        paper = {dataset: Published(**table) for dataset, table in content["paper"].items()}
        return cls(**{**content, "search": tuple(content["search"]), "paper": paper, **made})


def _read(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(value) for name, value in row.items()}


def _value(value: Any) -> Any:
    if isinstance(value, Mapping) and set(value) == {"values", "mean", "sd", "ci"}:
        return OverSeeds(**{name: _value(inner) for name, inner in value.items()})
    return tuple(value) if isinstance(value, list) else value
