"""Every metric of the registry: equal to its slow twin on odd rows, shown, documented; and scikit-learn's numbers."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from lrea_cli.score.measured import Measured, as_keys, from_keys, measure_rows, measure_slice
from lrea_cli.stats.bootstrap import estimate_of, user_counts
from lrea_cli.stats.metrics import METRICS, Metric, Rows
from lrea_cli.stats.metrics.auc import auc
from lrea_cli.stats.metrics.calibration_ratio import calibration_ratio
from lrea_cli.stats.metrics.ece import ece
from lrea_cli.stats.metrics.gauc import GroupAUC, gauc
from lrea_cli.stats.metrics.log_loss import log_loss
from lrea_cli.stats.metrics.metric import sigmoid
from lrea_cli.stats.metrics.normalized_entropy import normalized_entropy

DOCS = Path(__file__).parents[2] / "docs"
SOURCES = Path(__file__).parents[2] / "lrea_cli" / "stats" / "metrics"
EACH = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
LOGIT = st.sampled_from([-2.5, -1.0, 0.0, 0.5, 3.0])
ROWS = st.lists(st.tuples(LOGIT, st.integers(0, 1), st.integers(-2, 3)), min_size=1, max_size=40)
ODD = {
    "empty": [],
    "one row": [(0.3, 1, 0)],
    "no click": [(0.3, 0, 0), (-1.0, 0, 1)],
    "clicks alone": [(0.3, 1, 0), (-1.0, 1, 1)],
    "all equal": [(0.0, 1, 0), (0.0, 0, 0), (0.0, 1, 1), (0.0, 0, 1), (0.0, 0, 1)],
    "one user": [(0.1, 1, 7), (0.2, 0, 7), (-4.0, 0, 7), (0.1, 0, 7)],
    "users of one class": [(0.1, 1, 0), (0.2, 1, 0), (0.3, 0, 1)],
    "edges of bins": [(math.log(p / (1 - p)), y, y) for p in (0.1, 0.3, 0.5, 0.9) for y in (0, 1)],
    "far": [(30.0, 0, 0), (-30.0, 1, 0), (30.0, 1, 1), (-30.0, 0, 1)],
}


def columns(rows: list[tuple[float, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scores, labels, groups = zip(*rows, strict=True) if rows else ((), (), ())
    return np.array(scores, float), np.array(labels, np.float32), np.array(groups, np.int64)


def same(found: float | None, wanted: float | None) -> None:
    assert found == (None if wanted is None else pytest.approx(wanted, abs=1e-9, rel=1e-9))


@EACH
@given(rows=ROWS)
def test_a_metric_is_its_slow_twin(metric: Metric, rows: list[tuple[float, int, int]]) -> None:
    same(metric.value(Rows(*columns(rows))), metric.twin(Rows(*columns(rows))))


@EACH
@pytest.mark.parametrize("odd", ODD)
def test_a_metric_is_its_slow_twin_on_odd_rows(metric: Metric, odd: str) -> None:
    rows = Rows(*columns(ODD[odd]))
    same(metric.value(rows), metric.twin(rows))
    assert estimate_of(metric, rows, draws=9).value == metric.value(rows)
    if odd == "empty":
        assert metric.value(rows) is None


@pytest.mark.parametrize("metric", [m for m in METRICS if m.statistic], ids=lambda metric: metric.name)
@given(rows=ROWS)
def test_a_draw_is_the_twin_of_rows_as_often_as_their_user_is_drawn(
    metric: Metric, rows: list[tuple[float, int, int]]
) -> None:
    logits, labels, users = columns(rows)
    names, owner = np.unique(users, return_inverse=True)
    assert metric.statistic is not None
    (counts,) = user_counts(len(names), len(users), 0, 5)
    drawn = metric.statistic(Rows(logits, labels, users), owner)(counts)
    for value, times in zip(drawn.tolist(), counts, strict=True):
        again = np.repeat(np.arange(len(users)), times[owner])
        same(None if math.isnan(value) else value, metric.twin(Rows(logits[again], labels[again], users[again])))


@EACH
def test_a_metric_is_shown_and_documented(metric: Metric) -> None:
    (row,) = [
        line for line in (DOCS / "parts.md").read_text(encoding="utf-8").splitlines() if f"| `{metric.name}` " in line
    ]
    assert metric.title in row
    assert metric.better in row
    source = (SOURCES / f"{metric.name}.py").read_text(encoding="utf-8")
    assert " = " in source.partition('"""')[2]
    assert "et al." in source or "paper" in source or "1982" in source


