"""Plans fit the hours, and spend them in the order that is written down."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrea_cli.decide.running.costs import Cost, Costs
from lrea_cli.decide.running.halving import going_on
from lrea_cli.decide.running.plan import (
    ALL_USERS,
    CURVE,
    MOST_POINTS,
    OLD,
    SEARCH_HALF,
    SEARCH_QUARTER,
    TIMES,
    make_plan,
    makespan,
    minutes,
    plan_for,
    refined,
    words,
)
from lrea_cli.decide.running.planned import timing_seconds
from lrea_cli.errors import UserError

METHODS = {
    "din": Cost(1.0, 0.001, 0.002, 4, always=True),
    "din-short": Cost(1.0, 0.0005, 0.001, 4, always=True),
    **{f"method-{n}": Cost(1.0, 0.0005 * n, 0.002 * n, 4, always=False) for n in range(1, 7)},
}
COSTS = Costs(METHODS, (0.003, 0.006), 10_000, 3000, 6000, 750, 500, 0.1, 30.0, 2)
WHOLE = make_plan(COSTS, 3, 6, MOST_POINTS).seconds
LEAST = make_plan(COSTS, 1, 1, 1, extras=False).seconds


def test_a_training_costs_its_start_and_each_row_of_each_epoch():
    # 1 s, and 4 epochs of a quarter of 10,000 rows and of a third of 3,000
    assert COSTS.training("din", 0.25) == pytest.approx(1 + 4 * (2500 + 1000) * 0.001)
    assert COSTS.evaluation("din") == pytest.approx(750 * 0.002 + 6000 / 3 * 0.001 + 10 * 0.1)
    assert COSTS.served(0.003) == pytest.approx(750 * 0.003 + 0.2)


def test_the_stages_of_a_plan_by_hand():
    one = replace(COSTS, workers=1)
    plan = make_plan(one, seeds=2, whole=1, points=3)
    quarter = sum(one.training(name, 0.25) for name in METHODS) * 3
    assert plan.of(SEARCH_QUARTER) == pytest.approx(quarter)
    assert plan.half == 2
    assert plan.of(SEARCH_HALF) == pytest.approx(
        sum(one.training(name, 0.5) for name in ("din", "din-short", "method-6", "method-5"))
    )
    assert plan.of(ALL_USERS) == pytest.approx(
        2 * sum(one.training(name, 1.0) for name in ("din", "din-short", "method-6"))
    )
    assert plan.of(TIMES) == 30
    assert plan.after(OLD) == 30
    assert plan.after(TIMES) == 0
    assert plan.seconds == pytest.approx(sum(stage.seconds for stage in plan.stages))
    bare = make_plan(one, 2, 1, 3, extras=False)
    assert bare.of(CURVE) == bare.of(OLD) == 0
    assert plan.seconds - bare.seconds == pytest.approx(plan.of(CURVE) + plan.of(OLD))


@given(st.lists(st.floats(0.1, 9), min_size=1, max_size=12), st.integers(1, 4))
def test_no_order_of_jobs_takes_longer_than_the_makespan(jobs, workers):
    free = [0.0] * workers
    for job in jobs:
        free.sort()
        free[0] += job
    assert max(free) <= makespan(jobs, workers) + 1e-9


@settings(max_examples=10)
@given(st.floats(LEAST, 2 * WHOLE), st.integers(1, 3), st.integers(1, 8))
def test_a_plan_fits_or_is_refused(seconds, seeds, workers):
    costs = replace(COSTS, workers=workers)
    try:
        plan = plan_for(costs, seeds, seconds)
    except UserError:
        assert make_plan(costs, 1, 1, 1, extras=False).seconds > seconds
        return
    assert plan.seconds <= seconds
    assert 1 <= plan.whole <= plan.half <= 6
    assert 1 <= plan.points <= MOST_POINTS
    assert 1 <= plan.seeds <= seeds


def test_more_hours_are_spent_on_two_seeds_then_three_methods_then_the_other_seeds():
    hours = [LEAST + 1.4 * (WHOLE - LEAST) * n / 40 for n in range(41)]
    plans = [plan_for(COSTS, 4, seconds) for seconds in hours]
    order = [(min(p.seeds, 2), min(p.whole, 3), p.seeds, p.extras, min(p.points, 2), p.whole, p.points) for p in plans]
    assert all(a <= b for a, b in pairwise(order))
    assert order[0] == (1, 1, 1, False, 1, 1, 1)
    assert order[-1] == (2, 3, 4, True, 2, 6, MOST_POINTS)
    assert {(2, 1), (2, 2), (2, 3), (3, 3), (4, 3)} <= {(p.seeds, p.whole) for p in plans}
    for plan, seconds in zip(plans, hours, strict=True):
        if plan.seeds > 2 and plan.whole < 3:
            assert make_plan(COSTS, 2, plan.whole + 1, 1, extras=False).seconds > seconds


def test_the_final_plan_fits_what_is_left_with_the_settings_that_were_tried():
    first = plan_for(COSTS, 3, (LEAST + WHOLE) / 2)
    faster = COSTS.scaled(dict.fromkeys(METHODS, 0.25))
    assert faster.training("din", 0.5) == pytest.approx(COSTS.training("din", 0.5) / 4)
    assert faster.evaluation("din") > COSTS.evaluation("din") / 4
    left = first.after(SEARCH_QUARTER)
    final = refined(faster, first, left)
    assert final.points == first.points
    assert final.asked_seeds == 3
    assert (final.seeds, final.whole) > (first.seeds, first.whole)
    assert final.after(SEARCH_QUARTER) <= left
    assert refined(COSTS, first, 0.0) == first


def test_too_few_hours_are_refused_with_those_that_do():
    with pytest.raises(UserError, match="takes about") as refused:
        plan_for(COSTS, 3, 0.99 * LEAST)
    hours = float((refused.value.remedy or "").partition("--hours ")[2].split()[0])
    assert plan_for(COSTS, 3, 0.85 * 3600 * hours).seeds == 1


def test_two_methods_that_are_not_full_attention_make_a_plan():
    costs = replace(COSTS, methods={name: METHODS[name] for name in ("method-1", "method-2")}, compressed=())
    assert plan_for(costs, 3, 1e6).whole == 2
    assert min(make_plan(costs, 1, whole, 1).seconds for whole in (1, 2)) > 0
    with pytest.raises(UserError):
        plan_for(costs, 1, make_plan(costs, 1, 1, 1, extras=False).seconds - 1e-6)


def test_the_plan_says_what_it_leaves_out():
    lines = words(make_plan(COSTS, 2, 4, 1, extras=False, asked_seeds=3), COSTS)
    assert "8 methods with 1 setting each" in lines[0]
    assert "The best 6 learn from 1/2, the best 4 of these from all, with 2 seeds." in lines[1]
    assert lines[1].endswith("din and din-short always go on.")
    assert lines[2] == (
        "What does not fit the hours: 1 of 3 seeds, 3 of 4 settings of each method, 2 of 6 methods on all users, "
        "learning curves and old records."
    )
    assert len(words(make_plan(COSTS, 3, 6, MOST_POINTS), COSTS)) == 2
    assert [minutes(s) for s in (89, 600, 7200)] == ["89 s", "10 min", "2.0 h"]


def test_who_goes_on():
    aucs = {"din": 0.5, "b": 0.7, "a": 0.7, "c": 0.8, "d": 0.6}
    assert going_on(aucs, 2, frozenset({"din"})) == {"din", "c", "a"}
    assert going_on(aucs, 9, frozenset({"din"})) == set(aucs)
    assert going_on(aucs, 1, frozenset()) == {"c"}


def test_the_timing_takes_its_share_and_at_last_what_is_left():
    assert timing_seconds(2, 10) == 8
    assert timing_seconds(0.1, 18) == pytest.approx(2.0)
    assert timing_seconds(0.1, 18, 360) == pytest.approx(2.0)
    assert timing_seconds(0.1, 18, 180) == pytest.approx(0.85 * 10)
    assert timing_seconds(2, 10, 600) == 60
