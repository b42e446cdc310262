"""Bootstrap intervals: the same as loops over the same draws, right in coverage, paired, users drawn and not rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from lrea_cli.stats import bootstrap as statistics
from lrea_cli.stats.bootstrap import (
    auc_difference,
    user_counts,
)
from lrea_cli.stats.estimates import POWER_95_80, Estimate, estimate
from lrea_cli.stats.metrics.auc import auc
from tests.stats.loops import auc_of_pairs, gauc_of_groups
from tests.stats.simulated import AUC_A, AUC_B, auc_estimate, gauc_estimate, simulate

DRAWS = 12
ROWS = st.lists(
    st.tuples(st.sampled_from([-1.0, 0.0, 0.0, 2.5]), st.integers(0, 1), st.integers(-1, 3), st.integers(0, 1)),
    min_size=1,
    max_size=16,
)
"""Score, label, user, and which of a user's two requests."""


def columns(rows: list[tuple[float, int, int, int]]) -> tuple[np.ndarray, ...]:
    scores, labels, users, part = (np.array(column) for column in zip(*rows, strict=True))
    return scores, labels.astype(np.float32), 7 * users, 10 * users + part


def drawn_weights(users: np.ndarray, seed: int) -> list[list[int]]:
    """For each draw, how often each row is taken: the counts of the bootstrap, spelled out."""
    names = sorted(set(users.tolist()))
    counts = np.concatenate(list(user_counts(len(names), len(users), seed, DRAWS)))
    return [[int(draw[names.index(user)]) for user in users.tolist()] for draw in counts]


def expected(value: float | None, drawn: list[float | None], users: np.ndarray) -> Estimate:
    """What percentiles of the loop's draws say."""
    if len(set(users.tolist())) < 2:
        return Estimate(value, None, None)
    return estimate(value, np.array([np.nan if found is None else found for found in drawn]))


def assert_same(found: Estimate, wanted: Estimate) -> None:
    assert (found.ci is None) == (wanted.ci is None)
    assert found.value == (None if wanted.value is None else pytest.approx(wanted.value, abs=1e-12))
    if wanted.ci is not None:
        assert found.ci == pytest.approx(wanted.ci, abs=1e-12)
        assert found.standard_error == pytest.approx(wanted.standard_error, abs=1e-12)


@given(ROWS, st.integers(0, 3))
@hypothesis_settings(max_examples=60)
def test_auc_is_that_of_pairs_over_the_same_draws(rows: list[tuple[float, int, int, int]], seed: int) -> None:
    scores, labels, users, _ = columns(rows)
    drawn = [auc_of_pairs(scores.tolist(), labels.tolist(), w) for w in drawn_weights(users, seed)]
    value = auc_of_pairs(scores.tolist(), labels.tolist(), [1] * len(rows))
    assert_same(auc_estimate(scores, labels, users, seed, DRAWS), expected(value, drawn, users))


@given(ROWS, st.integers(0, 3))
@hypothesis_settings(max_examples=60)
def test_gauc_is_that_of_groups_over_the_same_draws(rows: list[tuple[float, int, int, int]], seed: int) -> None:
    scores, labels, users, requests = columns(rows)
    lists = scores.tolist(), labels.tolist(), requests.tolist()
    drawn = [gauc_of_groups(*lists, w) for w in drawn_weights(users, seed)]
    value = gauc_of_groups(*lists, [1] * len(rows))
    assert_same(gauc_estimate(scores, labels, requests, users, seed, DRAWS), expected(value, drawn, users))


def test_a_difference_is_that_of_loops_over_the_same_draws() -> None:
    a, b, labels, users = simulate((1,), users=8, rows=7)
    a, b = np.round(a), np.round(b)
    weights = drawn_weights(users, 5)
    pairs = [[auc_of_pairs(s.tolist(), labels.tolist(), w) or 0.0 for w in weights] for s in (a, b)]
    found = auc_difference(a, b, labels, users, 5, DRAWS)
    wanted = estimate(auc(b, labels) - auc(a, labels), np.subtract(pairs[1], pairs[0]))  # pyright: ignore
    assert_same(Estimate(found.value, found.ci, found.standard_error), wanted)