def test_the_keys_of_json_are_read_back() -> None:
    rows = Rows(*columns(ODD["all equal"]))
    measured = measure_rows(rows, Rows(rows.logits + 1, rows.labels, rows.users))
    again = from_keys(as_keys(measured))
    assert {name: Measured(**value) for name, value in again.items()} == measured
    assert {"auc", "auc_ci", "auc_cached", "gauc_ci", "ece_cached"} <= set(as_keys(measured))
    assert "ece_ci" not in as_keys(measured)
    assert from_keys({"auc": 0.5})["auc"] == {"trained": 0.5, "served": None, "ci": None}


def test_a_slice_costs_no_draws_and_may_be_empty() -> None:
    empty = Rows(*columns([]))
    assert set(measure_slice(empty, empty).values()) == {Measured(None, None, None)}


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
    assert gauc(np.ones(5), labels, np.array([0, 0, 1, 1, 1])) == GroupAUC(0.5, 2, 0)


def test_samples_are_the_weights_and_single_class_groups_count_for_nothing() -> None:
    groups = np.array([5, 5, 9, 9, 9, 9, 2, 2, 2])
    labels = np.array([1, 0, 1, 0, 0, 0, 1, 1, 1], np.float32)
    scores = np.array([2.0, 1, 0, 1, 1, 1, 0, 5, 9])
    assert gauc(scores, labels, groups) == GroupAUC((2 * 1.0 + 4 * 0.0) / 6, 2, 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    scores = np.array([0.0, bad, 1.0])
    with pytest.raises(ValueError, match="not finite"):
        auc(scores, np.array([0.0, 1.0, 1.0]))


def test_no_rows_have_no_groups() -> None:
    empty = np.zeros(0)
    assert gauc(empty, empty, empty) == GroupAUC(None, 0, 0)


def test_large_scores_stay_apart_and_float32_works() -> None:
    scores = np.array([1e30, 1e-30, 0.0, -1e30], np.float32)
    assert auc(scores, np.array([1, 1, 0, 0], np.float32)) == 1.0


@given(st.lists(st.tuples(st.floats(-20, 20), st.integers(0, 1)), min_size=1, max_size=30))
def test_log_loss_is_that_of_scikit_learn(rows: list[tuple[float, int]]) -> None:
    logits, labels = (np.array(column, float) for column in zip(*rows, strict=True))
    expected = sklearn_log_loss(labels, 1 / (1 + np.exp(-logits)), labels=[0, 1])
    assert log_loss(logits, labels) == pytest.approx(expected, abs=1e-6)


def test_far_logits_overflow_nothing() -> None:
    assert log_loss(np.array([1000.0, -1000.0]), np.array([0.0, 0.0])) == 500.0
    assert log_loss(np.zeros(3), np.array([0.0, 1.0, 1.0])) == pytest.approx(np.log(2))
    np.testing.assert_array_equal(sigmoid(np.array([-1e4, 0, 1e4])), [0, 0.5, 1])


def at_rates(rates: list[float], labels: list[float]) -> Rows:
    return Rows(np.array([math.log(p / (1 - p)) for p in rates]), np.array(labels), np.zeros(len(rates)))


def test_a_bin_holds_rates_up_to_its_upper_edge() -> None:
    assert ece(at_rates([0.5, 0.51], [1.0, 0.0])) == pytest.approx(0.505)
    assert ece(at_rates([0.5, 0.49], [1.0, 0.0])) == pytest.approx(0.005)
    never = Rows(np.array([-800.0]), np.ones(1), np.ones(1))
    assert ece(never) == 1


@pytest.mark.parametrize(("rate", "clicks", "error"), [(0.2, 1, 0), (0.4, 2, 0.2)])
def test_the_base_rate_itself_is_calibrated_and_twice_the_clicks_are_not(
    rate: float, clicks: float, error: float
) -> None:
    rows = at_rates([rate] * 5, [1.0, 0, 0, 0, 0])
    assert calibration_ratio(rows) == pytest.approx(clicks)
    assert ece(rows) == pytest.approx(error, abs=1e-12)
    entropy = normalized_entropy(rows)
    assert entropy is not None
    assert (entropy == pytest.approx(1)) == (rate == 0.2)
    assert entropy >= 1 - 1e-12


def test_names_are_keys_of_one_metric_each() -> None:
    names = sorted(metric.name for metric in METRICS)
    assert all(a != b for a, b in pairwise(names))
    assert all(name.isidentifier() for name in names)
