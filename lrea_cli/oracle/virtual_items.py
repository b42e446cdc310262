"""The slow twin of `twin-v2`: one user's behaviors clustered by recursion, in float64."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lrea_cli.oracle.attention import Array
from lrea_cli.oracle.model import Long, Record, Target
from lrea_cli.oracle.searches import SlowTWIN, alphas

STEPS = 5
TIE, LEAST_TIE = 1e-9, 1e-18


class SlowTWINV2(SlowTWIN):
    """The twin of `twin-v2`, as it is served."""

    def record(self, long: Long, user: int) -> Record:
        clusters = sorted(small_clusters(long.vectors, range(len(long.vectors)), self.model.settings.most_members))
        means = np.array([long.vectors[places].mean(0) for places in clusters]).reshape(-1, long.vectors.shape[1])
        record = {
            "keys": means @ self.model.weights["long.attention.W_K"],
            "values": means @ self.model.weights["long.attention.W_V"],
            "time": np.array([long.time[places[0]] for places in clusters], np.int64),
            "count": np.array([len(places) for places in clusters], np.int64),
            "place": np.array([places[0] for places in clusters], np.int64),
        }
        if long.category is not None:
            nearest = [nearest_to_mean(long.vectors, places) for places in clusters]
            record["category"] = np.array([long.category[place] for place in nearest], np.int64)
        return record

    def scores(self, head: int, target: Target, record: Record) -> list[float]:
        """TWIN's, and ln n of the n members."""
        plain = alphas(self.model, head, target, record)
        return [score + math.log(count) for score, count in zip(plain, record["count"].tolist(), strict=True)]


def small_clusters(E: Array, places: Sequence[int], most: int) -> list[list[int]]:
    """Split the places of a history, in order, until no cluster has more than `most`."""
    if len(places) <= most:
        return [list(places)] if len(places) else []
    return [cluster for half in halves(E, list(places)) for cluster in small_clusters(E, half, most)]


def halves(E: Array, places: list[int]) -> tuple[list[int], list[int]]:
    """2-means that starts from the point farthest from the mean and the point farthest from that one."""
    center = E[places].mean(0)
    first = E[max(places, key=lambda p: (apart(E[p], center), -p))]
    second = E[max(places, key=lambda p: (apart(E[p], first), -p))]
    for _ in range(STEPS):
        near, far = sides(E, places, first, second)
        first = E[near].mean(0) if near else first
        second = E[far].mean(0) if far else second
    near, far = sides(E, places, first, second)
    middle = (len(places) + 1) // 2
    return (near, far) if near and far else (places[:middle], places[middle:])


def sides(E: Array, places: list[int], first: Array, second: Array) -> tuple[list[int], list[int]]:
    """The places that are as near to the first point, and those that are nearer to the second."""
    far = [p for p in places if apart(E[p], second) < apart(E[p], first)]
    return [p for p in places if p not in far], far


def apart(a: Array, b: Array) -> float:
    """Squared distance."""
    return float(((a - b) ** 2).sum())


def nearest_to_mean(E: Array, places: list[int]) -> int:
    """The newest of the members that are nearest to the mean."""
    mean = E[places].mean(0)
    least = min(apart(E[p], mean) for p in places)
    return next(p for p in places if apart(E[p], mean) <= least * (1 + TIE) + LEAST_TIE)
