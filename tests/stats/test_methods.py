"""Intervals over seeds and users: the formula spelled out, the bootstrap beside it, and their coverage."""

from __future__ import annotations

import math
from statistics import fmean, variance

import numpy as np
import pytest
from coverage import CASES, Case, draw, measure, true_auc
from scipy import stats

from lrea_cli.stats.bootstrap import dense, user_counts
from lrea_cli.stats.estimates import POWER_95_80, Estimate
from lrea_cli.stats.methods import (
    GIVEN_MODELS,
    OVER_SEEDS,
    MethodEstimate,
    SeedVariance,
    degrees_of_freedom,
    mean_auc_estimate,
    method_auc,
    method_difference,
    paired_difference,
)
from lrea_cli.stats.metrics import Rows
from lrea_cli.stats.metrics.auc import auc, weighted_auc
from lrea_cli.stats.ranks import Placed, UserClusters
from tests.stats.loops import covariance_of_clusters
from tests.stats.simulated import auc_estimate

A_SEEDS, B_SEEDS = 3, 4
SOME_CASES = ((0.1, 0.1), (0.4, 0.2))
"""Seeds vary more than users: 2 times and 20 times."""
Sides = list[list[np.ndarray]]


def trained(spread: float = 0.3, users: int = 60) -> tuple[Sides, np.ndarray, np.ndarray]:
    """Scores of three runs of one method and four of another, with ties; labels; users."""
    drawn = draw(Case(B_SEEDS, spread, 2 * spread), np.random.default_rng(7))
    rows = drawn.users < users
    sides = [[np.round(s[rows], 1) for s in side] for side in (drawn.a[:A_SEEDS], drawn.b)]
    return sides, drawn.labels[rows], drawn.users[rows]


def placed(sides: Sides, labels: np.ndarray, users: np.ndarray) -> tuple[UserClusters, list[list[Placed]]]:
    clusters = UserClusters(labels, users)
    return clusters, [[clusters.place(scores) for scores in side] for side in sides]


def spelled_out(sides: Sides, labels: np.ndarray, users: np.ndarray) -> tuple[float, float, float, float]:
    """Value, standard error, the seeds' share of its square, and their freedom, from counted placements."""
    scores = [s.tolist() for side in sides for s in side]
    aucs, cov = covariance_of_clusters(scores, labels.tolist(), users.tolist())
    first, second = range(A_SEEDS), range(A_SEEDS, A_SEEDS + B_SEEDS)
    part_a, part_b = (variance([aucs[i] for i in side]) / len(side) for side in (first, second))
    of_users = (
        fmean(cov[i, j] for i in first for j in first if i != j)
        + fmean(cov[i, j] for i in second for j in second if i != j)
        - 2 * fmean(cov[i, j] for i in first for j in second)
    )
    square = part_a + part_b + max(of_users, 0.0)
    freedom = (part_a + part_b) ** 2 / (part_a**2 / (A_SEEDS - 1) + part_b**2 / (B_SEEDS - 1))
    value = fmean(aucs[j] for j in second) - fmean(aucs[i] for i in first)
    return value, math.sqrt(square), (part_a + part_b) / square, freedom


@pytest.mark.parametrize("spread", [0.02, 0.3])
def test_a_difference_of_methods_is_the_formula_spelled_out(spread: float) -> None:
    sides, labels, users = trained(spread)
    clusters, (a, b) = placed(sides, labels, users)
    value, error, share, of_seeds = spelled_out(sides, labels, users)
    found = method_difference(a, b, clusters)
    freedom = of_seeds / share**1.25
    reach = stats.t.ppf(0.975, freedom) * error
    assert 0.01 < share < 0.99
    assert found.value == pytest.approx(value, abs=1e-12)
    assert found.standard_error == pytest.approx(error, rel=1e-10)
    assert found.freedom == pytest.approx(freedom, rel=1e-9)
    assert found.seeds is not None
    assert (found.seeds.variance, found.seeds.freedom) == pytest.approx((share * error**2, of_seeds), rel=1e-9)
    assert found.ci == pytest.approx((value - reach, value + reach), abs=1e-10)
    assert found.cover == OVER_SEEDS
    power = stats.t.ppf(0.975, freedom) + stats.t.ppf(0.8, freedom)
    assert found.resolvable == pytest.approx(power * error, rel=1e-8)


