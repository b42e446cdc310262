"""A look at prepared data: how long histories are, what is new, and what a trivial counter knows of the label."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from lrea_cli.dataset.column import concatenated
from lrea_cli.dataset.counters import COUNTERS
from lrea_cli.dataset.fields import SECONDS_PER_DAY
from lrea_cli.dataset.histories import Histories, open_histories
from lrea_cli.dataset.layout import DatasetInfo
from lrea_cli.dataset.samples import read_samples
from lrea_cli.ids import FIRST_ID
from lrea_cli.prepare.look.field_auc import TELLING
from lrea_cli.recipe.settings import DataSettings
from lrea_cli.stats.metrics.auc import auc
from lrea_cli.stats.ranks import Resolution, resolution

REQUESTS_READ = 20_000
"""Of the test split, evenly spread: enough for an AUC to .004."""

BEHAVIORS_READ = 1_000_000
"""Of whole users, evenly spread, in which repeats are counted."""

PARTS = 64
"""In so many parts: even a few behaviors of each user in a part map most of its pages."""

NEARLY_ALL = 0.9
"""A share of test samples without a long part above which a long-sequence method is of no use."""

AGE_EDGES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
COUNT_EDGES = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)


@dataclass(frozen=True)
class Quantiles:
    """Of whole numbers."""

    p50: int
    p90: int
    p99: int
    max: int


@dataclass(frozen=True)
class Histogram:
    """Counts of values in edges[i] <= x < edges[i + 1], of all or by label; the last bin is open."""

    edges: tuple[float, ...]
    counts: tuple[int, ...] = ()
    positives: tuple[int, ...] = ()
    negatives: tuple[int, ...] = ()


@dataclass(frozen=True)
class Look:
    """What a dataset looks like.

    Args:
        users, items, behaviors: how many. lengths: of whole histories, in behaviors.
        candidates: of a test request.
        long_empty: share of test samples with at most `short` behaviors before them, whose long part is empty.
        ties: share of behaviors that share their second with the behavior before, of the same user.
        repeats: share of behaviors on an item that the user had touched before.
        unknown_items: share of test samples whose item was first seen after training.
        baselines: AUC on the test split of: behaviors in the candidate's category, on the item, of all users on the
            item before the valid split, and days since the item's first behavior; None where it is not defined.
        resolution: what the test split can resolve; None where that cannot be estimated.
        days: (local day, behaviors). length_histogram, novelty, popularity: for the plots.
    """

    users: int
    items: int
    behaviors: int
    lengths: Quantiles
    candidates: Quantiles
    short: int
    long_empty: float
    ties: float
    repeats: float
    unknown_items: float
    baselines: dict[str, float | None]
    resolution: Resolution | None
    days: tuple[tuple[int, int], ...]
    length_histogram: Histogram
    novelty: Histogram
    popularity: Histogram

    @property
    def best_counter(self) -> float:
        """The largest AUC of the trivial features, read either way round; 1/2 where there is none."""
        known = [value for value in self.baselines.values() if value is not None]
        return max((max(value, 1 - value) for value in known), default=0.5)

    def warnings(self) -> list[str]:
        """A sentence for each trivial feature that separates the labels, and where there is no long part."""
        warnings = [
            f"The counter of {TITLES[name]} alone has AUC {value:.3f} on the test split: it separates the labels, "
            "and a model may learn nothing else."
            for name, value in self.baselines.items()
            if value is not None and not 1 - TELLING <= value <= TELLING
        ]
        if self.long_empty > NEARLY_ALL:
            warnings.append(
                f"{self.long_empty:.0%} of the test samples have no more than {self.short} behaviors before them: at "
                "the default --short a long-sequence method has nothing to work on. Train with a smaller one; recipes "
                "amazon-books-lrea and kuairand have 10."
            )
        return warnings


TITLES = {name: counter.title for name, counter in COUNTERS.items()} | {
    "novelty": "days since the candidate's first behavior"
}


def look_at(dataset: DatasetInfo) -> Look:
    """Read histories and the test split of a dataset."""
    manifest, histories, short = dataset.manifest, open_histories(dataset), DataSettings.short
    items = next(f for f in manifest.fields if f.name == "item")
    test = read_samples(dataset, "test")
    candidates = _quantiles(np.diff(test.offsets))
    long_empty = float(np.mean(test.history_length[test.row_request] <= short))
    unknown_items = float(np.mean(test.ids["item"] >= items.size))
    some = test.of_requests(_spread(test.requests, REQUESTS_READ))
    test_users = len(np.unique(test.user))
    del test  # of a large log as large as all that follows
    first = _first_times(histories, items.size + items.late)
    age = np.maximum(some.time[some.row_request] - first[some.ids["item"]], 0) / SECONDS_PER_DAY
    del first
    values = {name: each.values(some, histories, manifest.splits.valid_from) for name, each in COUNTERS.items()}
    counters = {name: scores for name, scores in values.items() if scores is not None}
    aucs = {name: None if scores is None else auc(scores, some.label) for name, scores in values.items()}
    lengths = np.diff(histories.offsets)
    return Look(
        users=histories.users,
        items=manifest.items,
        behaviors=int(histories.offsets[-1]),
        lengths=_quantiles(lengths),
        candidates=candidates,
        short=short,
        long_empty=long_empty,
        ties=_ties(histories),
        repeats=_repeats(histories),
        unknown_items=unknown_items,
        baselines={**aucs, "novelty": auc(age, some.label)},
        resolution=resolution(counters, some.label, some.user[some.row_request], test_users),
        days=_days(histories, manifest.utc_offset_minutes * 60),
        length_histogram=_histogram(lengths, COUNT_EDGES),
        novelty=_by_label(age, some.label, AGE_EDGES),
        popularity=_by_label(counters["popularity"], some.label, COUNT_EDGES),
    )


def _first_times(histories: Histories, size: int) -> np.ndarray:
    """(size,) when the first behavior on each item was; never: the end of time."""
    first = np.full(size, np.iinfo(np.int64).max // 2)
    for part in histories.parts():
        item = histories.columns["item"][part]
        known = item >= FIRST_ID  # behaviors without an item are not of one item
        np.minimum.at(first, item[known], histories.time[part][known])
    return first


def _ties(histories: Histories) -> float:
    """Neighbors of one user with the same time, over all behaviors."""
    total = len(histories.time)
    starts = np.unique(histories.offsets[1:-1])
    starts = starts[(starts > 0) & (starts < total)]
    same = 0
    for part in histories.parts():
        time = histories.time[part.start : part.stop + 1]
        first, last = np.searchsorted(starts, (part.start, part.stop), side="right")
        start = starts[first:last] - part.start  # of a user after the first of the part
        same += int((np.diff(time) == 0).sum() - (time[start] == time[start - 1]).sum())
    return same / max(1, total)


def _repeats(histories: Histories) -> float:
    """Of evenly spread users: 1 - distinct (user, item) / behaviors."""
    total = int(histories.offsets[-1])
    wanted = max(1, round(histories.users * min(1.0, BEHAVIORS_READ / max(1, total))))
    distinct = behaviors = 0
    for part in np.array_split(_spread(histories.users, wanted), PARTS):
        first = histories.offsets[part]
        owner, index = concatenated(first, histories.offsets[part + 1] - first)
        item = histories.columns["item"][index].astype(np.int64)
        known = item >= FIRST_ID
        distinct += len(np.unique((owner << 32 | item)[known])) + int((~known).sum())
        behaviors += len(owner)
        histories.release()
    return 1 - distinct / behaviors if behaviors else 0.0


def _days(histories: Histories, offset: int) -> tuple[tuple[int, int], ...]:
    """(local day, behaviors), days without any left out."""
    counts: Counter[int] = Counter()
    for part in histories.parts():
        days, behaviors = np.unique((histories.time[part] + offset) // SECONDS_PER_DAY, return_counts=True)
        counts.update(dict(zip(days.tolist(), behaviors.tolist(), strict=True)))
    return tuple(sorted(counts.items()))


def _by_label(values: np.ndarray, labels: np.ndarray, edges: tuple[float, ...]) -> Histogram:
    positive, negative = (_histogram(values[labels == label], edges).counts for label in (1, 0))
    return Histogram(edges, positives=positive, negatives=negative)


def _histogram(values: np.ndarray, edges: tuple[float, ...]) -> Histogram:
    return Histogram(edges, tuple(np.histogram(values, (*edges, np.inf))[0].tolist()))


def _quantiles(values: np.ndarray) -> Quantiles:
    if not len(values):
        return Quantiles(0, 0, 0, 0)
    return Quantiles(*map(int, np.quantile(values, (0.5, 0.9, 0.99, 1.0), method="inverted_cdf")))


def _spread(total: int, wanted: int) -> np.ndarray:
    """At most `wanted` of 0 .. total - 1, evenly spread."""
    return np.unique(np.linspace(0, total - 1, min(total, wanted)).round().astype(np.int64))
