"""The planted data set's items: departments of categories of items, with a latent vector and a popularity."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

ITEMS, CATEGORIES, DEPARTMENTS, LATENT_WIDTH = 12_000, 400, 25, 16
CATEGORY_SKEW, ITEM_SKEW = 0.8, 0.7
NEIGHBORS = 8
FIRST_RAW_ITEM, FIRST_RAW_CATEGORY = 100_000, 1_000


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
