"""What the label of a planted data set owes to a history: sums over the behaviors before each request."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from lrea_cli.prepare.planted.options import PlantedOptions
from lrea_cli.prepare.planted.streams import Histories, Universe

CLOSE_ENOUGH = 0.1
AGE_SCALE, AGE_EXPONENT = 64.0, 0.75
CELLS_PER_CHUNK = 4_000_000
LABEL_WEIGHTS = {
    "drift": (-2.7, 0.85, 0.85, 0.0),
    "exchangeable": (-2.7, 0.7, 0.7, 0.0),
    "exact-item": (-2.2, 0.0, 3.0, 0.0),
    "category-count": (-2.9, 0.0, 0.0, 1.0),
}
"""Of the logit (see `dataset.draw_requests`) in each preset: bias, close, repeat, count."""


def from_history(
    universe: Universe, histories: Histories, history_length: np.ndarray, item: np.ndarray, options: PlantedOptions
) -> np.ndarray:
    """The bias, and the terms of the logit that depend on the history; (users, requests, candidates)."""
    bias, close_weight, repeat_weight, count_weight = LABEL_WEIGHTS[options.preset]
    if count_weight:
        return bias + count_weight * np.log1p(category_count(universe, histories, history_length, item))
    weight_of = np.ones_like if options.preset == "exchangeable" else aged
    close, repeat = closeness(universe, histories, history_length, item, options.sharpness, weight_of)
    return bias + close_weight * np.log1p(close / CLOSE_ENOUGH) + repeat_weight * np.log1p(repeat)


def category_count(
    universe: Universe, histories: Histories, history_length: np.ndarray, candidates: np.ndarray
) -> np.ndarray:
    """How many of the behaviors before each request have the candidate's category.

    Args:
        history_length: (users, requests).
        candidates: (users, requests, candidates) items.
    """
    rows, categories = len(histories.item) + 1, len(universe.first) - 1
    owner = np.repeat(np.arange(len(histories.lengths)), histories.lengths)
    group = owner * categories + universe.category[histories.item]
    seen = np.sort(group * rows + np.arange(rows - 1))  # a user's behaviors of one category, oldest first
    users = np.arange(len(histories.lengths))[:, None, None]
    asked = (users * categories + universe.category[candidates]) * rows
    end = (histories.offsets[:-1, None] + history_length)[:, :, None]
    return np.searchsorted(seen, asked + end) - np.searchsorted(seen, asked)


def closeness(
    universe: Universe,
    histories: Histories,
    history_length: np.ndarray,
    candidates: np.ndarray,
    sharpness: float,
    weight_of: Callable[[np.ndarray], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Sums over each request's history, in chunks of users.

    Args:
        history_length: (users, requests).
        candidates: (users, requests, candidates) items.
        weight_of: ages of behaviors, 0 the newest -> their weights.

    Returns:
        close, repeat: (users, requests, candidates) float64; both 0 where the history is empty.
    """
    close, repeat = np.zeros(candidates.shape), np.zeros(candidates.shape)
    for chunk in _chunks(history_length[:, -1], candidates[0].size):
        longest = int(history_length[chunk, -1].max())
        if not longest:
            continue
        position = np.arange(longest)
        rows = np.minimum(histories.offsets[chunk, None] + position, len(histories.item) - 1)
        age = history_length[chunk][:, :, None] - 1 - position
        weight = (weight_of(np.maximum(age, 0)) * (age >= 0)).astype(np.float32)[..., None]
        items, shown = histories.item[rows], candidates[chunk].reshape(len(chunk), -1)
        kernel = universe.vector[shown] @ universe.vector[items].transpose(0, 2, 1)
        np.exp(sharpness * (kernel - 1), out=kernel)
        same = (shown[:, :, None] == items[:, None, :]).astype(np.float32)
        shape = (len(chunk), *candidates.shape[1:], longest)
        close[chunk] = (kernel.reshape(shape) @ weight)[..., 0]
        repeat[chunk] = (same.reshape(shape) @ weight)[..., 0]
    return close, repeat


def aged(age: np.ndarray) -> np.ndarray:
    """w(age) = (1 + age / 64) ** -0.75."""
    return (1 + age / AGE_SCALE) ** -AGE_EXPONENT


def _chunks(lengths: np.ndarray, candidates_per_user: int) -> Iterator[np.ndarray]:
    """Users of like lengths, so many that candidates x padded history stays under `CELLS_PER_CHUNK`."""
    order = np.argsort(lengths, kind="stable")
    while len(order):
        cells = candidates_per_user * lengths[order] * np.arange(1, len(order) + 1)
        count = max(1, int(np.searchsorted(cells, CELLS_PER_CHUNK)))
        yield order[:count]
        order = order[count:]
