"""What the measurements say, without words: where each contender stands, the answer, the choice or the best guess."""

from __future__ import annotations

from dataclasses import dataclass

from lrea_cli.decide.results import Contender, Counter, Measurements
from lrea_cli.decide.verdict.answer import Answer, Standing
from lrea_cli.decide.verdict.order import cheapest, cost, fits
from lrea_cli.decide.verdict.standing import standing_of


@dataclass(frozen=True)
class Case:
    """See `Verdict`, which says the same in words.

    Args:
        rivals: names of the contenders that have an AUC: the best one is among them.
        standings: by name, of contenders and counters.
    """

    measured: Measurements
    rivals: tuple[str, ...]
    standings: dict[str, Standing]
    answer: Answer
    choice: str | None
    guess: str | None
    best: str | None

    def named(self, name: str) -> Contender | Counter:
        """The contender or counter of this name."""
        everyone = (*self.measured.contenders, *self.measured.counters)
        return next(each for each in everyone if each.name == name)

    @property
    def affordable(self) -> list[Contender]:
        """Contenders with an AUC that fit the budget, the cheapest first."""
        return [each for each in _by_cost(self.measured, self.rivals) if self.standings[each.name].fits]

    def cheaper_undecided(self) -> list[Contender]:
        """Of the affordable ones those that cost less than the choice and may do, but are not shown to."""
        if self.choice is None or isinstance(chosen := self.named(self.choice), Counter):
            return []
        cheaper = [each for each in self.affordable if cost(each) < cost(chosen)]
        return [each for each in cheaper if self.standings[each.name].shown == "undecided"]


def case_of(measured: Measurements) -> Case:
    """What measurements without NaN say."""
    question = measured.question
    rivals = tuple(each.name for each in measured.contenders if each.auc.value is not None)
    standings = {
        each.name: standing_of(each, rivals, question.tolerance, fits(each, question.budget_ms))
        for each in measured.contenders
    }
    for counter in measured.counters:
        standings[counter.name] = standing_of(counter, rivals, question.tolerance, None)
    known = _by_cost(measured, rivals)
    best = max(known, key=lambda each: each.auc.value or 0.0).name if known else None
    affordable = [each for each in known if standings[each.name].fits]
    answer, choice = _answer(measured, affordable, standings, bool(rivals))
    guess = _guess(affordable, rivals, question.tolerance) if choice is None else None
    return Case(measured, rivals, standings, answer, choice, guess, best)


def _answer(
    measured: Measurements, affordable: list[Contender], standings: dict[str, Standing], any_auc: bool
) -> tuple[Answer, str | None]:
    """The answer, and what to ship."""
    counters = [each for each in measured.counters if standings[each.name].shown == "within"]
    within = [each for each in affordable if standings[each.name].shown == "within"]
    short = [each for each in within if each.kind == "short"]
    if counters:
        return "no-long-history", max(counters, key=lambda each: each.auc.value or 0.0).name
    if short and any(each.kind != "short" for each in measured.contenders if each.auc.value is not None):
        return "no-long-history", cheapest(short).name
    if within:
        chosen = cheapest(within)
        return ("full-attention" if chosen.kind == "full" else "ship"), chosen.name
    if not any_auc:
        return "nothing-measured", None
    if not affordable:
        return "over-budget", None
    lose = all(standings[each.name].shown == "beyond" for each in affordable)
    return ("over-tolerance" if lose else "not-shown"), None


def _guess(affordable: list[Contender], rivals: tuple[str, ...], tolerance: float) -> str | None:
    """The cheapest of those whose losses, as measured, are all below the tolerance; else the highest AUC."""
    seem = [each for each in affordable if all(_seems(each, rival, tolerance) for rival in rivals)]
    if seem:
        return cheapest(seem).name
    return max(affordable, key=lambda each: each.auc.value or 0.0).name if affordable else None


def _seems(each: Contender, rival: str, tolerance: float) -> bool:
    loss = each.loss_against(rival)
    return rival == each.name or (loss is not None and loss.auc.value is not None and loss.auc.value < tolerance)


def _by_cost(measured: Measurements, names: tuple[str, ...]) -> list[Contender]:
    return sorted((each for each in measured.contenders if each.name in names), key=cost)
