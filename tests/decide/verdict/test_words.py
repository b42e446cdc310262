"""Names and numbers as sentences have them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lrea_cli.decide.verdict.answer import More, Way
from lrea_cli.decide.verdict.words import change, code, cost_of, loss, more_data, named, places, tolerance
from lrea_cli.stats.estimates import Estimate
from tests.decide.made_up import QUESTION, contender


@pytest.mark.parametrize(
    ("allowed", "decimals"), [(0.1, 4), (0.01, 4), (0.001, 4), (0.0009, 5), (0.0005, 5), (0.0001, 5), (0.00002, 6)]
)
def test_a_tenth_of_the_tolerance_is_shown(allowed: float, decimals: int) -> None:
    assert places(allowed) == decimals
    assert change(0.1, replace(QUESTION, tolerance=allowed)) == f"{0.1:.{decimals}f}"


def test_a_change_has_no_negative_zero() -> None:
    assert change(-0.00001, QUESTION) == "0.0000"
    assert change(-0.0001, QUESTION) == "-0.0001"


def test_a_loss_has_its_interval() -> None:
    assert loss(Estimate(0.0012, (-0.0003, 0.0027), None), QUESTION) == "0.0012 (-0.0003 to 0.0027)"
    assert loss(Estimate(0.0012, (-0.0003, 0.0027), None), QUESTION, "95%: ") == "0.0012 (95%: -0.0003 to 0.0027)"
    assert loss(Estimate(0.0012, None, None), QUESTION) == "0.0012 (no interval)"
    assert loss(Estimate(None, None, None), QUESTION) == "n/a"


def test_what_a_contender_costs() -> None:
    each = contender("a", 0.8, 3.123)
    assert cost_of(each) == "p99 3.12 ms, a record of 20 kB"
    assert cost_of(replace(each, record_bytes=0.0)) == "p99 3.12 ms, no record"
    assert cost_of(replace(each, record_bytes=None)) == "p99 3.12 ms, a record of unknown size"


def test_names() -> None:
    assert code("a `b`\nc") == "`a 'b' c`"
    assert named(["a"]) == "`a`"
    assert named(["a", "b"]) == "`a` and `b`"
    assert named(["a", "b", "c"]) == "`a`, `b` and `c`"
    assert named(list("abcde")) == "`a`, `b`, `c` and 2 more"
    assert tolerance(QUESTION) == "0.001"


def test_more_users_are_more_days() -> None:
    """The test split has 20,000 users in 4 days."""
    said = more_data(More("a", "within", (Way(60_000, 3), Way(20_000, 9))), QUESTION)
    assert said == (
        "If the losses stay as they were measured, 60,000 test users instead of 20,000 (12 test days instead of 4, if "
        "as many new users come a day) or 9 seeds of training instead of 3 would show that `a` loses less than 0.001."
    )
    both = more_data(More("a", "beyond", (Way(22_000, 6),), "Note."), QUESTION)
    assert "22,000 test users instead of 20,000 (4.4 test days" in both
    assert "with 6 seeds of training instead of 3 would show that `a` loses more than 0.001. Note." in both
    assert more_data(More("a", "undecided", (), "Why."), QUESTION).endswith("cannot be said. Why.")
