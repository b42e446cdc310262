"""The slow twin of `linear`, one behavior and one candidate at a time, in float64."""

from __future__ import annotations

import math

import numpy as np

from lrea_cli.oracle.attention import Array
from lrea_cli.oracle.model import Long, Record, SlowTwin, Target


class SlowLinear(SlowTwin):
    """The twin of `linear`."""

    def record(self, long: Long, user: int) -> Record:
        W_K, W_V = self.model.weights["long.W_K"], self.model.weights["long.W_V"]
        matrix, total = np.zeros(W_K.shape), np.zeros((1, len(W_K)))
        for e in long.vectors:
            feature = features(e @ W_K)
            matrix += np.outer(feature, e @ W_V)
            total += feature
        return {"matrix": matrix, "total": total}

    def interest(self, target: Target, long: Long, record: Record) -> Array:
        query = features(target.vector @ self.model.weights["long.W_Q"])
        weight = float(query @ record["total"][0])
        return query @ record["matrix"] / weight if len(long.vectors) else np.zeros_like(query)


def features(x: Array) -> Array:
    """elu(x) + 1."""
    return np.array([value + 1 if value > 0 else math.exp(value) for value in x])
