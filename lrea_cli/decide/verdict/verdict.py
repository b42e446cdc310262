"""The verdict: from measurements to what to ship, why, and what is unsure. A pure function.

The choice is the cheapest contender that fits the budget and is shown to be within the tolerance of the best one
(`standing.py` says what shown means). Cheapest: the lowest p99 of a request; of those that are not told apart from it,
the smallest record.
"""

from __future__ import annotations

from lrea_cli.decide.results import Measurements, finite
from lrea_cli.decide.verdict.answer import Decision, More, Verdict
from lrea_cli.decide.verdict.case import Case, case_of
from lrea_cli.decide.verdict.more import more_for
from lrea_cli.decide.verdict.order import frontier
from lrea_cli.decide.verdict.reasons import headline_of, reasons_of
from lrea_cli.decide.verdict.unsure import unsure_of


def decide(measured: Measurements) -> Decision:
    """The decision that the measurements allow; NaN and infinities in them are taken as not known."""
    measured = finite(measured)
    case = case_of(measured)
    more = _more(case)
    verdict = Verdict(
        answer=case.answer,
        choice=case.choice,
        guess=case.guess,
        best=case.best,
        headline=headline_of(case),
        reasons=tuple(reasons_of(case, more)),
        unsure=tuple(unsure_of(case, more)),
        standings=tuple(case.standings.values()),
        frontier=tuple(frontier(measured.contenders)),
        more=more,
    )
    return Decision(measured, verdict)


def _more(case: Case) -> tuple[More, ...]:
    """What would show the guess, or cheaper contenders than the choice, to be within the tolerance."""
    guess = [case.guess] if case.answer == "not-shown" and case.guess else []
    names = [*guess, *(each.name for each in case.cheaper_undecided())]
    return tuple(more_for(case.named(name), case.rivals, case.measured.question) for name in names)
