"""The slow twins of din, mean and lrea, which keep pseudo items, and of din-short, which keeps nothing."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from lrea_cli.oracle.attention import Array, attention, history_scale, linear_half
from lrea_cli.oracle.model import Long, Record, SlowTwin, Target


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


def mixed(weights: Array, rows: Array) -> Array:
    """weights (X, Y) times rows (Y, D), one row at a time; (X, D)."""
    result = np.zeros((len(weights), rows.shape[1]))
    for row, own in zip(result, weights, strict=True):
        for weight, e in zip(own, rows, strict=True):
            row += weight * e
    return result


def columns_of(decomp: Array, unit: bool) -> Array:
    """W_decomp (R, L): as it is, or each column a softmax over the rank axis."""
    if not unit:
        return decomp
    columns = []
    for logits in decomp.T:
        weights = np.exp(logits - logits.max())
        columns.append(weights / weights.sum())
    return np.array(columns).T