def test_every_draw_takes_as_many_users_as_there_are() -> None:
    counts = np.concatenate(list(user_counts(40, 40, 3, 5000)))
    assert counts.shape == (5000, 40)
    assert (counts.sum(1) == 40).all()
    assert abs(counts.mean(0) - 1).max() < 0.06
    assert counts.var() == pytest.approx(1 - 1 / 40, rel=0.02)  # binomial(40, 1/40)
    assert len({tuple(row) for row in counts.tolist()}) > 4990


@pytest.mark.parametrize("cells", [1, 5000, 1 << 24])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    a, _, labels, users = simulate((2,))
    before = auc_estimate(a, labels, users), gauc_estimate(a, labels, users, users)
    monkeypatch.setattr(statistics, "BLOCK_CELLS", cells)
    assert auc_estimate(a, labels, users) == before[0]
    assert gauc_estimate(a, labels, users, users).ci == pytest.approx(before[1].ci, abs=1e-12)


def test_seeds_decide() -> None:
    a, _, labels, users = simulate((3,))
    assert auc_estimate(a, labels, users, 1) == auc_estimate(a, labels, users, 1)
    assert auc_estimate(a, labels, users, 1).ci != auc_estimate(a, labels, users, 2).ci


def test_order_of_rows_and_names_of_users_do_not_matter() -> None:
    a, b, labels, users = simulate((4,))
    order = np.random.default_rng(0).permutation(len(a))
    found = auc_difference(a[order], b[order], labels[order], 3 * users[order] - 50)
    assert found == auc_difference(a, b, labels, users)


def test_compared_with_itself_nothing_is_left() -> None:
    a, _, labels, users = simulate((5,))
    for same in (a, np.exp(a), 2 * a):  # another scale is the same order
        found = auc_difference(a, same, labels, users)
        assert found == Estimate(0.0, (0.0, 0.0), 0.0)
        assert not found.resolved


def test_swapped_sides_swap_the_sign() -> None:
    a, b, labels, users = simulate((6,), users=600)
    there, back = auc_difference(a, b, labels, users), auc_difference(b, a, labels, users)
    assert there.value == auc(b, labels) - auc(a, labels) > 0  # pyright: ignore
    assert there.ci is not None
    assert there.ci[0] > 0
    assert there.resolved
    assert back.value == -there.value
    assert back.ci == pytest.approx((-there.ci[1], -there.ci[0]))
    assert back.resolved


def test_a_constant_is_worth_one_half_in_every_draw() -> None:
    _, _, labels, users = simulate((7,))
    for found in (
        auc_estimate(np.zeros(len(labels)), labels, users),
        gauc_estimate(np.ones(len(labels)), labels, users, users),
    ):
        assert found == Estimate(0.5, (0.5, 0.5), 0.0)


def test_shuffled_labels_are_worth_one_half() -> None:
    a, _, labels, users = simulate((8,))
    for seed in range(5):
        found = auc_estimate(a, np.random.default_rng(seed).permutation(labels), users, draws=200)
        assert found.value is not None
        assert found.standard_error is not None
        assert 0 < abs(found.value - 0.5) < 3 * found.standard_error


def test_the_value_is_that_of_scikit_learn_and_lies_inside() -> None:
    a, _, labels, users = simulate((9,))
    found = auc_estimate(np.round(a, 1), labels, users)
    assert found.value == pytest.approx(roc_auc_score(labels, np.round(a, 1)), abs=1e-12)
    assert found.ci is not None
    assert found.ci[0] < found.value < found.ci[1]


