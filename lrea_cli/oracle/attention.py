"""Loops in float64 that follow the paper's equations, from raw history and checkpoint; gate and tests trust them.

Nothing here is fast or shares code with what it checks. Matrices are named as in the paper.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lrea_cli.oracle.softmax import Softmax
from lrea_cli.recipe.settings import ModelSettings

SLOPE = 0.01
BATCH_NORM_EPSILON = 1e-5
TIE = 1e-3
"""Of a step between two rounded numbers: as near to a tie as float32 cannot tell from it."""

Array = np.ndarray
Record = Mapping[str, Array]
"""A user's record: name of a field -> its rows. It may hold more than the record that is stored."""


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


def columns_of(decomp: Array, unit: bool) -> Array:
    """W_decomp (R, L): as it is, or each column a softmax over the rank axis."""
    if not unit:
        return decomp
    columns = []
    for logits in decomp.T:
        weights = np.exp(logits - logits.max())
        columns.append(weights / weights.sum())
    return np.array(columns).T


def mixed(weights: Array, rows: Array) -> Array:
    """weights (X, Y) times rows (Y, D), one row at a time; (X, D)."""
    result = np.zeros((len(weights), rows.shape[1]))
    for row, own in zip(result, weights, strict=True):
        for weight, e in zip(own, rows, strict=True):
            row += weight * e
    return result


@dataclass(frozen=True)
class ReferenceModel:
    """A checkpoint's model, one candidate at a time.

    Args:
        weights: name -> tensor of the checkpoint, float64.
        item_fields: names, in the order in which their embeddings are concatenated.
        profile_fields: the same for the profile.
        settings: the recipe's [model].
    """

    weights: Mapping[str, Array]
    item_fields: tuple[str, ...]
    profile_fields: tuple[str, ...]
    settings: ModelSettings

    def vector(self, ids: Mapping[str, int], names: Sequence[str]) -> Array:
        """The embeddings of the named fields, concatenated; an id past the table counts as unknown (1)."""
        parts = []
        for name in names:
            table = self.weights[f"features.tables.field:{name}.weight"]
            parts.append(table[ids[name]] if ids[name] < len(table) else table[1])
        return np.concatenate(parts) if parts else np.zeros(0)

    def scorer(self, part: str) -> Scorer:
        """The scorer of `short` or `long`; a method without its own uses the short one."""
        prefix = "long.attention" if part == "long" and "long.attention.W1" in self.weights else "short"
        return Scorer(*(self.weights[f"{prefix}.{name}"] for name in ("W1", "W2", "W3", "b", "w_o")))

    def softmax(self) -> Softmax:
        """The reader of the long history, with reader `softmax`."""
        W = {name: self.weights[f"long.attention.{name}"] for name in ("W_Q", "W_K", "W_V", "W_O")}
        return Softmax(**W, heads=self.settings.heads)

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


def as_int8(rows: Array, stored: Array) -> Array:
    """Rows (X, D) as an int8 record keeps them: whole numbers times max |row| / 127, a float16 of at least 2^-14.

    Args:
        stored: (X, D) what a record has. Where a scale or a number is so near a tie that float32 may round either way,
            the stored one is right.
    """
    kept = []
    for row, other in zip(rows, stored, strict=True):
        exact = max(np.abs(row).max() / 127, 2.0**-14)
        scale, written = (float(np.float16(largest)) for largest in (exact, np.abs(other).max() / 127))
        if abs(written - exact) <= (0.5 + TIE) * float(np.spacing(np.float16(exact))):
            scale = written
        number, written = row / scale, other / scale
        right = np.abs(written - number) <= 0.5 + TIE
        kept.append(np.where(right, written, np.clip(np.rint(number), -127, 127)) * scale)
    return np.array(kept).reshape(rows.shape)


def affine_map(function: Callable[[Array], Array], width: int) -> Array:
    """[A; a0] (D + 1, D) of function(e) = e A + a0."""
    a0 = function(np.zeros(width))
    return np.array([*(function(unit) - a0 for unit in np.eye(width)), a0])


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
    """Computes a method's record and interest, one user and one candidate at a time."""

    model: ReferenceModel

    @abstractmethod
    def record(self, long: Long, user: int) -> Record:
        """The record of a user with these behaviors."""

    @abstractmethod
    def interest(self, target: Target, long: Long, record: Record) -> Array | None:
        """The interest (D,) of a candidate; None if float32 may select other behaviors, see `searches.largest`."""

    def linear(self, e_t: Array, long: Long, record: Record) -> Array:
        """The part (D,) of the interest that is an affine map of the candidate, where the record stores that map."""
        raise NotImplementedError

    def full(self, e_t: Array, E: Array) -> Array:
        """Full attention (D,) to the real behaviors E (n, D), with which a request through records is compared."""
        return din(e_t, E, self.model.scorer("long"))


