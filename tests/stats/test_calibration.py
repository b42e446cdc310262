"""Calibration against loops and hand-made cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrea_cli.stats.calibration import Calibration, calibration, expected_calibration_error, normalized_entropy, sigmoid
from tests.stats.loops import calibration_error

RATE = st.one_of(st.floats(0, 1), st.sampled_from([i / 10 for i in range(11)]))


@given(st.lists(st.tuples(RATE, st.integers(0, 1)), min_size=1, max_size=30))
def test_the_error_is_that_of_a_loop_over_bins(rows: list[tuple[float, int]]) -> None:
    rates, labels = (np.array(column, float) for column in zip(*rows, strict=True))
    expected = calibration_error(rates.tolist(), labels.tolist())
    assert expected_calibration_error(rates, labels) == pytest.approx(expected, abs=1e-12)


def test_a_bin_owns_its_upper_edge() -> None:
    apart = expected_calibration_error(np.array([0.1, 0.10001]), np.array([1.0, 0.0]))
    together = expected_calibration_error(np.array([0.1, 0.09999]), np.array([1.0, 0.0]))
    assert apart == pytest.approx(0.5, abs=1e-4)
    assert together == pytest.approx(0.4, abs=1e-4)


def test_the_base_rate_itself_has_entropy_one_and_is_calibrated() -> None:
    labels = np.array([1.0, 0, 0, 0, 0])
    found = calibration(np.full(5, math.log(0.2 / 0.8)), labels)
    assert found.normalized_entropy == pytest.approx(1)
    assert found.calibration_ratio == pytest.approx(1)
    assert found.ece == pytest.approx(0, abs=1e-12)


def test_twice_the_clicks_are_a_ratio_of_two() -> None:
    labels = np.array([1.0, 0, 0, 0, 0])
    found = calibration(np.full(5, math.log(0.4 / 0.6)), labels)
    assert found.calibration_ratio == pytest.approx(2)
    assert found.ece == pytest.approx(0.2)
    assert found.normalized_entropy is not None
    assert found.normalized_entropy > 1


def test_normalized_entropy_is_log_loss_over_the_entropy_of_the_base_rate() -> None:
    logits, labels = np.array([2.0, -1, 0.5, 0]), np.array([1.0, 0, 1, 0])
    p = 1 / (1 + np.exp(-logits))
    loss = -np.mean(labels * np.log(p) + (1 - labels) * np.log(1 - p))
    assert normalized_entropy(logits, labels) == pytest.approx(loss / math.log(2))


def test_one_class_and_no_rows_are_undefined() -> None:
    zeros = calibration(np.zeros(3), np.zeros(3))
    assert zeros == Calibration(None, None, pytest.approx(0.5))
    ones = calibration(np.zeros(3), np.ones(3))
    assert ones == Calibration(None, pytest.approx(0.5), pytest.approx(0.5))
    assert calibration(np.zeros(0), np.zeros(0)) == Calibration(None, None, None)


def test_far_logits_overflow_nothing() -> None:
    np.testing.assert_array_equal(sigmoid(np.array([-1e4, 0, 1e4])), [0, 0.5, 1])
