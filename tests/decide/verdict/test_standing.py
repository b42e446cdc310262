"""What the intervals show of a contender, the error of that claim by simulation; more data, wider levels."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from lrea_cli.decide.results import UNKNOWN, Contender, Loss
from lrea_cli.decide.verdict.standing import passes_together, standing_of, turned, upper_end
from lrea_cli.stats.methods import MethodEstimate, SeedVariance
from tests.decide.made_up import compared, contender, loss_of

TOLERANCE = 0.001


def one(*losses: Loss) -> Contender:
    return contender("one", 0.8, 5.0, losses=losses)


def ending(against: str, low: float, high: float) -> Loss:
    return Loss(against, MethodEstimate((low + high) / 2, (low, high), None))


def stands(each: Contender, *rivals: str) -> tuple[str, float | None, str | None]:
    standing = standing_of(each, ("one", *rivals), TOLERANCE, True)
    return standing.shown, standing.at_most, standing.rival


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (-0.002, 0.0009999, "within"),
        (-0.002, 0.001, "undecided"),  # equal to the tolerance is not below it
        (0.001, 0.002, "undecided"),  # nor above it
        (0.0010001, 0.002, "beyond"),
        (-0.002, -0.001, "within"),
        (0.0009, 0.0011, "undecided"),
    ],
)
def test_the_interval_is_held_against_the_tolerance(low: float, high: float, shown: str) -> None:
    assert stands(one(ending("a", low, high)), "a") == (shown, high, "a")


def test_the_rival_that_decides_is_the_one_with_the_largest_end() -> None:
    near, wide = ending("near", 0.0, 0.0005), ending("wide", -0.003, 0.002)
    assert stands(one(near, wide), "near", "wide") == ("undecided", 0.002, "wide")
    assert stands(one(wide, near), "near", "wide") == ("undecided", 0.002, "wide")
    above, further = ending("above", 0.0011, 0.0012), ending("further", 0.0015, 0.0016)
    assert stands(one(wide, further, above), "wide", "above", "further") == ("beyond", 0.002, "further")


@pytest.mark.parametrize(
    "missing",
    [
        None,
        *(Loss("b", MethodEstimate(value, ci, None)) for value, ci in ((None, None), (0.0, None), (None, (0.0, 0.0)))),
    ],
)
def test_a_loss_without_interval_is_not_shown_to_be_below(missing: Loss | None) -> None:
    losses = [ending("a", 0.0, 0.0005), *([] if missing is None else [missing])]
    assert stands(one(*losses), "a", "b") == ("undecided", None, "b")
    beyond = [ending("a", 0.002, 0.003), *losses[1:]]
    assert stands(one(*beyond), "a", "b") == ("beyond", None, "a"), "one rival is enough for that"


def test_alone_nothing_is_shown() -> None:
    assert stands(one()) == ("undecided", None, None)


def test_without_an_auc_nothing_is_shown() -> None:
    failed = replace(one(ending("a", 0.0, 0.0005)), auc=UNKNOWN)
    assert stands(failed, "a")[0] == "undecided"


def test_a_loss_against_one_that_has_no_auc_does_not_count() -> None:
    assert stands(one(ending("a", 0.0, 0.0005), ending("failed", 0.5, 0.6)), "a")[0] == "within"


def claims(truth: list[float], errors: list[float], draws: int) -> float:
    """Share of draws in which contender 0 is shown to be within the tolerance, as its losses have these errors."""
    rng, count = np.random.default_rng(7), 0
    for _ in range(draws):
        values = [truth[j] - truth[0] + rng.normal() * errors[j] for j in range(1, len(truth))]
        reach = [1.959964 * error for error in errors[1:]]
        losses = [ending(str(j), v - r, v + r) for j, (v, r) in enumerate(zip(values, reach, strict=True))]
        count += stands(one(*losses), *(loss.against for loss in losses))[0] == "within"
    return count / draws


@pytest.mark.parametrize(
    ("truth", "errors"),
    [
        ([0.0, TOLERANCE], [0.0, 0.0003]),
        ([0.0, TOLERANCE, 0.0], [0.0, 0.0003, 0.0001]),
        # the best one is measured badly: where it comes out low another one leads, and the interval against that
        # leader alone would show contender 0 to be within in half of the draws
        ([0.0, TOLERANCE, 0.0002], [0.0, 0.01, 0.00001]),
        ([0.0, TOLERANCE, TOLERANCE], [0.0, 0.0003, 0.0003]),
    ],
)
def test_a_contender_at_the_tolerance_is_claimed_within_in_2_of_100(truth: list[float], errors: list[float]) -> None:
    draws = 3000
    assert claims(truth, errors, draws) <= 0.025 + 3 * math.sqrt(0.025 * 0.975 / draws)


def test_a_contender_within_by_four_errors_is_claimed_within() -> None:
    assert claims([0.0, 0.0, 0.0], [0.0, 0.00025, 0.00025], 300) > 0.9


def test_the_measured_end_stays_where_nothing_changes() -> None:
    loss = Loss("a", MethodEstimate(0.001, (-0.002, 0.005), 0.0015, 5.0, SeedVariance(0.0011**2, 4.0)))
    assert upper_end(loss, 3) == pytest.approx(0.005)


def test_the_end_at_another_level_is_that_of_student() -> None:
    loss = loss_of("a", 0.001, 0.0, 0.002, 3)  # all of it seeds: 4 degrees of freedom
    assert upper_end(loss, 3, level=0.99) == pytest.approx(0.001 + stats.t.ppf(0.995, 4) * 0.002, rel=1e-6)


def test_users_and_seeds_shrink_their_own_part() -> None:
    of_users, of_seeds = loss_of("a", 0.0, 0.004, 0.0, 3), loss_of("a", 0.0, 0.0, 0.004, 3)
    assert upper_end(of_users, 3, users_by=4) == pytest.approx(upper_end(of_users, 3) / 2)
    assert upper_end(of_users, 3, seeds_by=4) == pytest.approx(upper_end(of_users, 3))
    assert upper_end(of_seeds, 3, users_by=4) == pytest.approx(upper_end(of_seeds, 3))
    by_t = stats.t.ppf(0.975, 4 * 11 / 2) / stats.t.ppf(0.975, 4)  # of 12 seeds 11 a method, not 2
    assert upper_end(of_seeds, 3, seeds_by=4) == pytest.approx(upper_end(of_seeds, 3) / 2 * by_t, rel=1e-4)


def test_without_its_parts_all_of_an_interval_is_the_users() -> None:
    loss = Loss("a", MethodEstimate(0.0, (-0.004, 0.004), None))
    assert upper_end(loss, 1, users_by=16) == pytest.approx(0.001)
    assert upper_end(loss, 1, seeds_by=16) == pytest.approx(0.004)


def test_a_gain_is_the_loss_turned() -> None:
    seeds = SeedVariance(1e-6, 4.0)
    gain = turned(MethodEstimate(0.001, (-0.002, 0.005), 0.0015, 5.0, seeds))
    assert gain == MethodEstimate(-0.001, (-0.005, 0.002), 0.0015, 5.0, seeds)


def test_holding_together_is_harder_the_more_there_are() -> None:
    a, _ = compared([contender("a", 0.8, 5.0), contender("b", 0.8, 6.0)], 0.0004, 0.0, seeds=3)
    reach = {k: float(stats.norm.ppf(1 - 0.025 / k)) * 0.0004 for k in (1, 2, 10)}
    for k, end in reach.items():
        for tolerance, passes in ((end * 0.99, False), (end * 1.01, True)):
            assert passes_together(a, ("a", "b"), tolerance, k, 3) == passes, (k, tolerance)
    with_failed = replace(a, losses=(*a.losses, ending("failed", 0.5, 0.6)))
    assert passes_together(with_failed, ("a", "b"), 0.01, 10, 3), "one without an AUC is no rival"
