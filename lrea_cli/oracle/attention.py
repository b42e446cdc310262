"""Loops in float64 that follow the paper's equations, from raw history and checkpoint: what gate and tests trust.

Nothing here is fast, and nothing is shared with the code that it checks. Matrices are named as in the paper.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lrea_cli.recipe.settings import ModelSettings

SLOPE = 0.01
BATCH_NORM_EPSILON = 1e-5

Array = np.ndarray
Record = Mapping[str, Array]
"""What is kept of a user, by the names of a record's fields: one row a behavior, newest first; it may hold more."""


@dataclass(frozen=True)
class Scorer:
    """DIN's scorer; W1, W2, W3 (D, H), b and w_o (H,)."""

    W1: Array
    W2: Array
    W3: Array
    b: Array
    w_o: Array


def phi(x: Array) -> Array:
    """LeakyReLU."""
    return np.where(x >= 0, x, SLOPE * x)


def score(e_t: Array, e: Array, scorer: Scorer) -> float:
    """s(e_t, e) = phi(e_t W1 + e W2 + (e_t * e) W3 + b) w_o, the joint form of Eq. 5; e_t and e (D,)."""
    return float(phi(hidden(e_t, e, scorer)) @ scorer.w_o)


def hidden(e_t: Array, e: Array, scorer: Scorer) -> Array:
    """e_t W1 + e W2 + (e_t * e) W3 + b; (H,)."""
    return e_t @ scorer.W1 + e @ scorer.W2 + (e_t * e) @ scorer.W3 + scorer.b


def history_scale(n: int) -> float:
    """c(n) = 1 / sqrt(n)."""
    return 1 / math.sqrt(n) if n else 1.0


def attention(e_t: Array, keys: Iterable[Array], values: Iterable[Array], scorer: Scorer) -> Array:
    """sum_j s(e_t, k_j) v_j, Eq. 3 and 9; (D,)."""
    interest = np.zeros_like(e_t)
    for key, value in zip(keys, values, strict=True):
        interest += score(e_t, key, scorer) * value
    return interest


def din(e_t: Array, E: Array, scorer: Scorer) -> Array:
    """Full target attention over the real behaviors E (n, D): c(n) sum_l s(e_t, e_l) e_l."""
    return history_scale(len(E)) * attention(e_t, E, E, scorer)


def columns_of(decomp: Array, unit: bool) -> Array:
    """W_decomp (R, L): as it is, or each column a softmax over the rank axis."""
    if not unit:
        return decomp
    columns = []
    for logits in decomp.T:
        weights = np.exp(logits - logits.max())
        columns.append(weights / weights.sum())
    return np.array(columns).T


def lrea_keys(E: Array, W_comp: Array) -> Array:
    """K = W_comp^T E, "E_comp^T" (R, D), for the real behaviors E (n, D)."""
    keys = np.zeros((W_comp.shape[1], E.shape[1]))
    for j in range(len(keys)):
        for position, e in enumerate(E):
            keys[j] += W_comp[position, j] * e
    return keys


def lrea_values(E: Array, W_decomp: Array) -> Array:
    """V = c(n) W_decomp E, "E_auxabsorb^T" (R, D)."""
    values = np.zeros((W_decomp.shape[0], E.shape[1]))
    for j in range(len(values)):
        for position, e in enumerate(E):
            values[j] += W_decomp[j, position] * e
    return history_scale(len(E)) * values


def lrea_decomposed(e_t: Array, E: Array, W_comp: Array, W_decomp: Array, scorer: Scorer) -> Array:
    """Eq. 4 and 5: c(n) sum_l s(e_t, (W_decomp^T K)_l) e_l; the scores of rebuilt rows, the values of real ones."""
    keys = lrea_keys(E, W_comp)
    rebuilt = []
    for position in range(len(E)):
        row = np.zeros(E.shape[1])
        for j in range(len(keys)):
            row += W_decomp[j, position] * keys[j]
        rebuilt.append(row)
    return history_scale(len(E)) * attention(e_t, rebuilt, E, scorer)


def non_negativity(E_list: Sequence[Array], W_comp: Array, W_decomp: Array) -> tuple[float, float]:
    """Eq. 10: both squared Frobenius norms of negative parts; the second as the mean over histories."""
    first = sum(min(0.0, w) ** 2 for w in W_decomp.flatten())
    second = [sum(min(0.0, k) ** 2 for k in lrea_keys(E, W_comp).flatten()) for E in E_list]
    return first, sum(second) / len(second)


def linear_half(e_t: Array, keys: Array, values: Array, scorer: Scorer) -> Array:
    """sum_l a x_l w_o v_l with x_l the hidden layer before phi and a = (1 + slope) / 2; (D,)."""
    interest = np.zeros_like(e_t)
    for key, value in zip(keys, values, strict=True):
        interest += (1 + SLOPE) / 2 * float(hidden(e_t, key, scorer) @ scorer.w_o) * value
    return interest


def absolute_half(e_t: Array, keys: Array, values: Array, scorer: Scorer) -> Array:
    """sum_j g |x_j| w_o v_j with g = (1 - slope) / 2; (D,)."""
    interest = np.zeros_like(e_t)
    for key, value in zip(keys, values, strict=True):
        interest += (1 - SLOPE) / 2 * float(np.abs(hidden(e_t, key, scorer)) @ scorer.w_o) * value
    return interest


