"""Slow twins of the compressors: loops in float64 for one user, which gate and tests trust; they share no code."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lrea_cli.oracle.attention import Array, Scorer, absolute_half, din_linear_half, hidden, history_scale
from lrea_cli.oracle.softmax import Softmax

LLOYD_STEPS = 3
CODEBOOK_STEPS = 10
RIDGE = 0.1
FIT_PROBES = OWN_PROBES = 4
G = 0.495
"""(1 - slope) / 2."""


@dataclass(frozen=True)
class Rows:
    """What a compressor keeps: keys and values (rows, D), and a correction (D + 1, D) of the linear half, or None.

    For a run that reads with softmax also the mass (rows,).
    """

    keys: Array
    values: Array
    correction: Array | None = None
    mass: Array | None = None


def interest(e_t: Array, E: Array, rows: Rows, scorer: Scorer | Softmax) -> Array:
    """The interest (D,) of a candidate: the linear half over all of E (n, D), the absolute half over the rows.

    With softmax the rows alone are read.
    """
    if isinstance(scorer, Softmax):
        return scorer.read(e_t, rows.keys, rows.values, np.zeros(0) if rows.mass is None else rows.mass)
    total = din_linear_half(e_t, E, scorer) + absolute_half(e_t, rows.keys, rows.values, scorer)
    if rows.correction is not None:
        total += e_t @ rows.correction[:-1] + rows.correction[-1]
    return total


@dataclass(frozen=True)
class Inputs:
    """What a compressor reads besides the behaviors of a user.

    Args:
        rank: most rows.
        seed: seed of the draws, with `user`.
        user: dense number.
        probes: (T, D), shared by all users.
        scorer: of the long history.
        codebook: (K, D) of `codebook`, where the compressor shares one among users.
        softmax: the reader of a run that reads with softmax, else None.
    """

    rank: int
    seed: int
    user: int
    probes: Array
    scorer: Scorer
    softmax: Softmax | None = None
    codebook: Array | None = None

    def scaled(self, E: Array) -> Array:
        """The values (n, D) of single behaviors: c(n) E, or E for softmax."""
        return E if self.softmax else history_scale(len(E)) * E

    def ones(self, rows: int) -> Array | None:
        """The mass of rows that each are one behavior."""
        return np.ones(rows) if self.softmax else None


RowsOf = Callable[[Array, Inputs], Rows]
"""(real behaviors (n, D), n > 0, newest first; inputs) -> the rows that the compressor keeps."""


def mean(E: Array, by: Inputs) -> Rows:
    """One row: the mean of the behaviors."""
    mass = np.array([float(len(E))]) if by.softmax else None
    return Rows(E.mean(0, keepdims=True), by.scaled(E).sum(0, keepdims=True), mass=mass)


def recent(E: Array, by: Inputs) -> Rows:
    """The newest behaviors."""
    return Rows(E[: by.rank], by.scaled(E)[: by.rank], mass=by.ones(min(by.rank, len(E))))


def random(E: Array, by: Inputs) -> Rows:
    """The behaviors with the smallest draws, in the order of the history."""
    draws = uniforms(by.seed, by.user, len(E))
    chosen = sorted(sorted(range(len(E)), key=draws.__getitem__)[: by.rank])
    return Rows(E[chosen], by.scaled(E)[chosen], mass=by.ones(len(chosen)))


def clusters(E: Array, by: Inputs) -> Rows:
    """k-means in the reader's metric, sums of members; for DIN's scorer the sign correction, and values fitted."""
    if by.softmax:
        return _merged(E, kmeans(E, by.rank, uniforms(by.seed, by.user, by.rank), distance_of(by)))
    rank, probes, scorer = by.rank, by.probes, by.scorer
    draws = uniforms(by.seed, by.user, rank + OWN_PROBES)
    owner = kmeans(E, rank, draws[:rank], distance_of(by))
    scaled = history_scale(len(E)) * E
    used = sorted(set(owner))
    keys = np.array([np.mean([e for e, o in zip(E, owner, strict=True) if o == j], axis=0) for j in used])
    sums = np.array([np.sum([v for v, o in zip(scaled, owner, strict=True) if o == j], axis=0) for j in used])
    own = [E[int(draw * len(E))] for draw in draws[rank:]]
    T = [*probes[:FIT_PROBES], *own]
    by_number = dict(zip(used, keys, strict=True))
    correction = sign_correction(E, owner, by_number, by, by_number)
    scores = np.array([[G * float(np.abs(hidden(t, key, scorer)) @ scorer.w_o) for key in keys] for t in T])
    full = np.array([(G * np.abs(hidden(t, E, scorer)) @ scorer.w_o) @ scaled for t in T])
    wanted = full - np.array([t @ correction[:-1] + correction[-1] for t in T])
    gram = scores.T @ scores
    ridge = RIDGE * np.trace(gram) / rank * np.eye(len(used))
    change = np.linalg.solve(gram + ridge, scores.T @ (wanted - scores @ sums))
    return Rows(keys, sums + change, correction)


def codes(E: Array, by: Inputs) -> Rows:
    """Groups by nearest code, in the order of the codes: means, sums, and the sign correction with the codes' signs."""
    assert by.codebook is not None
    distance = distance_of(by)
    owner = [_nearest(e, list(by.codebook), distance) for e in E]
    if by.softmax:
        return _merged(E, owner)
    used, scaled = sorted(set(owner)), history_scale(len(E)) * E
    sums = np.array([np.sum([v for v, o in zip(scaled, owner, strict=True) if o == j], axis=0) for j in used])
    keys = {j: np.mean([e for e, o in zip(E, owner, strict=True) if o == j], axis=0) for j in used}
    correction = sign_correction(E, owner, keys, by, by.codebook)
    return Rows(np.array(list(keys.values())), sums, correction)


