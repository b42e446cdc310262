"""Ratios of the same requests: by hand, against a loop of draws, and 95 of 100 intervals hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lrea_cli.stats import latencies as latencies_module
from lrea_cli.stats.bootstrap import user_counts
from lrea_cli.stats.estimates import t_quantile
from lrea_cli.stats.latencies import NO_RATIO, paired_ratio


def times(rounds: int, turn: int, seed: int, factor: float = 2.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Latencies of both sides and their rounds: users of all lengths, a state of the machine in each round."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(rounds), turn)
    length, state = rng.lognormal(0, 0.7, rounds * turn), rng.lognormal(0, 0.3, rounds)[owner]
    noise = rng.lognormal(-0.02, 0.2, (2, rounds * turn))
    return factor * length * state * noise[0], length * state * noise[1], owner


def test_the_ratio_is_of_totals_and_of_medians_of_the_same_requests() -> None:
    found = paired_ratio(np.array([2.0, 9, 4, 5]), np.array([1.0, 2, 1, 1]), np.array([0, 0, 1, 1]))
    assert found.value == 20 / 5
    assert found.of_medians == 4 / 1


def test_a_slow_machine_that_is_slow_for_both_changes_nothing() -> None:
    fast = np.tile([1.0, 2, 3, 4, 5], 8)
    rounds = np.repeat(np.arange(8), 5)
    state = np.repeat([1.0, 1, 1, 40, 1, 1, 1, 7], 5)
    found = paired_ratio(3 * fast * state, fast * state, rounds)
    assert found.value == pytest.approx(3)
    assert found.ci == pytest.approx((3, 3))
    assert found.of_medians == pytest.approx(3)


def test_the_interval_is_that_of_a_loop_which_draws_whole_rounds() -> None:
    a, b, owner = times(9, 4, 1)
    found = paired_ratio(a, b, owner, seed=5)
    totals, medians = [], []
    for counts in user_counts(9, len(a), 5, latencies_module.RATIO_DRAWS):
        for drawn in counts:
            of = np.concatenate([np.flatnonzero(owner == r) for r, n in enumerate(drawn) for _ in range(n)])
            totals.append(a[of].sum() / b[of].sum())
            middle = math.ceil(len(of) / 2) - 1
            medians.append(np.sort(a[of])[middle] / np.sort(b[of])[middle])
    reach = t_quantile(8) * math.sqrt(9 / 8)
    below = 0.5 * math.erfc(reach / math.sqrt(2))
    assert found.ci == pytest.approx(np.quantile(totals, [below, 1 - below]))
    assert found.of_medians_ci == pytest.approx(np.quantile(medians, [below, 1 - below]))


def test_about_95_of_100_intervals_hold_the_true_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latencies_module, "RATIO_DRAWS", 400)
    intervals = [paired_ratio(*times(8, 5, seed)).ci for seed in range(200)]
    held = sum(ci is not None and ci[0] <= 2 <= ci[1] for ci in intervals)
    assert 182 <= held <= 197


def test_an_interval_is_wider_where_rounds_are_fewer_and_one_side_against_itself_is_one() -> None:
    few, many = paired_ratio(*times(8, 5, 3)).ci, paired_ratio(*times(80, 5, 3)).ci
    assert few is not None
    assert many is not None
    assert few[1] - few[0] > 2 * (many[1] - many[0])
    a, _, owner = times(8, 5, 3)
    assert paired_ratio(a, a, owner).ci == (1, 1)


def test_a_ratio_is_written_with_its_interval() -> None:
    found = paired_ratio(np.array([2.0, 2]), np.array([1.0, 1]), np.array([0, 1]))
    assert str(found) == "2.00x (2.00 to 2.00)"
    assert str(NO_RATIO) == "n/a"
