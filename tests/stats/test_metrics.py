"""AUC, GAUC and log loss against scikit-learn."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from lrea_cli.stats.metrics import GAUC, auc, gauc, log_loss

ROWS = st.lists(
    st.tuples(st.sampled_from([-2.5, -1.0, 0.0, 0.5, 3.0]), st.integers(0, 1), st.integers(-2, 3)),
    min_size=1,
    max_size=40,
)


def columns(rows: list[tuple[float, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scores, labels, groups = zip(*rows, strict=True)
    return np.array(scores), np.array(labels, np.float32), np.array(groups)


@given(ROWS)
def test_auc_is_that_of_scikit_learn_ties_included(rows: list[tuple[float, int, int]]) -> None:
    scores, labels, _ = columns(rows)
    if len(set(labels)) < 2:
        assert auc(scores, labels) is None
    else:
        assert auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@given(ROWS)
def test_gauc_is_the_mean_over_groups_weighted_by_samples(rows: list[tuple[float, int, int]]) -> None:
    scores, labels, groups = columns(rows)
    total, weight, both, single = 0.0, 0, 0, 0
    for group in set(groups.tolist()):
        mine = groups == group
        if len(set(labels[mine])) < 2:
            single += 1
            continue
        total += mine.sum() * roc_auc_score(labels[mine], scores[mine])
        weight, both = weight + int(mine.sum()), both + 1
    found = gauc(scores, labels, groups)
    assert (found.groups, found.single_class_groups) == (both, single)
    assert found.value == (pytest.approx(total / weight, abs=1e-12) if both else None)


@given(ROWS, st.randoms(use_true_random=False))
def test_order_and_scale_do_not_matter(rows: list[tuple[float, int, int]], random: Random) -> None:
    shuffled = random.sample(rows, len(rows))
    scores, labels, groups = columns(shuffled)
    found, plain = gauc(scores**3 + 7, labels, groups), gauc(*columns(rows))
    assert (found.groups, found.single_class_groups) == (plain.groups, plain.single_class_groups)
    assert found.value == (None if plain.value is None else pytest.approx(plain.value, abs=1e-12))


def test_constant_scores_are_worth_one_half() -> None:
    labels = np.array([1, 0, 0, 1, 1], np.float32)
    assert auc(np.zeros(5), labels) == 0.5
    assert gauc(np.ones(5), labels, np.array([0, 0, 1, 1, 1])) == GAUC(0.5, 2, 0)


def test_samples_are_the_weights_and_single_class_groups_count_for_nothing() -> None:
    groups = np.array([5, 5, 9, 9, 9, 9, 2, 2, 2])
    labels = np.array([1, 0, 1, 0, 0, 0, 1, 1, 1], np.float32)
    scores = np.array([2.0, 1, 0, 1, 1, 1, 0, 5, 9])
    assert gauc(scores, labels, groups) == GAUC((2 * 1.0 + 4 * 0.0) / 6, 2, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    scores = np.array([0.0, bad, 1.0])
    with pytest.raises(ValueError, match="not finite"):
        auc(scores, np.array([0.0, 1.0, 1.0]))


def test_no_rows_have_no_value() -> None:
    empty = np.zeros(0)
    assert auc(empty, empty) is None
    assert gauc(empty, empty, empty) == GAUC(None, 0, 0)


def test_large_scores_stay_apart_and_float32_works() -> None:
    scores = np.array([1e30, 1e-30, 0.0, -1e30], np.float32)
    assert auc(scores, np.array([1, 1, 0, 0], np.float32)) == 1.0


@given(st.lists(st.tuples(st.floats(-20, 20), st.integers(0, 1)), min_size=1, max_size=30))
def test_log_loss_is_that_of_scikit_learn(rows: list[tuple[float, int]]) -> None:
    logits, labels = (np.array(column, float) for column in zip(*rows, strict=True))
    expected = sklearn_log_loss(labels, 1 / (1 + np.exp(-logits)), labels=[0, 1])
    assert log_loss(logits, labels) == pytest.approx(expected, abs=1e-6)


def test_log_loss_of_far_logits_is_finite() -> None:
    assert log_loss(np.array([1000.0, -1000.0]), np.array([0.0, 0.0])) == 500.0
    assert log_loss(np.zeros(3), np.array([0.0, 1.0, 1.0])) == pytest.approx(np.log(2))
