"""The slow twin of `category`: loops in float64 over behaviors, oldest first, and over the rows of a record."""

from __future__ import annotations

import numpy as np

from lrea_cli.oracle.attention import Array, Scorer, attention
from lrea_cli.oracle.attention import history_scale as c
from lrea_cli.oracle.model import Long, Record, ReferenceModel, SlowTwin, Target
from lrea_cli.oracle.searches import is_same
from lrea_cli.oracle.sketch import shares_of


class SlowCategory(SlowTwin):
    """The twin of `category`."""

    def record(self, long: Long, user: int) -> Record:
        assert long.category is not None
        E, categories = long.vectors, long.category.tolist()
        oldest_first = range(len(E) - 1, -1, -1)
        seen = list(dict.fromkeys(categories[place] for place in oldest_first))
        members = [[place for place in oldest_first if categories[place] == own] for own in seen]
        record = {
            "category": np.array(seen, np.int64),
            "count": np.array([len(places) for places in members], np.int64),
            "sums": np.array([sum(E[place] for place in places) for places in members]).reshape(-1, E.shape[1]),
        }
        if self.model.settings.shared_rows:
            rows = shares_of(self.model, self.model.weights["long.prototypes.P"], E, 0) if len(E) else []
            shares = [np.array(own) for own in zip(*rows, strict=True)]
            record["shared"] = np.zeros((self.model.settings.shared_rows, E.shape[1]))
            record["mass"] = np.zeros(self.model.settings.shared_rows)
            for e, own in zip(E, shares, strict=True):
                record["shared"] += np.outer(own, e)
                record["mass"] += own
        if self.model.settings.half_life:
            weights = [[self._weight(place - places[-1]) for place in places] for places in members]
            rows = [sum(w * E[p] for w, p in zip(*pair, strict=True)) for pair in zip(weights, members, strict=True)]
            record["recent"] = np.array(rows).reshape(-1, E.shape[1])
            record["weight"] = np.array([sum(own) for own in weights])
            record["newest"] = np.array([len(E) - places[-1] for places in members], np.int64)
        return record

    def interest(self, target: Target, long: Long, record: Record) -> Array:
        counts, sums, n = record["count"], record["sums"], int(record["count"].sum())
        own = [row for row, known in enumerate(record["category"].tolist()) if is_same(known, target.category)]
        interest = np.zeros_like(target.vector)
        for row in own:
            interest += self._read("attention", target, sums[row] / counts[row], c(n) * sums[row])
            if self.model.settings.half_life:
                key = record["recent"][row] / record["weight"][row]
                value = c(n) * self._weight(n - record["newest"][row]) * record["recent"][row]
                interest += self._read("recent_attention", target, key, value)
        if self.model.settings.shared_rows:
            for total, mass in zip(record["shared"], record["mass"], strict=True):
                if mass > 0:
                    interest += self._read("rest_attention", target, total / mass, c(n) * total)
            return interest
        others = [row for row in range(len(sums)) if row not in own]
        if others:
            total = sums[others].sum(0)
            interest += self._read("rest_attention", target, total / counts[others].sum(), c(n) * total)
        return interest

    def _read(self, name: str, target: Target, key: Array, value: Array) -> Array:
        return attention(target.vector, [key], [value], scorer_of(self.model, name))

    def _weight(self, newer: float) -> float:
        return 2 ** (-newer / self.model.settings.half_life)


def scorer_of(model: ReferenceModel, name: str) -> Scorer:
    """One of the method's scorers."""
    return Scorer(*(model.weights[f"long.{name}.{part}"] for part in ("W1", "W2", "W3", "b", "w_o")))
