"""The slow twin of `sketch`, one behavior and one prototype at a time, in float64."""

from __future__ import annotations

import math

import numpy as np

from lrea_cli.oracle.attention import SLOPE, Array, absolute_half, din_linear_half, history_scale, linear_half
from lrea_cli.oracle.model import Long, Record, ReferenceModel, Target
from lrea_cli.oracle.pseudo_items import SlowPseudoItems

EVEN = 1e-3
LAYER_NORM_EPSILON = 1e-5


class SlowSketch(SlowPseudoItems):
    """The twin of `sketch`; with reader `softmax` there is no linear half, nor what it is made of."""

    def record(self, long: Long, user: int) -> Record:
        if not self._adds:
            return super().record(long, user)
        E, D = long.vectors, long.vectors.shape[1]
        shares = shares_of(self.model, self.model.weights["long.prototypes.P"], E, 0) if len(E) else []
        rows = len(shares)
        sums, mass = np.zeros((rows, D)), np.zeros((rows, 1))
        gram, total = np.zeros((D, D)), np.zeros((1, D))
        for position, e in enumerate(E):
            for row in range(rows):
                sums[row] += shares[row][position] * e
                mass[row] += shares[row][position]
            gram += np.outer(e, e)
            total += e
        kept = {"sums": sums, "mass": mass, "count": np.array([len(E)])}
        return kept if self.is_softmax else kept | {"gram": gram, "total": total}

    def pseudo_items(self, E: Array) -> tuple[Array, Array]:
        keys, mass = self._rows(E)
        return keys, self.scale(len(E)) * mass[:, None] * keys

    def mass(self, E: Array) -> Array:
        return self._rows(E)[1]

    def interest(self, target: Target, long: Long, record: Record) -> Array:
        e_t = target.vector
        if self._adds:
            return self._of_sums(e_t, record)
        if self.is_softmax or self.model.settings.layers == 2:
            return super().interest(target, long, record)
        rows = absolute_half(e_t, record["keys"], record["values"], self.model.scorer("long"))
        return self.linear(e_t, long, record) + rows

    def linear(self, e_t: Array, long: Long, record: Record) -> Array:
        scorer = self.model.scorer("long")
        if self.model.settings.layers == 2:
            return linear_half(e_t, record["keys"], record["values"], scorer)
        return din_linear_half(e_t, long.vectors, scorer)

    def _of_sums(self, e_t: Array, record: Record) -> Array:
        """The interest (D,) of one layer over prototypes."""
        keys, sums = record["sums"] / np.where(record["mass"] == 0, 1, record["mass"]), record["sums"]
        if self.is_softmax:
            return self.model.softmax().read(e_t, keys, sums, record["mass"][:, 0])
        scorer, c = self.model.scorer("long"), history_scale(int(record["count"][0]))
        constant = float((e_t @ scorer.W1 + scorer.b) @ scorer.w_o)
        by_key = scorer.W2 @ scorer.w_o + e_t * (scorer.W3 @ scorer.w_o)
        linear = constant * record["total"][0] + by_key @ record["gram"]
        return absolute_half(e_t, keys, c * sums, scorer) + (1 + SLOPE) / 2 * c * linear

    @property
    def _adds(self) -> bool:
        return self.model.settings.layers == 1 and self.model.settings.normalize == "prototypes"

    def _rows(self, E: Array) -> tuple[Array, Array]:
        """Rows (R, D) after the last layer, and how many behaviors each stands for (R,)."""
        settings, rows = self.model.settings, self.model.weights["long.prototypes.P"]
        mass = np.full(len(rows), len(E) / len(rows))
        for layer in range(settings.layers):
            shares = shares_of(self.model, rows, E, layer)
            mixed = np.array([sum(a * e for a, e in zip(row, E, strict=True)) for row in shares])
            rows = self._refined(rows + mixed, layer) if settings.layers == 2 else mixed
            if settings.normalize == "prototypes":
                mass = np.array([sum(row) for row in shares])
        return rows, mass

    def _refined(self, rows: Array, layer: int) -> Array:
        W_gate, W_up, W_down = (self._weight(layer, name) for name in ("W_gate", "W_up", "W_down"))
        refined = []
        for row in rows:
            x = self._normed(row, layer, "norm_in")
            gate = x @ W_gate
            refined.append(self._normed(x + (gate / (1 + np.exp(-gate)) * (x @ W_up)) @ W_down, layer, "norm_out"))
        return np.array(refined)

    def _normed(self, x: Array, layer: int, name: str) -> Array:
        spread = math.sqrt(np.mean((x - x.mean()) ** 2) + LAYER_NORM_EPSILON)
        return (x - x.mean()) / spread * self._weight(layer, f"{name}.weight") + self._weight(layer, f"{name}.bias")

    def _weight(self, layer: int, name: str) -> Array:
        return weight_of(self.model, layer, name)


def shares_of(model: ReferenceModel, rows: Array, E: Array, layer: int) -> list[list[float]]:
    """A: for each prototype, what it takes of each behavior."""
    settings = model.settings
    W_Q, W_K = (weight_of(model, layer, name) for name in ("W_Q", "W_K"))
    scale = math.sqrt(E.shape[1]) * settings.temperature
    queries, keys = [row @ W_Q for row in rows], [e @ W_K for e in E]
    affinities = [[float(query @ key) / scale for key in keys] for query in queries]
    if settings.normalize == "tokens":
        return [softmax(row) for row in affinities]
    columns = [softmax(column) for column in zip(*affinities, strict=True)]
    columns = [[(1 - EVEN) * share + EVEN / len(rows) for share in column] for column in columns]
    return [list(row) for row in zip(*columns, strict=True)]


def weight_of(model: ReferenceModel, layer: int, name: str) -> Array:
    """A weight of one layer of the prototypes."""
    return model.weights[f"long.prototypes.layers.{layer}.{name}"]


def softmax(scores: list[float] | tuple[float, ...]) -> list[float]:
    """exp(s) over their sum."""
    top = max(scores)
    exponentials = [math.exp(score - top) for score in scores]
    total = sum(exponentials)
    return [one / total for one in exponentials]
