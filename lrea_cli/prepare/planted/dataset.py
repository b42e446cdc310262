"""The planted data set as arrays: histories that drift, requests, labels from a known probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lrea_cli.dataset.fields import SECONDS_PER_DAY
from lrea_cli.prepare.planted.options import PlantedOptions
from lrea_cli.prepare.planted.requests import Exposures, draw_requests
from lrea_cli.prepare.planted.streams import LAST_DAY, draw_histories
from lrea_cli.prepare.planted.universe import Universe, draw_universe
from lrea_cli.stats.metrics.auc import auc
from lrea_cli.stats.metrics.gauc import gauc

AGE_BAND_COUNT = 6
USERS_PER_BLOCK = 4096


class Behaviors(NamedTuple):
    """Columns of equal length, sorted by (user, time); ids are raw ids, time is epoch seconds UTC."""

    user: np.ndarray
    item: np.ndarray
    category: np.ndarray
    time: np.ndarray


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
    age_band = rng.integers(0, AGE_BAND_COUNT, users)
    histories = draw_histories(universe, options, users, rng)
    shown = draw_requests(universe, histories, age_band, options, rng)
    user = first_user + np.repeat(np.arange(users), histories.lengths)
    behaviors = Behaviors(user, *universe.raw(histories.item), histories.time)
    return behaviors, shown._replace(user=first_user + shown.user), age_band
