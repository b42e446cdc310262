"""Slow twins of the methods that search or hash: loops in float64 after their papers, which gate and tests trust.

They share no code with what they check.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from lrea_cli.oracle.attention import Array, din
from lrea_cli.oracle.model import Long, Record, ReferenceModel, SlowTwin, Target

HOUR = 3600
LAST_BAND = 15
CLOSE = 1e-5
"""Scores that differ by less than this share of the largest may have another order in float32."""


class SlowSearch(SlowTwin):
    """The twin of a method that selects behaviors for each candidate and attends to them."""

    @abstractmethod
    def search(self, target: Target, record: Record) -> list[int] | None:
        """Positions of the k selected behaviors; None if float32 may select others, see `largest`."""

    def interest(self, target: Target, long: Long, record: Record) -> Array | None:
        chosen = self.search(target, record)
        if chosen is None:
            return None
        E = record["vectors"][chosen]
        if self.model.settings.target_attention == "din":
            return din(target.vector, E, self.model.scorer("long"))
        return multi_head(self.model, target.vector, E)


class SlowSIM(SlowSearch):
    """The twin of `sim`."""

    def record(self, long: Long, user: int) -> Record:
        return {"vectors": long.vectors, **_categories(long)}

    def search(self, target: Target, record: Record) -> list[int] | None:
        k = self.model.settings.k
        if self.model.settings.search == "hard":
            categories = record["category"].tolist()
            return [i for i, category in enumerate(categories) if is_same(category, target.category)][:k]
        E = record["vectors"]
        return largest([float(target.vector @ e) for e in E], E, k)


class SlowETA(SlowSearch):
    """The twin of `eta`."""

    def record(self, long: Long, user: int) -> Record:
        size = math.ceil(self.model.settings.m / 8)
        codes = [list(self._code(e).to_bytes(size, "little")) for e in long.vectors]
        return {"vectors": long.vectors, "codes": np.array(codes, np.uint8).reshape(len(codes), size)}

    def search(self, target: Target, record: Record) -> list[int]:
        codes = [int.from_bytes(bytes(row), "little") for row in record["codes"].tolist()]
        return nearest(self._code(target.vector), codes, self.model.settings.k)

    def _code(self, e: Array) -> int:
        return simhash(e, self.model.weights["long.planes"])


class SlowSDIM(SlowTwin):
    """The twin of `sdim`."""

    def record(self, long: Long, user: int) -> Record:
        return {"sums": bucket_sums(long.vectors, self.model.weights["long.planes"], self.model.settings.tau)}

    def interest(self, target: Target, long: Long, record: Record) -> Array:
        return sdim(target.vector, record["sums"], self.model.weights["long.planes"], self.model.settings.tau)


class SlowTWIN(SlowTwin):
    """The twin of `twin`: each head takes its own k behaviors by alpha, and weights them by softmax of that alpha."""

    def record(self, long: Long, user: int) -> Record:
        keys, values = (long.vectors @ self.model.weights[f"long.attention.{name}"] for name in ("W_K", "W_V"))
        return {"keys": keys, "values": values, "time": long.time, **_categories(long)}

    def interest(self, target: Target, long: Long, record: Record) -> Array | None:
        model, values, mixed = self.model, record["values"], []
        for number, head in enumerate(heads(model, len(target.vector))):
            scores = self.scores(number, target, record)
            chosen = largest(scores, values[:, head], model.settings.k)
            if chosen is None:
                return None
            mixed.append(
                softmax_sum([scores[i] for i in chosen], [values[i, head] for i in chosen], head.stop - head.start)
            )
        return np.concatenate(mixed) @ model.weights["long.attention.W_O"]

    def scores(self, head: int, target: Target, record: Record) -> list[float]:
        """alpha of each row of the record for one head."""
        return alphas(self.model, head, target, record)


def is_same(value: int, other: int | None) -> bool:
    """Whether two ids mean the same value; 0 is padding and 1 a missing value, and neither equals anything."""
    return value == other and value not in (0, 1)


def largest(scores: Sequence[float], rows: Array, k: int) -> list[int] | None:
    """Positions of the k largest scores; None if float32 may select a behavior with another row (n, d).

    That is so if a score that is left out lies within `CLOSE` of the k-th, and the rows of all scores that near the
    k-th are not the same.
    """
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    if len(order) > k:
        margin = CLOSE * max(abs(score) for score in scores)
        near = [i for i in order if abs(scores[i] - scores[order[k - 1]]) <= margin]
        if order[k] in near and any((rows[i] != rows[near[0]]).any() for i in near):
            return None
    return order[:k]


def simhash(e: Array, planes: Array) -> int:
    """One bit for each plane (D, m), the first the lowest: whether e (D,) lies on its positive side."""
    return sum(1 << bit for bit, projection in enumerate((e @ planes).tolist()) if projection > 0)


def hamming(a: int, b: int) -> int:
    """In how many bits two codes differ."""
    return (a ^ b).bit_count()


def nearest(code: int, codes: Sequence[int], k: int) -> list[int]:
    """ETA: positions of the k codes at the smallest Hamming distance, of equal ones the newest."""
    return sorted(range(len(codes)), key=lambda i: (hamming(code, codes[i]), i))[:k]


def bucket_sums(E: Array, planes: Array, tau: int) -> Array:
    """SDIM: for each group of tau planes, the sum of each bucket's behaviors; (G 2^tau, D), no rows if E is empty."""
    groups = planes.shape[1] // tau
    sums = np.zeros((groups * 2**tau if len(E) else 0, E.shape[1]))
    for e in E:
        for row in bucket_rows(e, planes, tau):
            sums[row] += e
    return sums