@dataclass(frozen=True)
class ReferenceModel:
    """A checkpoint's model, one candidate at a time.

    Args:
        weights: the checkpoint's tensors by name, float64.
        item_fields, profile_fields: names, in the order of the embeddings' concatenation.
        settings: the recipe's [model].
    """

    weights: Mapping[str, Array]
    item_fields: tuple[str, ...]
    profile_fields: tuple[str, ...]
    settings: ModelSettings

    def vector(self, ids: Mapping[str, int], names: Sequence[str]) -> Array:
        """Concatenated embeddings of the named fields; ids past the table are unknown (1)."""
        parts = []
        for name in names:
            table = self.weights[f"features.tables.field:{name}.weight"]
            parts.append(table[ids[name]] if ids[name] < len(table) else table[1])
        return np.concatenate(parts) if parts else np.zeros(0)

    def scorer(self, part: str) -> Scorer:
        """The scorer of `short` or of `long`; a method without its own has the short one."""
        prefix = "long.attention" if part == "long" and "long.attention.W1" in self.weights else "short"
        return Scorer(*(self.weights[f"{prefix}.{name}"] for name in ("W1", "W2", "W3", "b", "w_o")))

    def logit(
        self, e_t: Array, short: Array, long_interest: Array, profile: Array, matches: Sequence[int], n: int
    ) -> float:
        """MLP([e_t, u_S, u_L, e_t * u_S, e_t * u_L, <e_t, u_S>, <e_t, u_L>, profile, log(1 + m), log(1 + n)])."""
        u_S, u_L = din(e_t, short, self.scorer("short")), long_interest
        dots = [e_t @ u_S, e_t @ u_L]
        x = np.concatenate([e_t, u_S, u_L, e_t * u_S, e_t * u_L, dots, profile, [math.log1p(m) for m in (*matches, n)]])
        x = self._batch_norm(x, 0)
        layer = 1
        while f"mlp.{layer + 2}.running_mean" in self.weights:
            x = phi(self.weights[f"mlp.{layer}.weight"] @ x + self.weights[f"mlp.{layer}.bias"])
            x = self._batch_norm(x, layer + 2)
            layer += 4
        return float((self.weights[f"mlp.{layer}.weight"] @ x + self.weights[f"mlp.{layer}.bias"])[0])

    def _batch_norm(self, x: Array, layer: int) -> Array:
        w = {k: self.weights[f"mlp.{layer}.{k}"] for k in ("weight", "bias", "running_mean", "running_var")}
        return (x - w["running_mean"]) / np.sqrt(w["running_var"] + BATCH_NORM_EPSILON) * w["weight"] + w["bias"]


@dataclass(frozen=True)
class Long:
    """The real long behaviors of one user, newest first: vectors (n, D), time (n,), category (n,) or None."""

    vectors: Array
    time: Array
    category: Array | None = None


@dataclass(frozen=True)
class Target:
    """One candidate: vector (D,), time of its request, category or None."""

    vector: Array
    time: int
    category: int | None = None


@dataclass(frozen=True)
class SlowTwin(ABC):
    """What makes a user's record and reads it, one user and one candidate at a time; each method names its own."""

    model: ReferenceModel

    @abstractmethod
    def record(self, long: Long, user: int) -> Record:
        """The record of a user with these behaviors."""

    @abstractmethod
    def interest(self, target: Target, long: Long, record: Record) -> Array | None:
        """(D,): what the record gives for a candidate; None where its search is too close to call."""


class SlowPseudoItems(SlowTwin):
    """Of a method that keeps keys and values: Eq. 9."""

    @abstractmethod
    def pseudo_items(self, E: Array) -> tuple[Array, Array]:
        """Keys and values (rows, D) that the method keeps of the real long behaviors E (n, D), n > 0, newest first."""

    def record(self, long: Long, user: int) -> Record:
        E = long.vectors
        keys, values = self.pseudo_items(E) if len(E) else (E, E)
        return {"keys": keys, "values": values}

    def interest(self, target: Target, long: Long, record: Record) -> Array:
        return attention(target.vector, record["keys"], record["values"], self.model.scorer("long"))


class SlowDIN(SlowPseudoItems):
    """Of `din`: a row a behavior."""

    def pseudo_items(self, E: Array) -> tuple[Array, Array]:
        return E, history_scale(len(E)) * E


class SlowMean(SlowPseudoItems):
    """Of `mean`: one row."""

    def pseudo_items(self, E: Array) -> tuple[Array, Array]:
        return E.mean(0, keepdims=True), history_scale(len(E)) * E.sum(0, keepdims=True)


class SlowLREA(SlowPseudoItems):
    """Of `lrea`: R rows, or the behaviors themselves where they are as few and `short_histories` is `exact`."""

    def pseudo_items(self, E: Array) -> tuple[Array, Array]:
        W_comp, settings = self.model.weights["long.W_comp"], self.model.settings
        if settings.short_histories == "exact" and len(E) <= W_comp.shape[1]:
            return E, history_scale(len(E)) * E
        W_decomp = columns_of(self.model.weights["long.decomp"], settings.decomp_columns == "unit")
        return lrea_keys(E, W_comp), lrea_values(E, W_decomp)


class SlowDINShort(SlowTwin):
    """Of `din-short`: nothing is kept, the interest is zero."""

    def record(self, long: Long, user: int) -> Record:
        return {}

    def interest(self, target: Target, long: Long, record: Record) -> Array:
        return np.zeros_like(target.vector)
