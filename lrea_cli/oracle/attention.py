"""DIN attention as loops in float64 that follow the paper's equations; gate and tests trust them.

Nothing here is fast or shares code with what it checks. Matrices are named as in the paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

SLOPE = 0.01

Array = np.ndarray


@dataclass(frozen=True)
class Scorer:
    """DIN's scorer: W1, W2, W3 (D, H), b and w_o (H,)."""

    W1: Array
    W2: Array
    W3: Array
    b: Array
    w_o: Array


def phi(x: Array) -> Array:
    """LeakyReLU."""
    return np.where(x >= 0, x, SLOPE * x)


def hidden(e_t: Array, e: Array, scorer: Scorer) -> Array:
    """e_t W1 + e W2 + (e_t * e) W3 + b; (H,)."""
    return e_t @ scorer.W1 + e @ scorer.W2 + (e_t * e) @ scorer.W3 + scorer.b


def history_scale(n: int) -> float:
    """c(n) = 1 / sqrt(n), and 1 for an empty history."""
    return 1 / math.sqrt(n) if n else 1.0


def attention(
    e_t: Array,
    keys: Iterable[Array],
    values: Iterable[Array],
    scorer: Scorer,
    activation: Callable[[Array], Array] = phi,
    factor: float = 1.0,
) -> Array:
    """sum_j s(e_t, k_j) v_j (D,), Eq. 3 and 9, with s(e_t, e) = phi(e_t W1 + e W2 + (e_t * e) W3 + b) w_o of Eq. 5.

    Args:
        activation: takes the place of phi.
        factor: multiplies each score.
    """
    interest = np.zeros_like(e_t)
    for key, value in zip(keys, values, strict=True):
        interest += factor * float(activation(hidden(e_t, key, scorer)) @ scorer.w_o) * value
    return interest


def linear_half(e_t: Array, keys: Array, values: Array, scorer: Scorer) -> Array:
    """The attention with a x for phi, a = (1 + slope) / 2; (D,)."""
    return attention(e_t, keys, values, scorer, lambda x: x, (1 + SLOPE) / 2)


def absolute_half(e_t: Array, keys: Array, values: Array, scorer: Scorer) -> Array:
    """The attention with g |x| for phi, g = (1 - slope) / 2; (D,)."""
    return attention(e_t, keys, values, scorer, np.abs, (1 - SLOPE) / 2)


def din(e_t: Array, E: Array, scorer: Scorer) -> Array:
    """Full attention over the real behaviors E (n, D): c(n) sum_l s(e_t, e_l) e_l."""
    return history_scale(len(E)) * attention(e_t, E, E, scorer)


def din_linear_half(e_t: Array, E: Array, scorer: Scorer) -> Array:
    """The linear half of `din`; (D,)."""
    return linear_half(e_t, E, history_scale(len(E)) * E, scorer)


def affine_map(function: Callable[[Array], Array], width: int) -> Array:
    """[A; a0] (D + 1, D) of function(e) = e A + a0."""
    a0 = function(np.zeros(width))
    return np.array([*(function(unit) - a0 for unit in np.eye(width)), a0])