def bucket_rows(e: Array, planes: Array, tau: int) -> list[int]:
    """The row of `bucket_sums` to which a vector belongs, for each group."""
    groups = range(planes.shape[1] // tau)
    return [group * 2**tau + simhash(e, planes[:, group * tau : (group + 1) * tau]) for group in groups]


def sdim(e_t: Array, sums: Array, planes: Array, tau: int) -> Array:
    """Mean over the groups of the candidate's bucket, divided by its length; an empty bucket counts as zero."""
    rows = bucket_rows(e_t, planes, tau)
    total = np.zeros_like(e_t)
    for row in rows if len(sums) else []:
        length = math.sqrt(sums[row] @ sums[row])
        if length > 0:
            total += sums[row] / length
    return total / len(rows)


def multi_head(model: ReferenceModel, e_t: Array, E: Array) -> Array:
    """Vaswani et al. 2017 with one query: softmax((e_t W_Q)_h . (e_l W_K)_h / sqrt(d)) (e_l W_V)_h, heads, W_O."""
    W_Q, W_K, W_V, W_O = (model.weights[f"long.attention.{name}"] for name in ("W_Q", "W_K", "W_V", "W_O"))
    mixed = []
    for head in heads(model, len(e_t)):
        query, d = (e_t @ W_Q)[head], head.stop - head.start
        scores = [float(query @ (e @ W_K)[head]) / math.sqrt(d) for e in E]
        mixed.append(softmax_sum(scores, [(e @ W_V)[head] for e in E], d))
    return np.concatenate(mixed) @ W_O


def alphas(model: ReferenceModel, number: int, target: Target, record: Record) -> list[float]:
    """alpha of each behavior for one head: q . k_l / sqrt(d) and what the cross features add."""
    head = heads(model, len(target.vector))[number]
    query, d = (target.vector @ model.weights["long.attention.W_Q"])[head], head.stop - head.start
    return [
        float(query @ key[head]) / math.sqrt(d) + cross_bias(model, number, target, record, position)
        for position, key in enumerate(record["keys"])
    ]


def cross_bias(model: ReferenceModel, head: int, target: Target, record: Record, position: int) -> float:
    """What age, position and equal category of a behavior add to its alpha."""
    hours = max(0, target.time - int(record["time"][position])) // HOUR
    place = int(record["place"][position]) if "place" in record else position
    bias = model.weights["long.age"][head, band(hours)] + model.weights["long.place"][head, band(place)]
    if "long.same_category" in model.weights and is_same(int(record["category"][position]), target.category):
        bias += model.weights["long.same_category"][head]
    return float(bias)


def band(whole: int) -> int:
    """The band of a whole number: 0, 1, 2-3, 4-7, .. are bands 0, 1, 2, 3, ..; the last band is open."""
    return min(LAST_BAND, whole.bit_length())


def heads(model: ReferenceModel, width: int) -> list[slice]:
    """The columns of each head."""
    d = width // model.settings.heads
    return [slice(start, start + d) for start in range(0, width, d)]


def softmax_sum(scores: Sequence[float], values: Sequence[Array], d: int) -> Array:
    """sum_l softmax_l(scores) values_l (d,), zero without scores."""
    top = max(scores, default=0.0)
    weights = [math.exp(score - top) for score in scores]
    total, mixed = sum(weights), np.zeros(d)
    for weight, value in zip(weights, values, strict=True):
        mixed += weight / total * value
    return mixed


def _categories(long: Long) -> Record:
    return {} if long.category is None else {"category": long.category}
