"""How many more users or seeds: the answer, put into the interval again, is enough, and a little less is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lrea_cli.decide.results import Contender, Loss
from lrea_cli.decide.verdict.more import SEEDS_BY, STEP, more_for
from lrea_cli.decide.verdict.standing import standing_of, upper_end
from lrea_cli.stats.methods import MethodEstimate
from tests.decide.made_up import QUESTION, contender, loss_of

USERS, SEEDS, BOUND = QUESTION.data.test_users, len(QUESTION.seeds), QUESTION.tolerance


def one(*losses: Loss) -> Contender:
    each = contender("one", 0.8, 5.0, losses=losses)
    assert standing_of(each, [loss.against for loss in losses], BOUND, True).shown == "undecided"
    return each


def ways(*losses: Loss) -> list[tuple[int, int]]:
    more = more_for(one(*losses), ["one", *(loss.against for loss in losses)], QUESTION)
    assert more.shows == "within"
    return [(way.users, way.seeds) for way in more.ways]


def enough(users: float, seeds: float, *losses: Loss) -> bool:
    ends = [upper_end(loss, SEEDS, users_by=users / USERS, seeds_by=seeds / SEEDS) for loss in losses]
    return all(end < BOUND for end in ends)


def test_users_where_all_of_the_error_is_theirs() -> None:
    loss = loss_of("a", 0.0, 0.001, 0.0, SEEDS)
    ((users, seeds),) = ways(loss)
    assert seeds == SEEDS
    assert users == pytest.approx(USERS * 1.96**2, rel=STEP - 1 + 0.1)
    assert enough(users, seeds, loss)
    assert not enough(USERS * 1.95**2, seeds, loss)


@pytest.mark.parametrize("error", [0.0007 + 0.0001 * n for n in range(12)])
def test_what_is_said_is_enough(error: float) -> None:
    """Numbers of users are rounded up."""
    loss = loss_of("a", 0.0, error, 0.0, SEEDS)
    ((users, seeds),) = ways(loss)
    assert users % 1000 == 0
    assert enough(users, seeds, loss)


def test_seeds_where_all_of_the_error_is_theirs() -> None:
    loss = loss_of("a", 0.0, 0.0, 0.001, SEEDS)
    ((users, seeds),) = ways(loss)
    assert users == USERS
    assert enough(users, seeds, loss)
    assert not enough(users, seeds - 1, loss)


def test_either_where_either_does() -> None:
    loss = loss_of("a", 0.0001, 0.0003, 0.0003, SEEDS)
    by_users, by_seeds = ways(loss)
    assert by_users[1] == SEEDS
    assert by_seeds[0] == USERS
    assert enough(*by_users, loss)
    assert enough(*by_seeds, loss)
    assert not enough(by_seeds[0], by_seeds[1] - 1, loss)


def test_both_where_neither_does_alone() -> None:
    loss = loss_of("a", 0.0, 0.002, 0.002, SEEDS)
    ((users, seeds),) = ways(loss)
    assert users > USERS
    assert seeds > SEEDS
    assert enough(users, seeds, loss)
    cheaper = 0.9 * users * seeds
    others = [(cheaper / m, m) for m in (SEEDS * by for by in SEEDS_BY)]
    assert not [way for way in others if enough(*way, loss)], "the least work, users times seeds"


def test_every_rival_counts() -> None:
    near, far = loss_of("a", 0.0, 0.001, 0.0, SEEDS), loss_of("b", 0.0005, 0.001, 0.0, SEEDS)
    assert ways(near, far) == ways(far)
    assert ways(far)[0][0] == pytest.approx(4 * ways(near)[0][0], rel=0.15), "half of the room, four times the users"


def test_a_loss_above_the_tolerance_will_be_shown_to_be_above() -> None:
    below, above = loss_of("a", 0.0, 0.001, 0.0, SEEDS), loss_of("b", 0.0015, 0.001, 0.0, SEEDS)
    more = more_for(one(below, above), ["a", "b"], QUESTION)
    assert more.shows == "beyond"
    ((users, seeds),) = [(way.users, way.seeds) for way in more.ways]
    assert users == pytest.approx(USERS * (1.96 * 2) ** 2, rel=0.15)
    assert seeds == SEEDS


def test_a_loss_at_the_tolerance_will_not_be_shown() -> None:
    more = more_for(one(loss_of("a", BOUND, 0.001, 0.0, SEEDS)), ["a"], QUESTION)
    assert (more.shows, more.ways) == ("undecided", ())
    assert "the tolerance itself" in more.note


def test_a_loss_that_is_missing_says_so() -> None:
    each = contender(
        "one", 0.8, 5.0, losses=(loss_of("a", 0.0, 0.001, 0.0, SEEDS), Loss("b", MethodEstimate(None, None, None)))
    )
    for rivals in (["a", "b"], ["a", "c"], []):
        more = more_for(each, rivals, QUESTION)
        assert (more.shows, more.ways) == ("undecided", ())
        assert "not measured" in more.note


def test_what_would_take_too_much_is_said_to() -> None:
    more = more_for(one(loss_of("a", BOUND * 0.99999, 0.1, 0.0, SEEDS)), ["a"], QUESTION)
    assert more.ways == ()
    assert "10,000 times the users" in more.note


def test_what_is_not_known_is_said_to_be_assumed() -> None:
    loss = Loss("a", MethodEstimate(0.0, (-0.002, 0.002), 0.001))
    several = more_for(one(loss), ["a"], QUESTION)
    assert several.ways[0].users == pytest.approx(4 * USERS, rel=0.1)
    assert "taken to come of the users" in several.note
    alone = more_for(one(loss), ["a"], replace(QUESTION, seeds=(0,)))
    assert [way.seeds for way in alone.ways] == [1]
    assert "Nothing is known of other seeds" in alone.note
    assert more_for(one(loss_of("a", 0.0, 0.001, 0.0, SEEDS)), ["a"], QUESTION).note == ""