def test_pairing_narrows() -> None:
    a, _, labels, users = simulate((10,))
    b = a + 0.1 * np.random.default_rng(1).normal(size=len(a))
    paired = auc_difference(a, b, labels, users)
    alone = [auc_estimate(scores, labels, users, seed) for seed, scores in enumerate((a, b))]
    unpaired = sum((one.standard_error or 0) ** 2 for one in alone) ** 0.5
    assert paired.standard_error is not None
    assert paired.standard_error < 0.15 * unpaired


def test_what_can_be_resolved_is_2_8_standard_errors() -> None:
    found = auc_difference(*simulate((11,)))
    assert pytest.approx(2.8, abs=0.002) == POWER_95_80
    assert found.resolvable == pytest.approx(2.8016 * (found.standard_error or 0), rel=1e-4)


@pytest.mark.parametrize("one", [0.0, 1.0])
def test_one_class_has_no_value(one: float) -> None:
    a, b, labels, users = simulate((12,), users=5)
    labels = np.full_like(labels, one)
    nothing = no_difference = Estimate(None, None, None)
    assert auc_estimate(a, labels, users) == gauc_estimate(a, labels, users, users) == nothing
    assert auc_difference(a, b, labels, users) == no_difference
    assert not no_difference.resolved


def test_no_rows_and_one_user_have_no_interval() -> None:
    empty = np.zeros(0)
    assert auc_estimate(empty, empty, empty) == gauc_estimate(empty, empty, empty, empty) == Estimate(None, None, None)
    scores, labels, users = np.array([1.0, 2, 3]), np.array([0.0, 1, 0]), np.zeros(3, int)
    assert auc_estimate(scores, labels, users) == Estimate(0.5, None, None)


def test_draws_without_a_value_are_left_out_and_too_many_of_them_leave_no_interval() -> None:
    known = np.arange(40.0)
    assert estimate(1.0, np.append(known, np.full(40, np.nan))) == estimate(1.0, known)
    assert estimate(1.0, np.append(known, np.full(41, np.nan))) == Estimate(1.0, None, None)


def test_a_group_belongs_to_one_user() -> None:
    a, _, labels, users = simulate((13,))
    with pytest.raises(ValueError, match="more than one user"):
        gauc_estimate(a, labels, users // 2, users)


def test_the_standard_error_is_the_spread_of_other_test_sets() -> None:
    """And that of drawn rows is not."""
    sets = [simulate((14, number)) for number in range(1500)]
    differences = [auc(s.b, s.labels) - auc(s.a, s.labels) for s in sets]  # pyright: ignore
    spread = np.std(differences), np.std([auc(s.a, s.labels) for s in sets])  # pyright: ignore
    assert np.mean(differences) == pytest.approx(AUC_B - AUC_A, abs=0.002)
    for users_drawn in (True, False):
        errors = np.zeros(2)
        for a, b, labels, users in sets[:25]:
            drawn = users if users_drawn else np.arange(len(users))
            errors[0] += (auc_difference(a, b, labels, drawn, draws=300).standard_error or 0) / 25
            errors[1] += (auc_estimate(a, labels, drawn, draws=300).standard_error or 0) / 25
        assert ((abs(errors / spread - 1) < 0.05) if users_drawn else (errors / spread < 0.85)).all()


@pytest.mark.slow
def test_95_of_100_intervals_cover_the_truth() -> None:
    """1,000 simulated test sets; intervals over drawn rows would cover 83 to 87%."""
    covered = np.zeros(4)
    for number in range(1000):
        a, b, labels, users = simulate((15, number))
        for place, drawn in ((0, users), (2, np.arange(len(users)))):
            one = auc_estimate(a, labels, drawn, number, 400).ci
            paired = auc_difference(a, b, labels, drawn, number, 400).ci
            assert one is not None
            assert paired is not None
            covered[place : place + 2] += one[0] <= AUC_A <= one[1], paired[0] <= AUC_B - AUC_A <= paired[1]
    assert ((covered[:2] >= 930) & (covered[:2] <= 970)).all(), covered
    assert (covered[2:] < 900).all(), covered
