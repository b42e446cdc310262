"""Each verdict, from made-up numbers; who is chosen; what is said, with its numbers, and what is said to be unsure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from lrea_cli.bench.machine import Load
from lrea_cli.decide.results import UNKNOWN, Aged, Contender, Counter, CurvePoint, Dropped
from lrea_cli.decide.verdict.answer import Verdict
from lrea_cli.decide.verdict.verdict import decide
from lrea_cli.stats.estimates import Estimate
from lrea_cli.stats.methods import MethodEstimate
from tests.decide.made_up import (
    DATA,
    QUESTION,
    around,
    compared,
    contender,
    counter,
    made_up_not_shown,
    made_up_ship,
    measured,
)

FULL = contender("full attention", 0.8043, 9.0, "full", record_bytes=0.0)
SMALL = contender("small", 0.8041, 4.0)
POOR = contender("poor", 0.7900, 3.0)
SHORT = contender("din-short", 0.7500, 2.0, "short", record_bytes=0.0)


def verdict(contenders: Sequence[Contender], counters: Sequence[Counter] = (), **others: object) -> Verdict:
    return decide(measured(contenders, counters, **others)).verdict  # pyright: ignore[reportArgumentType]


def said(answer: Verdict) -> str:
    return " ".join((answer.headline, *answer.reasons))


def test_the_cheapest_that_is_shown_to_be_within_is_shipped() -> None:
    answer = verdict(compared([FULL, SMALL, POOR, SHORT]))
    assert (answer.answer, answer.choice, answer.best, answer.guess) == ("ship", "small", "full attention", None)
    assert answer.headline == "Ship `small`."
    for number in (
        "4 ms",
        "10 ms",
        "20 kB",
        "0.8041",
        "0.0002 (95% interval ",
        "the best contender (AUC 0.8043; p99 9 ms)",
        "0.001",
        "`poor` (3 ms) loses 0.0143",
    ):
        assert number in said(answer)
    at_most = answer.standing("small").at_most
    assert at_most is not None
    assert 0.0003 < at_most < 0.0005
    assert f"its loss is at most {at_most:.4f} (upper end" in said(answer)
    assert said(answer).index("`poor`") < said(answer).index("`din-short`"), "the nearest first"
    assert [s.name for s in answer.standings] == ["full attention", "small", "poor", "din-short"]


def test_full_attention_is_cheap_enough_where_nothing_cheaper_is_shown() -> None:
    answer = verdict(compared([FULL, POOR, SHORT]))
    assert (answer.answer, answer.choice) == ("full-attention", "full attention")
    assert "Full attention is cheap enough here" in answer.headline
    assert "shown to be above every other one" in said(answer)


@pytest.mark.parametrize("short", [0.8040, 0.8043, 0.8050])
def test_no_long_history_helps_where_the_newest_behaviors_do_as_well(short: float) -> None:
    answer = verdict(compared([FULL, SMALL, replace(SHORT, auc=around(short, 0.002))]))
    assert (answer.answer, answer.choice) == ("no-long-history", "din-short")
    assert "No long history helps" in answer.headline
    assert "less than the tolerance" in said(answer)


def test_that_holds_where_a_cached_one_is_faster() -> None:
    short = replace(SHORT, auc=around(0.8043, 0.002), p99_ms=around(7.0, 0.1))
    assert verdict(compared([FULL, SMALL, short])).choice == "din-short"


def test_of_short_ones_alone_nothing_is_said_of_long_histories() -> None:
    answer = verdict(compared([SHORT, replace(SHORT, name="din-short wide", p99_ms=around(3.0, 0.1))]))
    assert (answer.answer, answer.choice) == ("ship", "din-short")


def test_a_counter_that_ranks_as_well_is_enough() -> None:
    contenders = compared([FULL, SMALL, SHORT])
    counters = [counter(n, auc, contenders) for n, auc in (("popularity", 0.61), ("seen before", 0.8041), ("x", 0.804))]
    answer = verdict(contenders, counters)
    assert (answer.answer, answer.choice) == ("no-long-history", "seen before")
    assert "beats a count by 0.001 AUC here: rank by `seen before`" in answer.headline
    assert "no probability" in said(answer)
    assert "cheaper" not in said(answer)


def test_a_counter_above_all_contenders_is_said_to_be_above() -> None:
    contenders = compared([FULL, SMALL, SHORT])
    answer = verdict(contenders, [counter("seen before", 0.81, contenders)])
    assert "It is 0.0057 (95% interval 0.0055 to 0.0059) above `full attention`, the best contender" in said(answer)
    assert "-0." not in said(answer)


def test_a_counter_is_no_rival() -> None:
    contenders = compared([FULL, SMALL])
    high = replace(counter("leak", 0.9, contenders), losses=())
    assert verdict(contenders, [high]).choice == "small"


@pytest.mark.parametrize("budget", [8.999, 9.0])
def test_a_contender_at_exactly_the_budget_fits(budget: float) -> None:
    answer = verdict(compared([FULL, POOR]), question=replace(QUESTION, budget_ms=budget))
    assert answer.answer == ("full-attention" if budget == 9.0 else "over-tolerance")


def test_all_that_fit_lose_too_much() -> None:
    answer = verdict(compared([FULL, POOR, SHORT]), question=replace(QUESTION, budget_ms=5))
    assert (answer.answer, answer.choice, answer.guess) == ("over-tolerance", None, "poor")
    assert "Nothing that fits 5 ms is within 0.001 AUC" in answer.headline
    assert "A budget of 9 ms would do: `full attention`" in said(answer)
    assert "`poor`: p99 3 ms" in said(answer)


def test_nothing_fits_the_budget() -> None:
    answer = verdict(compared([FULL, SMALL, SHORT]), question=replace(QUESTION, budget_ms=1))
    assert (answer.answer, answer.choice, answer.guess) == ("over-budget", None, None)
    assert "Nothing is known to fit the budget of 1 ms" in answer.headline
    assert "The fastest is `din-short`: p99 2 ms" in said(answer)
    assert "A budget of 4 ms would do: `small`" in said(answer)


def test_a_budget_that_would_do_is_rounded_up() -> None:
    slow = replace(FULL, p99_ms=around(12.34, 0.1))
    assert "A budget of 12.4 ms would do" in said(verdict(compared([slow, POOR, SHORT])))


def test_without_a_p99_nothing_is_known_to_fit() -> None:
    answer = verdict([replace(each, p99_ms=UNKNOWN) for each in compared([FULL, SMALL])])
    assert answer.answer == "over-budget"
    assert "not known of `full attention` and `small`" in said(answer)


def test_intervals_wider_than_the_tolerance_show_nothing() -> None:
    answer = verdict(compared([FULL, SMALL, SHORT], 0.002, 0.0))
    assert (answer.answer, answer.choice, answer.guess) == ("not-shown", None, "small")
    (more,) = answer.more
    assert (more.name, more.shows) == ("small", "within")
    assert f"{more.ways[0].users:,} test users instead of 20,000" in said(answer)
    assert "test days instead of 4" in said(answer)
    at_most = answer.standing("small").at_most
    assert at_most is not None
    assert f"it may lose up to {at_most:.4f}, and the tolerance is 0.001." in said(answer)


def test_the_best_that_is_not_shown_is_said_to_be_above_its_rival() -> None:
    answer = verdict(compared([replace(FULL, p99_ms=around(3.0, 0.1)), SMALL], 0.002, 0.0))
    assert answer.guess == answer.best == "full attention"
    assert "It has the highest AUC, and it is 0.0002 (-0.0037 to 0.0041) above `small`: it may lose up" in said(answer)


def test_the_best_one_too_must_be_shown_to_be_within() -> None:
    """A rival that is measured badly may be far above it."""
    best, rival = compared([FULL, replace(POOR, auc=around(0.8040, 0.01))], 0.001, 0.0)
    answer = verdict([best, rival])
    assert answer.answer == "not-shown"
    assert answer.guess == "poor", "the cheapest whose measured loss is below the tolerance"


def test_the_guess_is_the_highest_where_all_seem_to_lose_too_much() -> None:
    best = replace(FULL, p99_ms=around(20.0, 0.1))
    answer = verdict(compared([best, replace(SMALL, auc=around(0.802, 0.002)), POOR], 0.001, 0.0))
    assert (answer.answer, answer.guess) == ("not-shown", "small")
    assert answer.more[0].shows == "beyond"
    assert "would show that `small` loses more than 0.001" in said(answer)


@pytest.mark.parametrize("missing", [MethodEstimate(value, None, None) for value in (0.0002, math.nan, None)])
def test_a_loss_without_interval_is_not_shown(missing: MethodEstimate) -> None:
    full, small, poor = compared([FULL, SMALL, POOR])
    losses = tuple(replace(loss, auc=missing) if loss.against == "poor" else loss for loss in small.losses)
    answer = verdict([full, replace(small, losses=losses), poor])
    assert answer.choice == "full attention"
    assert answer.standing("small").rival == "poor"


def test_one_contender_is_compared_with_none() -> None:
    answer = verdict([FULL])
    assert (answer.answer, answer.choice, answer.guess) == ("not-shown", None, "full attention")
    assert "none to compare it with" in said(answer)


def test_all_were_dropped() -> None:
    dropped = [Dropped("lrea", "cached", "", "search", None, None, "Failed.")]
    answer = verdict([], dropped=dropped)
    assert (answer.answer, answer.choice, answer.guess, answer.best) == ("nothing-measured", None, None, None)
    assert "dropped" in said(answer)
    assert verdict([replace(FULL, auc=UNKNOWN)]).answer == "nothing-measured"


def test_nan_is_not_known() -> None:
    failed = replace(SMALL, name="failed", auc=Estimate(math.nan, (math.nan, math.nan), math.nan))
    contenders = compared([FULL, SMALL, POOR])
    decision = decide(measured([*contenders, failed]))
    assert decision.measured.named("failed").auc == UNKNOWN
    assert decision.verdict.choice == "small"
    assert any("`failed` has no AUC" in line for line in decision.verdict.unsure)
    assert decision.verdict.standing("failed").shown == "undecided"


def test_of_those_as_fast_the_smallest_record_is_chosen() -> None:
    near = replace(SMALL, name="smaller record", p99_ms=around(4.1, 0.2), record_bytes=9_000.0)
    assert verdict(compared([FULL, SMALL, near])).choice == "smaller record"
    assert "`small` measured faster (4 ms)" in said(verdict(compared([FULL, SMALL, near])))
    apart = replace(near, p99_ms=around(4.1, 0.05))
    assert verdict(compared([FULL, SMALL, apart])).choice == "small"


def test_the_frontier_is_of_those_that_none_beats() -> None:
    answer = verdict(
        compared(
            [
                FULL,
                SMALL,
                POOR,
                SHORT,
                contender("beaten", 0.7899, 3.5),
                replace(SMALL, name="slower", p99_ms=around(5, 0.1)),
            ]
        )
    )
    assert answer.frontier == ("din-short", "poor", "small", "full attention")


def test_the_two_decisions_of_made_up_numbers() -> None:
    assert made_up_ship().verdict.choice == "din, clusters 16"
    assert made_up_not_shown().verdict.answer == "not-shown"


# what is unsure


def unsure(contenders: Sequence[Contender], word: str, **others: object) -> list[str]:
    return [line for line in verdict(contenders, **others).unsure if word in line]  # pyright: ignore[reportArgumentType]


CLEAR = compared([FULL, SMALL, POOR])


def test_one_seed_and_few_users_are_said() -> None:
    assert unsure(CLEAR, "One seed", question=replace(QUESTION, seeds=(0,)))
    assert not unsure(CLEAR, "One seed")
    assert unsure(CLEAR, "49 users", question=replace(QUESTION, data=replace(DATA, test_users=49)))
    assert not unsure(CLEAR, "users are too narrow", question=replace(QUESTION, data=replace(DATA, test_users=50)))


def test_a_busy_machine_is_said() -> None:
    assert unsure(CLEAR, "busy", load=Load(0.5, 0.2, 1.0, 2, 2))
    assert not unsure(CLEAR, "busy", load=Load(0.99, 0.98, 0.0, 2, 2))


def test_a_p99_whose_interval_passes_the_budget_is_said() -> None:
    assert unsure(CLEAR, "reaches past the budget", question=replace(QUESTION, budget_ms=4.1))
    end = CLEAR[1].p99_ms.ci
    assert end is not None
    for budget in (end[1], 4.2):
        assert not unsure(CLEAR, "reaches past the budget", question=replace(QUESTION, budget_ms=budget))


@pytest.mark.parametrize(("ne", "told"), [(1.0, False), (1.0001, True), (0.9, False), (None, False)])
def test_probabilities_that_are_worse_than_the_click_rate_are_said(ne: float | None, told: bool) -> None:
    full, small, poor = CLEAR
    shipped = replace(small, ne=Estimate(ne, None, None))
    assert bool(unsure([full, shipped, poor], "must be calibrated")) == told


def test_a_choice_that_does_not_hold_for_many_is_said() -> None:
    """Its upper end lies between the tolerance of one interval and that of several."""
    contenders = compared([FULL, SMALL, POOR, replace(POOR, name="poor 2"), replace(POOR, name="poor 3")], 0.0004, 0.0)
    assert verdict(contenders).choice == "small"
    assert unsure(contenders, "Bonferroni")
    assert "5 contenders" in unsure(contenders, "Bonferroni")[0]
    assert not unsure(CLEAR, "Bonferroni")


def test_a_cheaper_one_that_may_do_is_said() -> None:
    near, dear = replace(POOR, auc=around(0.8040, 0.002)), contender("dearer", 0.8040, 9.5)
    everyone = [FULL, SMALL, near, dear, SHORT]
    contenders = list(compared(everyone))
    contenders[2:4] = compared(everyone, 0.001, 0.0)[2:4]
    answer = verdict(contenders)
    assert answer.choice == "small"
    assert {name: answer.standing(name).shown for name in ("poor", "dearer", "din-short")} == {
        "poor": "undecided",
        "dearer": "undecided",
        "din-short": "beyond",
    }
    assert [more.name for more in answer.more] == ["poor"], "neither the dearer one nor one that is shown to lose more"
    assert any("`poor` is cheaper (3 ms), and it is not known whether it would do." in line for line in answer.unsure)


@pytest.mark.parametrize(
    ("ages", "words"),
    [
        ((), "grow old was not measured"),
        ((Aged(1, UNKNOWN), Aged(3, UNKNOWN)), "grow old was not measured"),
        ((Aged(1, around(0.0001, 0.0002)), Aged(3, around(0.0009, 0.0002))), "3 days old lose a further 0.0009"),
        ((Aged(3, around(0.002, 0.0002)), Aged(1, around(0.0011, 0.0001))), "1 day old lose a further 0.0011"),
        ((Aged(1, around(0.0001, 0.0002)), Aged(3, around(0.0005, 0.0003))), "3 days old"),  # with .0004 of its own
        ((Aged(1, around(0.0001, 0.0002)), Aged(3, around(0.0003, 0.0002))), None),
    ],
)
def test_what_old_records_lose_is_said(ages: tuple[Aged, ...], words: str | None) -> None:
    lines = unsure((CLEAR[0], replace(CLEAR[1], aged=ages), CLEAR[2]), " old ")
    assert (words is None) == (not lines)
    assert words is None or words in lines[0]


def test_of_full_attention_no_record_grows_old() -> None:
    assert not unsure(CLEAR[::2], "old")


def rising(each: Contender, half: float, auc: float) -> Contender:
    curve = (CurvePoint(0.5, 50, around(half, 0.001)), CurvePoint(1.0, 100, around(auc, 0.001)))
    return replace(each, curve=curve)


def test_a_curve_that_rises_faster_may_change_the_order() -> None:
    full, small, poor = CLEAR
    full, small = rising(full, 0.7943, 0.8043), rising(small, 0.7971, 0.8041)
    (line,) = unsure((full, small, poor), "rises faster")
    assert "`full attention` rises faster (0.0100 by the last doubling against 0.0070)" in line
    assert "lose 0.0032 to it" in line
    assert unsure((full, small, poor), "still rises: 0.0070")
    soaring = rising(poor, 0.7650, 0.7900)  # gains .0250: .0180 more, and is .0141 behind
    assert "lose 0.0039 to it" in unsure((full, small, soaring), "`poor` rises faster")[0], "the worst of two"
    slower = rising(full, 0.7972, 0.8043)  # gains .0071: .0001 more than the loss of .0002 allows for nothing
    assert not unsure((slower, small, poor), "rises faster")
    assert not unsure((full, rising(small, 0.8036, 0.8041), poor), "still rises")


def test_a_curve_that_rises_slower_is_not_said_to_rise_faster() -> None:
    """Though its contender is ahead by more than the tolerance, and stays so."""
    behind = replace(SMALL, auc=around(0.8020, 0.002))
    full, small = compared([replace(FULL, p99_ms=around(20.0, 0.1)), behind], 0.001, 0.0)
    both = (rising(full, 0.8000, 0.8043), rising(small, 0.7970, 0.8020))
    assert verdict(both).guess == "small"
    assert not unsure(both, "rises faster")
    assert unsure((both[0], rising(small, 0.7980, 0.8020)), "rises faster")


def test_without_a_curve_that_is_said() -> None:
    assert unsure(CLEAR, "No learning curve of `small`")
    assert unsure((CLEAR[0], replace(CLEAR[1], curve=(CurvePoint(1.0, 100, around(0.8, 0.1)),))), "No learning curve")


def test_what_was_dropped_is_said() -> None:
    dropped = [Dropped(name, "cached", "", "search", 0.7, 0.8, "") for name in "abcde"]
    assert unsure(CLEAR, "`a`, `b`, `c` and 2 more were dropped early", dropped=dropped)
    assert unsure(CLEAR, "`a` was dropped early", dropped=dropped[:1])
    assert not unsure(CLEAR, "dropped")
    absent = [Dropped(name, "cached", "", "before the search", None, None, "It reads no category.") for name in "fg"]
    both = [*dropped[:1], *absent]
    assert unsure(CLEAR, "`a` was dropped early", dropped=both)
    assert unsure(CLEAR, "`f` and `g` were left out, so what they would give is not known", dropped=both)
    assert not unsure(CLEAR, "dropped early", dropped=absent)


def test_names_stay_on_their_line() -> None:
    wild = replace(SMALL, name="a`b\n<i>")
    assert "Ship `a'b <i>`." in said(verdict(compared([FULL, wild, POOR])))