def test_the_mean_auc_of_a_method_is_the_formula_spelled_out() -> None:
    (runs, _), labels, users = trained()
    aucs, cov = covariance_of_clusters([s.tolist() for s in runs], labels.tolist(), users.tolist())
    found = mean_auc_estimate(runs, labels, users)
    of_seeds, of_users = variance(aucs) / 3, (cov.sum() - np.trace(cov)) / 6
    total = of_seeds + of_users
    freedom = 2 * (total / of_seeds) ** 1.25
    assert found.value == pytest.approx(fmean(aucs))
    assert found.standard_error == pytest.approx(math.sqrt(total))
    assert found.freedom == pytest.approx(freedom)
    reach = stats.t.ppf(0.975, freedom) * math.sqrt(total)
    assert found.ci == pytest.approx((fmean(aucs) - reach, fmean(aucs) + reach))


def test_the_users_part_is_that_of_the_bootstrap() -> None:
    """The mean covariance of two different seeds' AUCs on the same drawn users."""
    drawn = draw(Case(3, 0.0, 0.0), np.random.default_rng(1))
    clusters, (a, b) = placed([drawn.a, drawn.b], drawn.labels, drawn.users)
    owner, count = dense(drawn.users)
    counts = np.concatenate(list(user_counts(count, len(owner), 0, 3000)))
    each = [weighted_auc(Rows(s, drawn.labels, drawn.users), owner)(counts) for s in (*drawn.a, *drawn.b)]
    cov = np.cov(each)
    of_pairs = cov[:3, :3], cov[3:, 3:]
    expected = sum((c.sum() - np.trace(c)) / 6 for c in of_pairs) - 2 * cov[:3, 3:].mean()
    found = method_difference(a, b, clusters)
    of_users = (found.standard_error or 0) ** 2 - SeedVariance.of([a, b]).variance
    assert of_users == pytest.approx(expected, rel=0.15)


def test_swapped_sides_swap_the_sign() -> None:
    clusters, (a, b) = placed(*trained())
    there, back = method_difference(a, b, clusters), method_difference(b, a, clusters)
    assert there.value
    assert there.ci
    assert back.value == pytest.approx(-there.value)
    assert back.ci == pytest.approx((-there.ci[1], -there.ci[0]))


def test_seeds_that_disagree_resolve_nothing_where_given_models_do() -> None:
    """Each run differs from its partner beyond doubt, but seeds of one method differ as much."""
    drawn = draw(Case(3, 3.0, 3.0), np.random.default_rng(5))
    clusters, (a, b) = placed([drawn.a, drawn.b], drawn.labels, drawn.users)
    given = [method_difference([one], [other], clusters) for one, other in zip(a, b, strict=True)]
    assert all(each.resolved and each.cover == GIVEN_MODELS for each in given)
    assert not method_difference(a, b, clusters).resolved


def test_one_seed_on_a_side_is_given_the_trained_models() -> None:
    (some, others), labels, users = trained()
    clusters, (a, b) = placed([some, others[:1]], labels, users)
    found = method_difference(a, b, clusters)
    assert (found.cover, found.freedom, found.seeds) == (GIVEN_MODELS, None, None)
    _, cov = covariance_of_clusters([s.tolist() for s in (*some, others[0])], labels.tolist(), users.tolist())
    weights = np.array([-1 / 3, -1 / 3, -1 / 3, 1])
    assert found.standard_error == pytest.approx(math.sqrt(weights @ cov @ weights))
    assert found.resolvable == pytest.approx(POWER_95_80 * (found.standard_error or 0))


def test_the_mean_auc_of_one_run_is_its_auc() -> None:
    (runs, _), labels, users = trained()
    found, wanted = mean_auc_estimate(runs[:1], labels, users), auc_estimate(runs[0], labels, users)
    assert (found.value, found.ci, found.cover) == (wanted.value, wanted.ci, GIVEN_MODELS)


def test_seeds_that_agree_leave_the_users_alone() -> None:
    (runs, _), labels, users = trained()
    clusters, ((one,),) = placed([runs[:1]], labels, users)
    found, alone = method_auc([one] * 3, clusters), method_auc([one], clusters)
    assert found.standard_error == pytest.approx(alone.standard_error)
    assert found.ci == pytest.approx(alone.ci, abs=1e-3)
    same = method_difference([one] * 2, [one] * 2, clusters)
    assert (same.value, same.ci, same.resolved) == (0, (0, 0), False)


