"""Intervals of means and medians against scipy, a resampling loop, and their promised coverage."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from scipy import stats

from lrea_cli.stats import latencies
from lrea_cli.stats.estimates import Estimate, t_quantile
from lrea_cli.stats.latencies import median, median_difference, median_interval, percentile, percentile_interval


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 29, 30, 400])
def test_the_quantile_is_that_of_scipy(freedom: int) -> None:
    assert t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)


@pytest.mark.parametrize("inside", [0.5, 0.95, 0.995, 0.9995])
@pytest.mark.parametrize("freedom", [1, 1.5, 3, 30])
def test_the_quantile_of_other_levels_is_that_of_scipy(freedom: float, inside: float) -> None:
    """With one degree of freedom 99.95% lie within 1,273."""
    assert t_quantile(freedom, inside) == pytest.approx(stats.t.ppf((1 + inside) / 2, freedom), rel=1e-8)


@pytest.mark.parametrize("n", [6, 7, 10, 11, 20, 100, 459, 2000])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_ranks_are_the_closest_that_hold_the_confidence(n: int, confidence: float) -> None:
    found = median_interval([float(v) for v in Random(n).sample(range(1, n + 1), n)], confidence)
    assert found is not None
    low, high = found
    assert low + high == n + 1
    inside = stats.binom.cdf(high - 1, n, 0.5) - stats.binom.cdf(low - 1, n, 0.5)
    closer = stats.binom.cdf(high - 2, n, 0.5) - stats.binom.cdf(low, n, 0.5)
    assert closer < confidence <= inside


def test_five_values_do_not_hold_95_percent() -> None:
    assert median_interval([1.0] * 5) is None
    assert median_interval([]) is None
    assert median_interval([1.0] * 6) == (1.0, 1.0)


@pytest.mark.parametrize("n", [368, 459, 1000, 3000])
@pytest.mark.parametrize("percent", [10, 90, 99])
def test_ranks_of_a_percentile_are_the_closest_on_each_side(n: int, percent: float) -> None:
    found = percentile_interval([float(v) for v in Random(n).sample(range(1, n + 1), n)], percent)
    assert found is not None
    (low, high), q = found, percent / 100
    assert stats.binom.cdf(low - 1, n, q) <= 0.025 < stats.binom.cdf(low, n, q)
    assert stats.binom.sf(high - 1, n, q) <= 0.025 < stats.binom.sf(high - 2, n, q)


def test_a_p99_needs_368_values_for_an_interval() -> None:
    assert percentile_interval([1.0] * 367, 99) is None
    assert percentile_interval([1.0] * 368, 99) == (1.0, 1.0)
    assert percentile_interval([], 99) is None


def test_the_interval_of_a_median_covers_it() -> None:
    rng = np.random.default_rng(0)
    found = [median_interval(rng.lognormal(size=40).tolist()) for _ in range(2000)]
    covered = np.mean([ci is not None and ci[0] <= 1.0 <= ci[1] for ci in found])
    assert 0.95 <= covered <= 0.975  # 96.2% by the binomial


@pytest.mark.parametrize("n", [7, 10, 99, 100])
def test_the_median_is_that_of_serve_bench(n: int) -> None:
    latencies = [Random(n).random() for _ in range(n)]
    assert median(latencies) == percentile(latencies, 50)


def test_drawn_medians_are_those_of_resampling() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.lognormal(size=60), 1.5 * rng.lognormal(size=45)
    drawn = [[median(rng.choice(v, len(v)).tolist()) for _ in range(4000)] for v in (a, b)]
    found = median_difference(a.tolist(), b.tolist())
    looped = np.divide(drawn[1], drawn[0]) - 1
    assert found.value == median(b.tolist()) / median(a.tolist()) - 1
    assert found.standard_error == pytest.approx(np.std(looped), rel=0.05)
    assert found.ci == pytest.approx(np.quantile(looped, [0.025, 0.975]), abs=0.06)
    assert found.resolvable == pytest.approx(2.8016 * (found.standard_error or 0), rel=1e-4)


@pytest.mark.parametrize("n", [2, 3, 6, 25])
def test_a_drawn_median_is_each_value_as_often_as_resampling_has_it(n: int) -> None:
    """At most k where the ceil(n / 2)-th of n draws is: P(Bin(n, k / n) >= ceil(n / 2))."""
    drawn = latencies._drawn_medians(np.arange(1.0, n + 1), np.random.default_rng(n))
    for k in range(1, n + 1):
        expected = stats.binom.sf(math.ceil(n / 2) - 1, n, k / n)
        assert np.mean(drawn <= k) == pytest.approx(expected, abs=0.02)


def test_the_interval_of_a_ratio_covers_it() -> None:
    covered, rng = 0, np.random.default_rng(2)
    for seed in range(400):
        a, b = rng.lognormal(sigma=0.3, size=100), 1.2 * rng.lognormal(sigma=0.3, size=80)
        ci = median_difference(a.tolist(), b.tolist(), seed).ci
        assert ci is not None
        covered += ci[0] <= 0.2 <= ci[1]
    assert 0.92 <= covered / 400 <= 0.98


def test_the_same_latencies_show_no_difference_and_twice_as_long_ones_do() -> None:
    values = [1 + Random(3).random() + 0.001 * i for i in range(100)]
    same = median_difference(values, values)
    assert same.value == 0
    assert same.ci is not None
    assert same.ci[0] < 0 < same.ci[1]  # independent sets: not paired
    assert not same.resolved
    twice = median_difference(values, [2 * v for v in values], seed=4)
    assert twice.value == pytest.approx(1)
    assert twice.resolved
    assert twice == median_difference(values, [2 * v for v in values], seed=4)


def test_nothing_to_compare_has_no_value() -> None:
    assert median_difference([], [1.0]) == Estimate(None, None, None)
    assert median_difference([2.0], [1.0, 1.0]) == Estimate(-0.5, None, None)
