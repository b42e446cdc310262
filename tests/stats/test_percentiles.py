"""Percentiles by nearest rank, and none that too few requests back."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrea_cli.console.show import milliseconds
from lrea_cli.stats.latencies import CONFIDENCE, percentile, requests_needed, shortfalls


def test_percentiles_need_what_mlperf_asks() -> None:
    assert [requests_needed(p) for p in (50, 90, 95, 99)] == [7, 44, 90, 459]


@given(st.floats(1, 99.9))
def test_no_smaller_number_would_do(percent: float) -> None:
    needed = requests_needed(percent)
    assert (percent / 100) ** needed <= (1 - CONFIDENCE) * (1 + 1e-9)
    assert needed == 1 or (percent / 100) ** (needed - 1) > (1 - CONFIDENCE) * (1 - 1e-9)


@pytest.mark.parametrize("percent", [50, 90, 95, 99])
def test_the_limit_itself_is_enough(percent: int) -> None:
    needed = requests_needed(percent)
    assert percentile([1.0] * (needed - 1), percent) is None
    assert percentile([1.0] * needed, percent) == 1.0


@given(st.sampled_from([50, 90, 95, 99]), st.integers(459, 600), st.integers(0, 9))
def test_nearest_rank_is_that_of_a_loop(percent: int, count: int, seed: int) -> None:
    random = Random(seed)
    latencies = [random.choice([random.random(), 0.5]) for _ in range(count)]
    for below, candidate in enumerate(sorted(latencies), 1):
        if 100 * below >= percent * count:
            assert percentile(latencies, percent) == candidate
            return


def test_the_slowest_request_is_not_thrown_away() -> None:
    assert percentile([*([1.0] * 495), *([900.0] * 5)], 99) == 1.0
    assert percentile([*([1.0] * 494), *([900.0] * 6)], 99) == 900.0


@pytest.mark.parametrize(("value", "text"), [(0.012345, "0.0123"), (9.876, "9.88"), (99.94, "99.9"), (123.4, "123")])
def test_three_digits_are_shown(value: float, text: str) -> None:
    assert milliseconds(value) == text
    assert math.isclose(float(text), value, rel_tol=0.01)


def test_what_is_missing_is_named() -> None:
    hint = "(--seconds gives each row more time)"
    assert shortfalls(30, (50, 95, 99)) == [
        f"p95 n/a: needs 90 requests, has 30 {hint}",
        f"p99 n/a: needs 459 requests, has 30 {hint}",
    ]
    assert shortfalls(500, (50, 95, 99)) == []
    assert milliseconds(percentile([], 50)) == "n/a"
