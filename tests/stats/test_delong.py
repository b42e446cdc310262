"""DeLong's covariance against counted placements, and against the bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lrea_cli.stats.bootstrap import auc_difference
from lrea_cli.stats.ranks import delong
from tests.stats.loops import covariance_of_clusters
from tests.stats.simulated import auc_estimate, simulate

VALUE = st.sampled_from([0.0, 1.0, 1.0, 4.0])
ROWS = st.lists(st.tuples(VALUE, VALUE, st.integers(0, 1), st.integers(0, 5)), min_size=2, max_size=20)


@given(ROWS, st.booleans())
@hypothesis_settings(max_examples=100)
def test_it_is_that_of_counted_placements(rows: list[tuple[float, float, int, int]], clustered: bool) -> None:
    a, b, labels, users = (np.array(column) for column in zip(*rows, strict=True))
    found, covariance = delong([a, b], labels, users if clustered else None)
    owners = users if clustered else np.arange(len(users))
    if min(len(set(owners[labels == y].tolist())) for y in (0, 1)) < 2:
        assert np.isnan(covariance).all()
        return
    aucs, expected = covariance_of_clusters([a.tolist(), b.tolist()], labels.tolist(), owners.tolist())
    np.testing.assert_allclose(found, aucs, atol=1e-12)
    np.testing.assert_allclose(covariance, expected, atol=1e-12)


def test_without_users_it_is_the_published_formula() -> None:
    """DeLong, DeLong & Clarke-Pearson 1988: cov = cov(V10) / P + cov(V01) / N."""
    a, b, labels, _ = simulate((1,), users=40)
    V10, V01 = [], []
    for scores in (a, b):
        clicked, others = scores[labels == 1], scores[labels == 0]
        V10.append((clicked[:, None] > others).mean(1))
        V01.append((clicked[:, None] > others).mean(0))
    expected = np.cov(V10) / len(V10[0]) + np.cov(V01) / len(V01[0])
    np.testing.assert_allclose(delong([a, b], labels)[1], expected, rtol=1e-10)


def test_it_agrees_with_the_bootstrap() -> None:
    a, b, labels, users = simulate((2,), users=800)
    _, covariance = delong([a, b], labels, users)
    alone = auc_estimate(a, labels, users, draws=4000)
    paired = auc_difference(a, b, labels, users, draws=4000)
    assert alone.standard_error == pytest.approx(covariance[0, 0] ** 0.5, rel=0.04)
    of_difference = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert paired.standard_error == pytest.approx(of_difference**0.5, rel=0.04)
    assert covariance[0, 0] > 1.3 * delong([a], labels)[1][0, 0]  # clusters matter here


def test_one_class_has_no_value() -> None:
    found, covariance = delong([np.arange(3.0)], np.ones(3))
    assert np.isnan(found).all()
    assert np.isnan(covariance).all()
    assert found.shape == (1,)
    found, _ = delong([np.zeros(0)] * 2, np.zeros(0))
    assert np.isnan(found).all()