def codebook(items: Array, clicks: Array, by: Inputs) -> Array:
    """Weighted k-means of items (I, D) with clicks (I,): a k-means++ start, then Lloyd's steps; one code at a time."""
    metric = metric_of(by)

    def distances(code: Array) -> Array:
        apart = items - code
        return np.sum(apart @ metric * apart, axis=1)

    centers: list[Array] = []
    nearest, weight = np.full(len(items), np.inf), clicks.astype(float)
    for draw in uniforms(by.seed, 0, by.rank):
        total = np.cumsum(weight)
        if total[-1] <= 0:
            break
        centers.append(items[min(int(np.sum(total <= draw * total[-1])), len(items) - 1)])
        nearest = np.minimum(nearest, np.where((items == centers[-1]).all(1), 0.0, distances(centers[-1])))
        weight = nearest * clicks
    for _ in range(CODEBOOK_STEPS):
        owner = np.argmin([distances(center) for center in centers], axis=0)
        for j in set(owner.tolist()):
            centers[j] = np.average(items[owner == j], axis=0, weights=clicks[owner == j])
    return np.array(centers)


def _merged(E: Array, owner: Sequence[int]) -> Rows:
    """Means and sums of the members of each group, and their number, which softmax reads."""
    members = [[e for e, o in zip(E, owner, strict=True) if o == j] for j in sorted(set(owner))]
    keys, values = ([f(own, axis=0) for own in members] for f in (np.mean, np.sum))
    return Rows(np.array(keys), np.array(values), mass=np.array([float(len(own)) for own in members]))


def distance_of(by: Inputs) -> Callable[[Array, Array], float]:
    """Squared distance of two behaviors, by which they are grouped."""
    metric = metric_of(by)
    return lambda a, b: float((a - b) @ metric @ (a - b))


def metric_of(by: Inputs) -> Array:
    """The matrix (D, D) of that distance."""
    return softmax_metric(by.probes, by.softmax) if by.softmax else scorer_metric(by.probes, by.scorer)


def softmax_metric(probes: Array, softmax: Softmax) -> Array:
    """By how much their scores differ, summed over heads, as mean over the probes: a matrix (D, D)."""
    maps = [
        (softmax.W_K[:, head] @ (t @ softmax.W_Q)[head]) / math.sqrt(head.stop - head.start)
        for t in probes
        for head in softmax.columns()
    ]
    return np.sum([np.outer(m, m) for m in maps], axis=0) / len(probes)


def scorer_metric(probes: Array, scorer: Scorer) -> Array:
    """By how much w_o times their hidden values differ, as mean over the probes: a matrix (D, D)."""
    maps = [(scorer.W2 + t[:, None] * scorer.W3) * scorer.w_o for t in probes]
    return np.mean([m @ m.T for m in maps], axis=0)


def sign_correction(
    E: Array, owner: Sequence[int], keys: Mapping[int, Array], by: Inputs, at: Mapping[int, Array] | Array
) -> Array:
    """(D + 1, D): what behaviors differ by from their key, where each hidden unit keeps its mean sign at `at`."""
    scorer, scale = by.scorer, history_scale(len(E))
    correction = np.zeros((E.shape[1] + 1, E.shape[1]))
    for j in sorted(set(owner)):
        key = keys[j]
        omega = G * scorer.w_o * np.mean([np.sign(hidden(t, at[j], scorer)) for t in by.probes], axis=0)
        for e in (e for e, o in zip(E, owner, strict=True) if o == j):
            correction[:-1] += np.outer((e - key) * (scorer.W3 @ omega), scale * e)
            correction[-1] += (e - key) @ (scorer.W2 @ omega) * scale * e
    return correction


def kmeans(E: Array, rank: int, draws: Sequence[float], distance: Callable[[Array, Array], float]) -> list[int]:
    """The cluster of each behavior: k-means++ with these draws, then Lloyd's steps; an empty cluster does not move."""
    centroids: list[Array] = []
    weight = [1.0] * len(E)
    for draw in draws:
        total = np.cumsum(weight)
        drawn = next((i for i, above in enumerate(total) if above > draw * total[-1]), len(E) - 1)
        centroids.append(E[drawn])
        weight = [min(distance(e, c) for c in centroids) for e in E]
    for _ in range(LLOYD_STEPS):
        owner = [_nearest(e, centroids, distance) for e in E]
        for j in range(rank):
            members = [e for e, o in zip(E, owner, strict=True) if o == j]
            centroids[j] = np.mean(members, axis=0) if members else centroids[j]
    return [_nearest(e, centroids, distance) for e in E]


def _nearest(e: Array, centroids: Sequence[Array], distance: Callable[[Array, Array], float]) -> int:
    return min(range(len(centroids)), key=lambda j: distance(e, centroids[j]))


def uniforms(seed: int, user: int, count: int) -> list[float]:
    """SplitMix64 (Steele, Lea and Flood 2014) of seed, user and number of the draw, as numbers in [0, 1)."""
    start = _mixed(_mixed(seed) + user)
    return [(_mixed(start + draw * _GAMMA) >> 11) / 2**53 for draw in range(1, count + 1)]


_GAMMA = 0x9E3779B97F4A7C15


def _mixed(state: int) -> int:
    state = (state + _GAMMA) % 2**64
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
    return state ^ (state >> 31)
