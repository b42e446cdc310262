"""Planted items, and histories in which a category comes back after lags of every scale, as in real logs.

Each behavior does one of three things: it copies the category of an earlier behavior at a power-law lag
(a discrete autoregression, DAR(p): Jacobs and Lewis, 1978), it moves to a category near an earlier one, or
it follows the crowd. Copies at short lags make sessions; the tail of the lags makes the slow drift.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lrea_cli.dataset.fields import SECONDS_PER_DAY
from lrea_cli.dataset.histories import concatenated
from lrea_cli.prepare.planted.options import PlantedOptions

ITEMS, CATEGORIES, DEPARTMENTS, LATENT_WIDTH = 12_000, 400, 25, 16
CATEGORY_SKEW, ITEM_SKEW = 0.8, 0.7
NEIGHBORS = 8
FIRST_RAW_ITEM, FIRST_RAW_CATEGORY = 100_000, 1_000
LAST_DAY = 20_423  # 2025-12-01
# Relative activity at hours 0 .. 23 (UTC): quiet at night, a peak in the evening.
DAILY_CURVE = np.array([3, 2, 1, 1, 1, 1, 2, 3, 5, 6, 7, 7, 7, 7, 7, 7, 7, 7, 8, 10, 12, 13, 11, 6], float)


@dataclass(frozen=True)
class Universe:
    """Items sorted by category, most popular first inside one.

    Args:
        category: (items,) category of each item.
        vector: (items, width) float32 unit vectors; closeness of two items = their dot product.
        quality: (items,) what makes anybody click an item, N(0, 1), half of its variance the category's.
        cumulative: (items + 1,) popularity, summed from 0 to 1.
        first: (categories + 1,) each category's first item.
        near_item, near_category: (n, 8) nearest items of the same category, nearest categories.
    """

    category: np.ndarray
    vector: np.ndarray
    quality: np.ndarray
    cumulative: np.ndarray
    first: np.ndarray
    near_item: np.ndarray
    near_category: np.ndarray

    def popular(self, uniform: np.ndarray) -> np.ndarray:
        """Items by popularity, from uniform numbers in [0, 1)."""
        return np.minimum(np.searchsorted(self.cumulative, uniform, side="right") - 1, len(self.category) - 1)

    def popular_in(self, category: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Items of the given categories by their popularity."""
        low, high = self.cumulative[self.first[category]], self.cumulative[self.first[category + 1]]
        item = self.popular(low + uniform * (high - low))
        return np.clip(item, self.first[category], self.first[category + 1] - 1)

    def raw(self, item: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Raw ids of items, and of their categories."""
        return item.astype(np.int64) + FIRST_RAW_ITEM, self.category[item].astype(np.int64) + FIRST_RAW_CATEGORY


def draw_universe(rng: np.random.Generator) -> Universe:
    """A vector is its parent's plus noise, scaled to length 1; popularity is Zipf at both levels."""
    weight = 1 / np.arange(1, CATEGORIES + 1) ** CATEGORY_SKEW
    size = np.maximum(4, np.round(ITEMS * np.sqrt(weight) / np.sqrt(weight).sum())).astype(int)
    category = np.repeat(np.arange(CATEGORIES), size)
    first = np.r_[0, np.cumsum(size)]
    rank = np.arange(len(category)) - first[category] + 1
    inside = 1 / rank**ITEM_SKEW
    popularity = weight[category] * inside / np.bincount(category, inside)[category]
    cumulative = np.r_[0, np.cumsum(popularity / popularity.sum())]
    departments = _unit(rng.standard_normal((DEPARTMENTS, LATENT_WIDTH)))
    department = rng.integers(0, DEPARTMENTS, CATEGORIES)
    centers = _unit(departments[department] + _noise(rng, CATEGORIES, 1.0))
    vector = _unit(centers[category] + _noise(rng, len(category), 0.6))
    return Universe(
        category,
        vector.astype(np.float32),
        np.sqrt(0.5) * (rng.standard_normal(CATEGORIES)[category] + rng.standard_normal(len(category))),
        cumulative,
        first,
        np.concatenate([_nearest(vector[a:b]) + a for a, b in pairwise(first)]),
        _nearest(centers),
    )


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _noise(rng: np.random.Generator, rows: int, scale: float) -> np.ndarray:
    return scale * _unit(rng.standard_normal((rows, LATENT_WIDTH)))


def _nearest(vectors: np.ndarray) -> np.ndarray:
    """(n, 8) indices of the nearest others, again from the nearest where there are fewer than 8 others."""
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    order = np.argsort(-similarity, axis=1, kind="stable")[:, : max(1, min(NEIGHBORS, len(vectors) - 1))]
    return order[:, np.arange(NEIGHBORS) % order.shape[1]]


@dataclass(frozen=True)
class Habits:
    """How users of one length setting behave; measured against the table in the design's section 4.

    Args:
        days: days from the first behavior to the last.
        median, sigma, cut: lognormal lengths, cut above.
        empty, single: shares of users with no behavior, with one.
        copy, copy_spread: mean over users of the probability to copy a category, and its spread (logits).
        lag_exponent, lag_offset: a lag k has weight (k + offset) ** -exponent.
        wander: probability to move to a category near an earlier one.
        repeat, akin: probability that a copy takes the same item too, that it takes one of the nearest.
    """

    days: int = 180
    median: float = 300
    sigma: float = 1.2
    cut: int = 1000
    empty: float = 0.03
    single: float = 0.02
    copy: float = 0.77
    copy_spread: float = 0.9
    lag_exponent: float = 1.72
    lag_offset: float = 0.0
    wander: float = 0.05
    repeat: float = 0.37
    akin: float = 0.165


HABITS = {
    "long": Habits(),
    "week": Habits(
        days=9,
        median=77,
        sigma=0.75,
        empty=0.01,
        single=0.01,
        copy=0.765,
        copy_spread=0.4,
        lag_exponent=1.78,
        lag_offset=1.2,
        wander=0.03,
        repeat=0.07,
        akin=0.1,
    ),
}


@dataclass(frozen=True)
class Histories:
    """Ragged histories: user u's behaviors are rows offsets[u] : offsets[u + 1], oldest first."""

    lengths: np.ndarray
    offsets: np.ndarray
    item: np.ndarray
    time: np.ndarray

    def before(self, user: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Number of each user's behaviors strictly before a time."""
        owner = np.repeat(np.arange(len(self.lengths)), self.lengths)
        span = 1 << 34  # more than any epoch second of this data set
        return np.searchsorted(owner * span + self.time, user * span + time, side="left") - self.offsets[user]


def draw_histories(universe: Universe, options: PlantedOptions, users: int, rng: np.random.Generator) -> Histories:
    """Histories that end on `LAST_DAY`; of the preset `exchangeable` each user's behaviors are in random order."""
    habits = HABITS[options.lengths]
    lengths = _draw_lengths(habits, users, rng)
    item = _draw_items(universe, habits, lengths, options.drift, rng)
    owner = np.repeat(np.arange(users), lengths)
    if options.preset == "exchangeable":
        item = item[np.lexsort((rng.random(len(item)), owner))]
    return Histories(lengths, np.r_[0, np.cumsum(lengths)], item, _draw_times(owner, habits.days, rng))


def draw_second_of_day(rng: np.random.Generator, count: int) -> np.ndarray:
    """Seconds after midnight, by the daily curve."""
    hour = rng.choice(24, count, p=DAILY_CURVE / DAILY_CURVE.sum())
    return hour * 3600 + rng.integers(0, 3600, count)


def _draw_lengths(habits: Habits, users: int, rng: np.random.Generator) -> np.ndarray:
    lengths = np.exp(rng.normal(np.log(habits.median), habits.sigma, users)).astype(int)
    kind = rng.random(users)
    lengths[kind < habits.empty + habits.single] = 1
    lengths[kind < habits.empty] = 0
    return np.minimum(lengths, habits.cut)


def _draw_items(
    universe: Universe, habits: Habits, lengths: np.ndarray, drift: float, rng: np.random.Generator
) -> np.ndarray:
    """All users step together, the longest history first, so that the active users are a prefix."""
    users, longest = len(lengths), int(lengths.max(initial=0))
    order = np.argsort(-lengths, kind="stable")
    active = np.searchsorted(-lengths[order], -np.arange(longest), side="left")
    lag_weight = (np.arange(1, longest + 1) + habits.lag_offset) ** -(habits.lag_exponent * drift)
    lag_mass = np.cumsum(lag_weight)
    odds = np.log(habits.copy / (1 - habits.copy)) + habits.copy_spread * rng.standard_normal(users)
    copy = 1 / (1 + np.exp(-odds))
    wander = copy + habits.wander * (1 - copy) / (1 - habits.copy)
    items = np.zeros((longest, users), np.int32)
    for step in range(longest):
        n = active[step]
        draw = rng.random((5, n))
        lag = 1 + np.searchsorted(lag_mass[:step], draw[0] * lag_mass[step - 1], side="right") if step else 1
        source = items[np.maximum(step - lag, 0), np.arange(n)]
        category = universe.category[source]
        neighbor = (draw[1] * NEIGHBORS).astype(int)
        near = universe.near_category[category, neighbor]
        copies = (draw[2] < copy[:n]) & (step > 0)
        wanders = (draw[2] < wander[:n]) & (step > 0)
        moved = universe.popular_in(np.where(copies, category, near), draw[3])
        item = np.where(wanders, moved, universe.popular(draw[3]))
        item = np.where(copies & (draw[4] < habits.repeat + habits.akin), universe.near_item[source, neighbor], item)
        items[step, :n] = np.where(copies & (draw[4] < habits.repeat), source, item)
    owner, position = concatenated(np.zeros_like(lengths), lengths)
    return items[position, np.argsort(order)[owner]]


def _draw_times(owner: np.ndarray, days: int, rng: np.random.Generator) -> np.ndarray:
    """Sessions of about eight behaviors, 5 to 119 seconds apart, on random days by the daily curve."""
    if not len(owner):
        return np.zeros(0, np.int64)
    opens = (rng.random(len(owner)) < 1 / 8) | np.r_[True, owner[1:] != owner[:-1]]
    session = np.cumsum(opens) - 1
    day = LAST_DAY - rng.integers(0, days, session[-1] + 1)
    start = day * SECONDS_PER_DAY + draw_second_of_day(rng, session[-1] + 1)
    elapsed = np.cumsum(rng.integers(5, 120, len(owner)))
    time = start[session] + elapsed - elapsed[np.flatnonzero(opens)][session]
    time = np.minimum(time, (LAST_DAY + 1) * SECONDS_PER_DAY - 1)
    return time[np.lexsort((time, owner))]
