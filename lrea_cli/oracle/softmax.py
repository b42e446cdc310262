"""The slow twin of `attention.SoftmaxReader`: loops in float64 over heads and rows, as a quotient of two sums."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

LEAST_MASS = 1e-12
"""Rows of less mass are not read."""

Array = np.ndarray


@dataclass(frozen=True)
class Softmax:
    """Multi-head attention with softmax: W_Q, W_K, W_V, W_O (D, D), and the number of heads."""

    W_Q: Array
    W_K: Array
    W_V: Array
    W_O: Array
    heads: int

    def columns(self) -> list[slice]:
        """The columns of each head."""
        d = len(self.W_Q) // self.heads
        return [slice(start, start + d) for start in range(0, len(self.W_Q), d)]

    def read(self, e_t: Array, keys: Array, values: Array, mass: Array) -> Array:
        """The interest (D,): head_h = sum_j exp(q_h . k_jh) V_jh / sum_j exp(q_h . k_jh) n_j, heads, W_O.

        Args:
            keys: (R, D). values: (R, D), sums over what each row stands for.
            mass: (R,), how many behaviors each row stands for.
        """
        rows = [j for j, n in enumerate(mass) if n > LEAST_MASS]
        query, mixed = e_t @ self.W_Q, []
        for head in self.columns():
            d = head.stop - head.start
            scores = {j: float(query[head] @ (keys[j] @ self.W_K)[head]) / math.sqrt(d) for j in rows}
            top, above, below = max(scores.values(), default=0.0), np.zeros(d), 0.0
            for j, score in scores.items():
                above += math.exp(score - top) * (values[j] @ self.W_V)[head]
                below += math.exp(score - top) * mass[j]
            mixed.append(above / below if rows else above)
        return np.concatenate(mixed) @ self.W_O
