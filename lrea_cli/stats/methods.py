"""AUC of a method and difference of two, for other seeds of training and other users (Obuchowski & Rockette 1995).

Seeds are the readers and users the cases of a multi-reader multi-case study. The two methods of a difference are read
by different readers, since seed 1 of one method shares nothing with seed 1 of another (Hillis 2014: readers nested in
tests).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lrea_cli.stats.bootstrap import estimate_of
from lrea_cli.stats.estimates import Z_95, Estimate, t_quantile
from lrea_cli.stats.metrics import AUC, Rows
from lrea_cli.stats.ranks import Placed, UserClusters

Cover = Literal["given the trained models", "over seeds and users"]
"""What an interval covers: other users alone, or other seeds of training as well."""
GIVEN_MODELS: Cover = "given the trained models"
OVER_SEEDS: Cover = "over seeds and users"

SHARE_POWER = 1.25
"""2 is Hillis's; see `degrees_of_freedom`."""
MOST_FREEDOM = 1000
"""Of Student's t: with more, its interval is the normal one."""


@dataclass(frozen=True)
class SeedVariance:
    """Variance of a mean over seeds, or of a difference of two such means, that seeds alone make.

        variance = sum_k s_k^2 / m_k,    freedom = variance^2 / sum_k (s_k^2 / m_k)^2 / (m_k - 1)    (Welch 1947)

    s_k^2 is the variance of the m_k AUCs of method k: users are the same for all of them, so what all share drops out.
    """

    variance: float
    freedom: float

    @classmethod
    def of(cls, methods: Sequence[Sequence[Placed]]) -> SeedVariance:
        """Of methods of two seeds or more each."""
        parts = [float(np.var([run.auc for run in runs], ddof=1)) / len(runs) for runs in methods]
        squares = sum(part**2 / (len(runs) - 1) for part, runs in zip(parts, methods, strict=True))
        return cls(sum(parts), sum(parts) ** 2 / squares if squares > 0 else MOST_FREEDOM)


@dataclass(frozen=True)
class MethodEstimate(Estimate):
    """An AUC or a difference of AUCs.

    Args:
        freedom: of Student's t; None where seeds are not in the interval.
        seeds: the part of `standard_error`^2 that seeds make; the rest is the users'.
    """

    freedom: float | None = None
    seeds: SeedVariance | None = None

    @property
    def cover(self) -> Cover:
        """What the interval covers."""
        return GIVEN_MODELS if self.freedom is None else OVER_SEEDS

    @property
    def resolvable(self) -> float | None:
        """The smallest true difference that is found with a power of 80%: (t(.975) + t(.8)) standard errors."""
        if self.freedom is None or self.standard_error is None:
            return super().resolvable
        return (t_quantile(self.freedom) + t_quantile(self.freedom, 0.6)) * self.standard_error


def method_auc(runs: Sequence[Placed], clusters: UserClusters) -> MethodEstimate:
    """Mean AUC of runs that differ in the seed of training alone: see `method_difference`."""
    return _combined([runs], [1.0], clusters)


def method_difference(a: Sequence[Placed], b: Sequence[Placed], clusters: UserClusters) -> MethodEstimate:
    """Mean AUC of the runs of `b` minus that of the runs of `a`, with an interval for other seeds and other users.

        se^2 = s_a^2 / m_a + s_b^2 / m_b + max(cov_aa + cov_bb - 2 cov_ab, 0),    interval = value -+ t(freedom) se

    cov_aa and cov_bb are mean covariances, when users are drawn, of two different seeds of one method, cov_ab that of a
    run of each. A method of one seed says nothing of other seeds: then the interval is the normal one, given the
    trained models, of the difference of the means of these runs.

    Args:
        a, b: runs on the same rows, placed by `clusters`.
    """
    return _combined([a, b], [-1.0, 1.0], clusters)


def paired_difference(a: Sequence[Placed], b: Sequence[Placed], clusters: UserClusters) -> MethodEstimate:
    """The mean of b_j - a_j where run j of `b` comes of run j of `a`, such as a run through other records."""
    return method_auc([other.minus(one) for one, other in zip(a, b, strict=True)], clusters)


def mean_auc_estimate(runs: Sequence[np.ndarray], labels: np.ndarray, users: np.ndarray) -> MethodEstimate:
    """`method_auc` of scores (rows,); of one run its AUC as `lrea eval` has it: bootstrap over users."""
    if len(runs) == 1:
        return MethodEstimate(**vars(estimate_of(AUC, Rows(runs[0], labels, users))))
    clusters = UserClusters(labels, users)
    return method_auc([clusters.place(scores) for scores in runs], clusters)


def degrees_of_freedom(seeds: SeedVariance, total: float) -> float:
    """Of Student's t for an estimate of which seeds make the share w = seeds.variance / total of its variance.

        freedom = seeds.freedom / w^(5/4)

    With w^2 it is Satterthwaite's (1946), and so Hillis's (2007). Of three seeds that covers 92% where seeds make most
    of the variance, but not all: a small s^2 also makes w small, and w^2 more so. With w it covers up to 96.6% where
    seeds and users make as much. The power between is ours, chosen by simulation: benchmarks/coverage.py.
    """
    if seeds.variance <= 0:
        return MOST_FREEDOM
    return min(MOST_FREEDOM, seeds.freedom * (total / seeds.variance) ** SHARE_POWER)


def _combined(methods: Sequence[Sequence[Placed]], signs: Sequence[float], clusters: UserClusters) -> MethodEstimate:
    """The signed sum of the methods' mean AUCs."""
    value = float(np.dot(signs, [np.mean([run.auc for run in runs]) for runs in methods]))
    if not math.isfinite(value):
        return MethodEstimate(None, None, None)
    several = all(len(runs) > 1 for runs in methods)
    seeds = SeedVariance.of(methods) if several else SeedVariance(0.0, MOST_FREEDOM)
    of_users = float(np.array(signs) @ _mean_covariances(methods, clusters, several) @ np.array(signs))
    if not math.isfinite(of_users):
        return MethodEstimate(value, None, None)
    total = seeds.variance + max(of_users, 0.0)
    freedom = degrees_of_freedom(seeds, total) if several else None
    reach = (Z_95 if freedom is None else t_quantile(freedom)) * math.sqrt(total)
    return MethodEstimate(value, (value - reach, value + reach), math.sqrt(total), freedom, seeds if several else None)


def _mean_covariances(methods: Sequence[Sequence[Placed]], clusters: UserClusters, different: bool) -> np.ndarray:
    """(methods, methods): mean over pairs of a run of each; `different`: within a method, of different seeds alone."""
    runs = [run for each in methods for run in each]
    method = np.repeat(np.arange(len(methods)), [len(each) for each in methods])
    pairs = np.ones((len(runs), len(runs))) - (np.eye(len(runs)) if different else 0)
    belongs = (method == np.arange(len(methods))[:, None]).astype(float)
    sums = belongs @ (pairs * clusters.covariance(runs, runs)) @ belongs.T
    return sums / (belongs @ pairs @ belongs.T)
