"""The slow twin of `vq`: loops in float64, one behavior and one candidate at a time; it shares no code."""

from __future__ import annotations

import math

import numpy as np

from lrea_cli.oracle.attention import Array
from lrea_cli.oracle.model import Long, Record, SlowTwin, Target


class SlowVQ(SlowTwin):
    """Counts and sums by nearest code, oldest behavior first; softmax over the codes, each as often as it counts."""

    def record(self, long: Long, user: int) -> Record:
        W_K, C = self.model.weights["long.attention.W_K"], self.model.weights["long.codebook"]
        rows: dict[int, tuple[int, Array]] = {}
        for e in long.vectors[::-1]:
            key = e @ W_K
            code = min(range(len(C)), key=lambda j: float((key - C[j]) @ (key - C[j])))
            count, total = rows.get(code, (0, np.zeros(len(e))))
            rows[code] = count + 1, total + e
        return {
            "code": np.array(list(rows), np.int32),
            "count": np.array([count for count, _ in rows.values()], np.int32),
            "sums": np.array([total for _, total in rows.values()]).reshape(len(rows), long.vectors.shape[1]),
        }

    def interest(self, target: Target, long: Long, record: Record) -> Array:
        W_Q, W_V, W_O = (self.model.weights[f"long.attention.{name}"] for name in ("W_Q", "W_V", "W_O"))
        keys = self.model.weights["long.codebook"][record["code"].astype(int)]
        q, width = target.vector @ W_Q, len(target.vector)
        d, mixed = width // self.model.settings.heads, np.zeros(width)
        for start in range(0, width, d):
            head = slice(start, start + d)
            scores = [float(q[head] @ key[head]) / math.sqrt(d) for key in keys]
            weights = [math.exp(score - max(scores)) for score in scores]
            total = sum(weight * int(count) for weight, count in zip(weights, record["count"], strict=True))
            for weight, sums in zip(weights, record["sums"], strict=True):
                mixed[head] += weight * (sums @ W_V)[head] / total
        return mixed @ W_O
