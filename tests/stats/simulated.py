"""Test sets with a known true AUC, where a user's rows depend on each other."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from lrea_cli.stats.bootstrap import DRAWS, estimate_of
from lrea_cli.stats.estimates import Estimate
from lrea_cli.stats.metrics import AUC, GAUC, Rows


class Simulated(NamedTuple):
    """Two scores of the same rows; see `simulate`."""

    a: np.ndarray
    b: np.ndarray
    labels: np.ndarray
    users: np.ndarray


def simulate(seed: tuple[int, ...], users: int = 150, rows: int = 4) -> Simulated:
    """Users mostly click or mostly do not; scores = shift x label + user effect + noise, so AUC = Phi(shift / 2).

    A clicked row and another user's row differ by a normal number of mean `shift` and variance 4.
    """
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(users), rows)
    labels = (rng.random(users * rows) < rng.choice([0.1, 0.9], users)[owner]).astype(np.float32)
    effect, noise = rng.normal(size=(2, users)), rng.normal(size=(2, users * rows))
    a = SHIFT_A * labels + effect[0][owner] + noise[0]
    b = SHIFT_B * labels + (0.8 * effect[0] + 0.6 * effect[1])[owner] + 0.8 * noise[0] + 0.6 * noise[1]
    return Simulated(a, b, labels, owner)


SHIFT_A, SHIFT_B = 1.0, 1.4
AUC_A, AUC_B = (0.5 * (1 + math.erf(shift / 2 / math.sqrt(2))) for shift in (SHIFT_A, SHIFT_B))


def auc_estimate(
    scores: np.ndarray, labels: np.ndarray, users: np.ndarray, seed: int = 0, draws: int = DRAWS
) -> Estimate:
    """AUC with its interval."""
    return estimate_of(AUC, Rows(scores, labels, users), seed, draws)


def gauc_estimate(
    scores: np.ndarray, labels: np.ndarray, groups: np.ndarray, users: np.ndarray, seed: int = 0, draws: int = DRAWS
) -> Estimate:
    """GAUC with its interval."""
    return estimate_of(GAUC, Rows(scores, labels, users, groups), seed, draws)
