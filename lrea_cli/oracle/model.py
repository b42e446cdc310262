"""A checkpoint's model, one user and one candidate at a time, and what the slow twin of every method does with it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lrea_cli.oracle.attention import Array, Scorer, din, phi
from lrea_cli.oracle.softmax import Softmax
from lrea_cli.recipe.settings import ModelSettings

BATCH_NORM_EPSILON = 1e-5
TIE = 1e-3
"""Of a step between two rounded numbers: as near to a tie as float32 cannot tell from it."""

Record = Mapping[str, Array]
"""A user's record: name of a field -> its rows. It may hold more than the record that is stored."""


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


def as_float16(rows: Array, stored: Array) -> Array:
    """Rows (X, D) as a float16 record keeps them: rounded to float32, then to float16.

    Args:
        stored: (X, D) what a record has. Where a number is so near a tie that float32 may round either way, the stored
            one is right.
    """
    nearest = rows.astype(np.float32).astype(np.float16)
    step = np.spacing(np.minimum(np.abs(nearest), np.abs(stored).astype(np.float16))).astype(float)
    return np.where(np.abs(stored - rows) <= (0.5 + TIE) * step, stored, nearest.astype(float))


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
