"""The planted data set as arrays: histories that drift, requests, and labels drawn from a known probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lrea_cli.dataset.fields import SECONDS_PER_DAY
from lrea_cli.prepare.planted.label import from_history
from lrea_cli.prepare.planted.options import PlantedOptions
from lrea_cli.prepare.planted.streams import (
    LAST_DAY,
    NEIGHBORS,
    Histories,
    Universe,
    draw_histories,
    draw_second_of_day,
    draw_universe,
)
from lrea_cli.stats.metrics.auc import auc
from lrea_cli.stats.metrics.gauc import gauc

USERS_PER_BLOCK = 4096
# Days before the last one: three requests on train days, one on the valid day, two on the test day.
REQUEST_DAYS = (4, 3, 2, 1, 0, 0)
CANDIDATES = 8
# Cumulative shares: exact repeat, nearest item, same category, near category, popular; else any.
CANDIDATE_MIX = (0.2, 0.32, 0.44, 0.52, 0.8)
AGE_BAND_EFFECT = np.array([-1.5, -0.9, -0.4, 0.4, 0.9, 1.5])
HOUR_EFFECT = 0.3 * np.cos((np.arange(24) - 20) * np.pi / 12)
QUALITY_WEIGHT = 0.6


class Behaviors(NamedTuple):
    """Columns of equal length, sorted by (user, time); ids are raw ids, time is epoch seconds UTC."""

    user: np.ndarray
    item: np.ndarray
    category: np.ndarray
    time: np.ndarray


class Exposures(NamedTuple):
    """Candidates that were shown, in columns of equal length, those of a request side by side.

    Ids are raw ids, time is epoch seconds UTC; `label` is drawn from `probability`, the true one.
    """

    user: np.ndarray
    item: np.ndarray
    category: np.ndarray
    time: np.ndarray
    label: np.ndarray
    probability: np.ndarray


@dataclass(frozen=True)
class Planted:
    """One planted data set.

    Args:
        behaviors: each user's history, oldest first.
        exposures: rows of one request (one user, one time) are neighbors.
        age_band: (users,) the user field, 0 .. 5.
        bayes_auc: AUC of the true probabilities on the test day's labels: no model can expect more; None where that
            day has one class.
        bayes_gauc: the same inside each user, weighted by the user's rows; users of one class are left out.
    """

    behaviors: Behaviors
    exposures: Exposures
    age_band: np.ndarray
    bayes_auc: float | None
    bayes_gauc: float | None


def generate(options: PlantedOptions) -> Planted:
    """Draw a planted data set whose test day is `LAST_DAY`; the same options give the same bytes.

    Users are drawn in blocks with a seed each, so working memory doesn't grow with the number of users.
    """
    universe = draw_universe(np.random.default_rng([options.seed, 0]))
    starts = range(0, options.users, USERS_PER_BLOCK)
    blocks = [_draw_block(options, universe, first, min(USERS_PER_BLOCK, options.users - first)) for first in starts]
    behaviors, exposures, age_band = zip(*blocks, strict=True)
    exposures = Exposures(*map(np.concatenate, zip(*exposures, strict=True)))
    test = exposures.time // SECONDS_PER_DAY == LAST_DAY
    scored = exposures.probability[test], exposures.label[test]
    return Planted(
        Behaviors(*map(np.concatenate, zip(*behaviors, strict=True))),
        exposures,
        np.concatenate(age_band),
        bayes_auc=auc(*scored),
        bayes_gauc=gauc(*scored, exposures.user[test]).value,
    )


def _draw_block(
    options: PlantedOptions, universe: Universe, first_user: int, users: int
) -> tuple[Behaviors, Exposures, np.ndarray]:
    rng = np.random.default_rng([options.seed, 1, first_user])
    age_band = rng.integers(0, len(AGE_BAND_EFFECT), users)
    histories = draw_histories(universe, options, users, rng)
    shown = draw_requests(universe, histories, age_band, options, rng)
    user = first_user + np.repeat(np.arange(users), histories.lengths)
    behaviors = Behaviors(user, *universe.raw(histories.item), histories.time)
    return behaviors, shown._replace(user=first_user + shown.user), age_band


def draw_requests(
    universe: Universe,
    histories: Histories,
    age_band: np.ndarray,
    options: PlantedOptions,
    rng: np.random.Generator,
) -> Exposures:
    """Six requests of each user 0, 1, .., with labels drawn from the true probability.

    logit = bias + close log(1 + sum_i w(age_i) exp(sharpness (v_i . v - 1)) / 0.1)
                 + repeat log(1 + sum_i w(age_i) [item_i = item])
                 + count log(1 + sum_i [category_i = category]) + 0.6 q(item) + field_effect a(age band) + h(hour),
    over all behaviors i strictly before the request; w(age) = (1 + age / 64) ** -0.75, 1 in `exchangeable`.
    """
    users, slots = len(age_band), len(REQUEST_DAYS)
    second = draw_second_of_day(rng, users * slots).reshape(users, slots)
    second += np.arange(slots) % 2 - second % 2  # even or odd, so that one day's requests differ in time
    time = np.sort((LAST_DAY - np.array(REQUEST_DAYS)) * SECONDS_PER_DAY + second, axis=1)
    length = histories.before(np.repeat(np.arange(users), slots), time.ravel()).reshape(users, slots)
    item = _draw_candidates(universe, histories, length, rng)
    logit = (
        from_history(universe, histories, length, item, options)
        + QUALITY_WEIGHT * universe.quality[item]
        + options.field_effect * AGE_BAND_EFFECT[age_band][:, None, None]
        + HOUR_EFFECT[time // 3600 % 24][:, :, None]
    )
    probability = (1 + np.tanh(logit / 2)) / 2
    label = (rng.random(item.shape) < probability).astype(np.int8)
    return Exposures(
        np.repeat(np.arange(users), slots * CANDIDATES),
        *universe.raw(item.ravel()),
        np.repeat(time.ravel(), CANDIDATES),
        label.ravel(),
        probability.ravel(),
    )


def _draw_candidates(
    universe: Universe, histories: Histories, history_length: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(users, requests, candidates) distinct items in each request; the mix knows nothing of labels."""
    shape = (*history_length.shape, CANDIDATES)
    item = _draw_mix(universe, histories, np.broadcast_to(history_length[:, :, None], shape), rng)
    earlier = np.tril(np.ones((CANDIDATES, CANDIDATES), bool), -1)
    for _ in range(20):
        again = ((item[..., :, None] == item[..., None, :]) & earlier).any(-1)
        if not again.any():
            break
        item = np.where(again, rng.integers(0, len(universe.category), shape), item)
    return item


def _draw_mix(universe: Universe, histories: Histories, length: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Half of the behaviors that candidates start from are recent (log-uniform age), half are of any age."""
    shape = length.shape
    uniform = rng.random((4, *shape))
    recent = np.exp(uniform[0] * np.log(np.maximum(length, 1) + 1)) - 1
    age = np.where(uniform[1] < 0.5, recent, uniform[0] * length).astype(int)
    row = histories.offsets[:-1, None, None] + length - 1 - np.minimum(age, length - 1)
    if not len(histories.item):
        return universe.popular(uniform[3])
    source = histories.item[np.clip(row, 0, len(histories.item) - 1)]
    neighbor = rng.integers(0, NEIGHBORS, shape)
    category = universe.category[source]
    kinds = [
        source,
        universe.near_item[source, neighbor],
        universe.popular_in(category, uniform[3]),
        universe.popular_in(universe.near_category[category, neighbor], uniform[3]),
        universe.popular(uniform[3]),
        rng.integers(0, len(universe.category), shape),
    ]
    kind = np.searchsorted(CANDIDATE_MIX, uniform[2], side="right")
    kind = np.where((length == 0) & (kind < 4), 4, kind)
    return np.choose(kind, kinds)