def test_a_paired_difference_has_no_more_of_the_seeds_than_the_pairs_have() -> None:
    """Runs and the same runs through rounded records: seeds of training shift both sides."""
    (_, runs), labels, users = trained(spread=1.0)
    clusters, (a, b) = placed([runs, [np.round(s) for s in runs]], labels, users)
    paired, unpaired = paired_difference(a, b, clusters), method_difference(a, b, clusters)
    changes = [(auc(np.round(s), labels) or 0) - (auc(s, labels) or 0) for s in runs]
    assert paired.value == pytest.approx(unpaired.value) == pytest.approx(fmean(changes))
    scores = [s.tolist() for s in (*runs, *map(np.round, runs))]
    _, cov = covariance_of_clusters(scores, labels.tolist(), users.tolist())
    of_changes = cov[4:, 4:] - cov[4:, :4] - cov[:4, 4:] + cov[:4, :4]
    of_users = (of_changes.sum() - np.trace(of_changes)) / 12
    assert paired.standard_error == pytest.approx(math.sqrt(variance(changes) / 4 + max(of_users, 0.0)))
    assert (paired.standard_error or 0) < 0.3 * (unpaired.standard_error or 0)


def test_users_who_part_the_seeds_take_nothing_off_the_variance_of_seeds() -> None:
    _, labels, users = trained()
    clusters, ((one,),) = placed([[np.arange(len(labels)) + labels]], labels, users)
    runs = [one, Placed(one.auc + 0.1, -one.clicked, -one.others)]
    assert clusters.covariance(runs, runs)[0, 1] < 0
    found = method_auc(runs, clusters)
    assert found.standard_error == pytest.approx(0.05)
    assert found.freedom == pytest.approx(1)


def test_freedom_lies_between_the_seeds_own_and_the_normal() -> None:
    seeds = SeedVariance(2.0, 3.0)
    assert degrees_of_freedom(seeds, 2.0) == 3.0
    assert degrees_of_freedom(seeds, 4.0) == pytest.approx(3 * 2**1.25)
    assert degrees_of_freedom(seeds, 1e9) == degrees_of_freedom(SeedVariance(0.0, 3.0), 1.0) == 1000


def test_two_like_methods_have_the_freedom_of_both_and_unlike_ones_that_of_the_wilder() -> None:
    nobody = np.zeros(1)
    wild, calm = ([Placed(v * n, nobody, nobody) for n in (1, 2, 4)] for v in (1.0, 1e-6))
    assert SeedVariance.of([wild, wild]).freedom == pytest.approx(4)
    assert SeedVariance.of([wild, calm]).freedom == pytest.approx(2)
    assert SeedVariance.of([wild]).variance == pytest.approx(variance([1, 2, 4]) / 3)


@pytest.mark.parametrize("labels", [[1, 1, 1], [0, 0, 0]])
def test_one_class_has_no_value(labels: list[int]) -> None:
    scores = [np.arange(3.0), np.ones(3)]
    assert mean_auc_estimate(scores, np.array(labels), np.arange(3)) == MethodEstimate(None, None, None)


def test_one_user_has_a_value_alone() -> None:
    found = mean_auc_estimate([np.array([1.0, 2, 3])] * 2, np.array([0.0, 1, 0]), np.zeros(3))
    assert (found.value, found.ci, found.resolved, found.resolvable) == (0.5, None, False, None)
    assert isinstance(found, Estimate)


def test_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        UserClusters(np.array([0, 1]), np.arange(2)).place(np.array([0.0, math.nan]))


def test_the_simulated_truth_is_that_of_many_users_and_seeds() -> None:
    drawn = [draw(Case(20, 0.6, 0.0), np.random.default_rng(n)) for n in range(150)]
    found = np.mean([[auc(s, d.labels) for s in d.a] for d in drawn])
    assert found == pytest.approx(true_auc(1.0, 0.6), abs=0.005)
    assert abs(true_auc(1.0, 0.0) - true_auc(1.0, 0.6)) > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("case", [Case(seeds, *spread) for seeds in (3, 5) for spread in SOME_CASES], ids=str)
def test_93_to_97_of_100_intervals_hold_the_truth(case: Case) -> None:
    """1,000 draws, as in benchmarks/coverage.py; given the trained models, many fewer, as seeds differ."""
    assert case in CASES
    found = measure(case, 1000)
    assert found.ok, found
    assert found.given_models < 0.9