class SlowPseudoItems(SlowTwin):
    """The twin of a method that keeps keys and values, read by DIN's scorer (Eq. 9) or by softmax."""

    @abstractmethod
    def pseudo_items(self, E: Array) -> tuple[Array, Array]:
        """Keys and values (rows, D) for the real long behaviors E (n, D), n > 0, newest first."""

    def mass(self, E: Array) -> Array:
        """How many behaviors each row stands for, (rows,); asked for with reader `softmax`, n > 0."""
        raise NotImplementedError

    @property
    def is_softmax(self) -> bool:
        return self.model.settings.reader == "softmax"

    def scale(self, n: int) -> float:
        """What values of n behaviors are multiplied by: c(n), and 1 with reader `softmax`."""
        return 1.0 if self.is_softmax else history_scale(n)

    def record(self, long: Long, user: int) -> Record:
        E = long.vectors
        keys, values = self.pseudo_items(E) if len(E) else (E, E)
        if not self.is_softmax:
            return {"keys": keys, "values": values}
        return {"keys": keys, "values": values, "mass": self.mass(E) if len(E) else np.zeros(0)}

    def full(self, e_t: Array, E: Array) -> Array:
        if self.is_softmax:
            return self.model.softmax().read(e_t, E, E, np.ones(len(E)))
        return super().full(e_t, E)

    def interest(self, target: Target, long: Long, record: Record) -> Array:
        if self.is_softmax:
            return self.model.softmax().read(target.vector, record["keys"], record["values"], record["mass"])
        return attention(target.vector, record["keys"], record["values"], self.model.scorer("long"))

    def linear(self, e_t: Array, long: Long, record: Record) -> Array:
        return linear_half(e_t, record["keys"], record["values"], self.model.scorer("long"))


class SlowDIN(SlowPseudoItems):
    """The twin of `din`."""

    def pseudo_items(self, E: Array) -> tuple[Array, Array]:
        return E, self.scale(len(E)) * E

    def mass(self, E: Array) -> Array:
        return np.ones(len(E))


class SlowMean(SlowPseudoItems):
    """The twin of `mean`."""

    def pseudo_items(self, E: Array) -> tuple[Array, Array]:
        return E.mean(0, keepdims=True), self.scale(len(E)) * E.sum(0, keepdims=True)

    def mass(self, E: Array) -> Array:
        return np.array([float(len(E))])


class SlowLREA(SlowPseudoItems):
    """The twin of `lrea` in its absorbed form: K = W_comp^T E ("E_comp^T"), V = c(n) W_decomp E ("E_auxabsorb^T").

    With reader `softmax`: V = max(0, W_decomp) E, and the mass is the sum of that matrix's columns.
    """

    def pseudo_items(self, E: Array) -> tuple[Array, Array]:
        n = len(E)
        if self._keeps(n):
            return E, self.scale(n) * E
        return mixed(self.model.weights["long.W_comp"][:n].T, E), self.scale(n) * mixed(self._decomp(n), E)

    def mass(self, E: Array) -> Array:
        n = len(E)
        return np.ones(n) if self._keeps(n) else np.array([sum(row) for row in self._decomp(n)])

    def _keeps(self, n: int) -> bool:
        settings, W_comp = self.model.settings, self.model.weights["long.W_comp"]
        return settings.short_histories == "exact" and n <= W_comp.shape[1]

    def _decomp(self, n: int) -> Array:
        W_decomp = columns_of(self.model.weights["long.decomp"], self.model.settings.decomp_columns == "unit")[:, :n]
        return np.maximum(W_decomp, 0.0) if self.is_softmax else W_decomp


class SlowDINShort(SlowTwin):
    """The twin of `din-short`."""

    def record(self, long: Long, user: int) -> Record:
        return {}

    def interest(self, target: Target, long: Long, record: Record) -> Array:
        return np.zeros_like(target.vector)
