"""The slow, obvious twins of stats/{bootstrap,delong}: pairs and loops, from the formulas."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np


def worth(above: float, below: float) -> float:
    """What a pair of a clicked and another row counts: 1 in the right order, half a tie."""
    return 1.0 if above > below else 0.5 if above == below else 0.0


def auc_of_pairs(scores: Sequence[float], labels: Sequence[float], weights: Sequence[int]) -> float | None:
    """Every pair of a clicked and another row, as often as both rows were drawn."""
    won, pairs = 0.0, 0
    for (s, y, w), (s2, y2, w2) in product(zip(scores, labels, weights, strict=True), repeat=2):
        if y and not y2:
            won += w * w2 * worth(s, s2)
            pairs += w * w2
    return won / pairs if pairs else None


def gauc_of_groups(
    scores: Sequence[float], labels: Sequence[float], groups: Sequence[int], weights: Sequence[int]
) -> float | None:
    """A group that was drawn w times counts w times with all its rows; one with a single class not at all."""
    total, rows = 0.0, 0
    for group in set(groups):
        mine = [i for i, g in enumerate(groups) if g == group]
        found = auc_of_pairs([scores[i] for i in mine], [labels[i] for i in mine], [1] * len(mine))
        if found is not None:
            total += weights[mine[0]] * len(mine) * found
            rows += weights[mine[0]] * len(mine)
    return total / rows if rows else None


def covariance_of_clusters(
    scores_list: Sequence[Sequence[float]], labels: Sequence[float], users: Sequence[int]
) -> tuple[list[float], np.ndarray]:
    """Obuchowski 1997, equations 3 to 8, with every placement counted out."""
    clicked = [i for i, y in enumerate(labels) if y]
    others = [i for i, y in enumerate(labels) if not y]
    P, N, names = len(clicked), len(others), sorted(set(users))
    aucs, X, Y = [], [], []
    for s in scores_list:
        V10 = {i: sum(worth(s[i], s[j]) for j in others) / N for i in clicked}
        V01 = {j: sum(worth(s[i], s[j]) for i in clicked) / P for j in others}
        theta = sum(V10.values()) / P
        aucs.append(theta)
        X.append([sum(V10[i] - theta for i in clicked if users[i] == u) for u in names])
        Y.append([sum(V01[j] - theta for j in others if users[j] == u) for u in names])
    I10, I01, every = len({users[i] for i in clicked}), len({users[j] for j in others}), len(names)
    covariance = np.zeros((len(aucs), len(aucs)))
    for r, s in product(range(len(aucs)), repeat=2):
        S10 = I10 / ((I10 - 1) * P) * sum(x * y for x, y in zip(X[r], X[s], strict=True))
        S01 = I01 / ((I01 - 1) * N) * sum(x * y for x, y in zip(Y[r], Y[s], strict=True))
        S11 = every / (every - 1) * sum(x * y for x, y in zip(X[r], Y[s], strict=True))
        S11_turned = every / (every - 1) * sum(x * y for x, y in zip(X[s], Y[r], strict=True))
        covariance[r, s] = S10 / P + S01 / N + (S11 + S11_turned) / (P * N)
    return aucs, covariance
