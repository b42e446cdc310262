"""How many more test users, or seeds of training, would show whether a contender is within the tolerance.

The users' part of a standard error shrinks with the square root of the number of users, the seeds' part with that of
the number of seeds. The losses are taken to stay as they were measured: if all lie below the tolerance, more data show
the contender to be within it; if one lies above, to be beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from lrea_cli.decide.results import Contender, Counter, Loss, Question
from lrea_cli.decide.verdict.answer import More, Way
from lrea_cli.decide.verdict.standing import turned, upper_end

STEP, MOST = 1.05, 10_000.0
"""Of the factors on the number of users that are tried, and the largest."""
FACTORS = [STEP**n for n in range(math.ceil(math.log(MOST, STEP)) + 1)]
MOST_SEEDS = 50
SEEDS_BY = (2, 3, 5, 10, 20, 50, 100)
"""Factors on the number of seeds that are tried where more users alone, or up to `MOST_SEEDS` alone, are not enough."""


def more_for(each: Contender | Counter, rivals: Sequence[str], question: Question) -> More:
    """The least data that would do: more users alone, more seeds alone, or else both.

    Args:
        each: neither shown to be within the tolerance nor beyond it.
        rivals: names of the contenders that have an AUC; its own is passed over.
    """
    others = [name for name in rivals if name != each.name]
    losses = [loss for loss in each.losses if loss.against in others and None not in (loss.auc.value, loss.auc.ci)]
    if len(losses) < len(others) or not losses:
        return More(each.name, "undecided", (), "A loss, or its interval, was not measured.")
    worst = max(losses, key=_value)
    if _value(worst) == question.tolerance:
        return More(each.name, "undecided", (), "The measured loss is the tolerance itself.")
    if _value(worst) < question.tolerance:
        return _more(More(each.name, "within", ()), losses, question.tolerance, question)
    return _more(More(each.name, "beyond", ()), [replace(worst, auc=turned(worst.auc))], -question.tolerance, question)


def _more(more: More, losses: Sequence[Loss], bound: float, question: Question) -> More:
    """The ways that bring all upper ends below a bound."""
    users, seeds = question.data.test_users, len(question.seeds)
    known = all(loss.auc.seeds for loss in losses)

    def by_users(seeds_by: float) -> float | None:
        return next((factor for factor in FACTORS if _would_do(losses, bound, seeds, factor, seeds_by)), None)

    least = by_users(1)
    ways = [Way(_rounded(users * least), seeds)] if least else []
    if known:
        enough = next((m for m in range(seeds, MOST_SEEDS + 1) if _would_do(losses, bound, seeds, 1, m / seeds)), None)
        ways += [Way(users, enough)] if enough else []
        if not ways:
            both = [(factor * by, factor, by) for by in SEEDS_BY if (factor := by_users(by))]
            ways = [Way(_rounded(users * factor), seeds * by) for _, factor, by in sorted(both)[:1]]
    most = f"{MOST:,.0f} times the users" + (f" and {SEEDS_BY[-1]} times the seeds" if known else "")
    return More(more.name, more.shows, tuple(ways), _assumed(losses, seeds) if ways else f"Not even {most} would do.")


def _would_do(losses: Sequence[Loss], bound: float, seeds: int, users_by: float, seeds_by: float) -> bool:
    """Whether all upper ends would lie below the bound.

    More is not always better: with more users and as many seeds, the seeds make a larger share of the error, so that
    Student's t has fewer degrees of freedom, and of two or three seeds the interval may even widen.
    """
    return all(upper_end(loss, seeds, users_by=users_by, seeds_by=seeds_by) < bound for loss in losses)


def _value(loss: Loss) -> float:
    assert loss.auc.value is not None
    return loss.auc.value


def _assumed(losses: Sequence[Loss], seeds: int) -> str:
    if seeds == 1:
        return "Nothing is known of other seeds of training, so their part is left out."
    if not all(loss.auc.seeds for loss in losses):
        return "How much of an interval comes of the seeds is not known, so all of it is taken to come of the users."
    return ""


def _rounded(users: float) -> int:
    """Up to two digits."""
    unit = 10 ** max(0, math.floor(math.log10(users)) - 1)
    return math.ceil(users / unit) * unit
