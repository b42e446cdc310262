"""The planted data set as arrays: histories that drift, requests, labels from a known probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lrea_cli.dataset.fields import SECONDS_PER_DAY
from lrea_cli.prepare.planted.options import PlantedOptions
from lrea_cli.prepare.planted.requests import draw_requests
from lrea_cli.prepare.planted.streams import HABITS, LAST_DAY, Histories, draw_histories
from lrea_cli.prepare.planted.universe import Universe, draw_universe
from lrea_cli.stats.metrics.auc import auc
from lrea_cli.stats.metrics.gauc import gauc

AGE_BAND_COUNT = 6
USERS_PER_BLOCK = 4096


@dataclass(frozen=True)
class Events:
    """Columns of equal length, sorted by (user, time); ids are raw ids, time is epoch seconds UTC."""

    user: np.ndarray
    item: np.ndarray
    category: np.ndarray
    time: np.ndarray


@dataclass(frozen=True)
class Exposures(Events):
    """Candidates that were shown: `label` is drawn from `probability`, the true one."""

    label: np.ndarray
    probability: np.ndarray


@dataclass(frozen=True)
class Planted:
    """One planted data set.

    Args:
        behaviors: each user's history, oldest first.
        exposures: rows of one request (one user, one time) are neighbors.
        age_band: (users,) the user field, 0 .. 5.
        last_day: day number (UTC days since 1970-01-01) of the test split; the day before is the valid split.
        bayes_auc: AUC of the true probabilities on the test day's labels: no model can expect more; None where that
            day has one class.
        bayes_gauc: the same inside each user, weighted by the user's rows; users of one class are left out.
    """

    behaviors: Events
    exposures: Exposures
    age_band: np.ndarray
    last_day: int
    bayes_auc: float | None
    bayes_gauc: float | None


def generate(options: PlantedOptions) -> Planted:
    """Draw a planted data set; the same options give the same bytes.

    Users are drawn in blocks with a seed each, so working memory doesn't grow with the number of users.
    """
    universe = draw_universe(np.random.default_rng([options.seed, 0]))
    blocks = [
        _draw_block(options, universe, first, min(USERS_PER_BLOCK, options.users - first))
        for first in range(0, options.users, USERS_PER_BLOCK)
    ]
    behaviors = Events(*(np.concatenate(column) for column in zip(*(b[0] for b in blocks), strict=True)))
    exposures = Exposures(*(np.concatenate(column) for column in zip(*(b[1] for b in blocks), strict=True)))
    test = exposures.time // SECONDS_PER_DAY == LAST_DAY
    scored = exposures.probability[test], exposures.label[test]
    return Planted(
        behaviors,
        exposures,
        age_band=np.concatenate([b[2] for b in blocks]),
        last_day=LAST_DAY,
        bayes_auc=auc(*scored),
        bayes_gauc=gauc(*scored, exposures.user[test]).value,
    )


def _draw_block(
    options: PlantedOptions, universe: Universe, first_user: int, users: int
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...], np.ndarray]:
    rng = np.random.default_rng([options.seed, 1, first_user])
    age_band = rng.integers(0, AGE_BAND_COUNT, users)
    habits = HABITS[options.lengths]
    histories = draw_histories(
        universe, habits, users, rng, drift=options.drift, shuffled=options.preset == "exchangeable"
    )
    requests = draw_requests(universe, histories, age_band, options, rng)
    return (
        _behavior_columns(universe, histories, first_user),
        requests.columns(universe, first_user),
        age_band,
    )


def _behavior_columns(universe: Universe, histories: Histories, first_user: int) -> tuple[np.ndarray, ...]:
    user = np.repeat(np.arange(len(histories.lengths)), histories.lengths)
    item = histories.item
    return user + first_user, universe.raw_item(item), universe.raw_category(item), histories.time
