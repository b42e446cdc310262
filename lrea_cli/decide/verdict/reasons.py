"""The verdict as a sentence, and the plain sentences with numbers that carry it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from lrea_cli.console import show
from lrea_cli.decide.results import Contender, Counter, Question
from lrea_cli.decide.verdict.answer import Answer, More
from lrea_cli.decide.verdict.case import Case
from lrea_cli.decide.verdict.order import as_fast, cheapest, cost
from lrea_cli.decide.verdict.standing import turned
from lrea_cli.decide.verdict.words import (
    MOST_NAMED,
    budget,
    change,
    code,
    cost_of,
    loss,
    more_data,
    ms,
    named,
    record_of,
    tolerance,
)
from lrea_cli.stats.methods import MethodEstimate


def headline_of(case: Case) -> str:
    """The verdict."""
    question = case.measured.question
    limit, allowed = budget(question), tolerance(question)
    choice = code(case.choice or "")
    of_long = {
        Contender: f"No long history helps here: ship {choice}.",
        Counter: f"No model of a long history beats a count by {allowed} AUC here: rank by {choice}.",
    }
    sentences: dict[Answer, str] = {
        "ship": f"Ship {choice}.",
        "full-attention": f"Full attention is cheap enough here: ship {choice}.",
        "no-long-history": of_long[type(case.named(case.choice))] if case.choice else "",
        "not-shown": f"Not shown: these data do not tell which contender is within {allowed} AUC of the best one.",
        "over-tolerance": f"Nothing that fits {limit} is within {allowed} AUC of the best contender.",
        "over-budget": f"Nothing is known to fit the budget of {limit}.",
        "nothing-measured": "Nothing was measured to the end, so there is no verdict.",
    }
    return sentences[case.answer]


def reasons_of(case: Case, more: Sequence[More]) -> list[str]:
    """Two or three sentences."""
    if case.choice is not None:
        return [*_of_choice(case, case.named(case.choice)), *_cheaper(case)]
    others: dict[Answer, Callable[[], list[str]]] = {
        "not-shown": lambda: _not_shown(case, more),
        "over-tolerance": lambda: _over_tolerance(case),
        "over-budget": lambda: _over_budget(case),
    }
    return others.get(case.answer, lambda: ["Every method and compression was dropped, or its training failed."])()


def _of_choice(case: Case, chosen: Contender | Counter) -> list[str]:
    """What it costs, and what it loses."""
    question = case.measured.question
    lines = []
    if isinstance(chosen, Contender):
        lines.append(
            f"99 of 100 requests take at most {ms(chosen.p99_ms.value)}, the budget is {budget(question)}; a user has "
            f"{record_of(chosen)}."
        )
    if chosen.name == case.best:
        first = f"It has the highest AUC as served, {show.number(chosen.auc.value)}"
    else:
        first = f"Its AUC as served is {show.number(chosen.auc.value)}. {_against_best(case, chosen)}"
    lines += [f"{first}.", _bound(case, chosen)]
    if case.answer == "no-long-history":
        over = "this count" if isinstance(chosen, Counter) else "the newest behaviors"
        lines.append(f"So what any model gains over {over} is less than the tolerance.")
    if isinstance(chosen, Counter):
        lines.append("A count ranks candidates and gives no probability of a click; its time was not measured.")
    return lines


def _bound(case: Case, chosen: Contender | Counter) -> str:
    """What the intervals allow it to lose at most."""
    question, standing = case.measured.question, case.standings[chosen.name]
    assert standing.at_most is not None
    if standing.at_most <= 0:
        return f"It is shown to be above every other one; the tolerance is {tolerance(question)}."
    return (
        f"Whichever contender is truly the best, its loss is at most {change(standing.at_most, question)} (upper end "
        f"of the 95% interval, against {code(standing.rival or '')}): below the tolerance of {tolerance(question)}."
    )


def _against_best(case: Case, each: Contender | Counter) -> str:
    """`It loses 0.00012 (.. to ..) to `din`, the best contender (AUC 0.8043; p99 26 ms)`."""
    assert case.best is not None
    best = case.measured.named(case.best)
    own = each.loss_against(best.name)
    time = "" if best.p99_ms.value is None else f"; p99 {ms(best.p99_ms.value)}"
    against = _lost(None if own is None else own.auc, best.name, case.measured.question, "95% interval ")
    return f"It {against}, the best contender (AUC {show.number(best.auc.value)}{time})"


def _lost(of: MethodEstimate | None, rival: str, question: Question, kind: str = "") -> str:
    """`loses 0.0094 (.. to ..) to `din`` or, where that is below 0, `is 0.0094 (.. to ..) above `din``."""
    if of is None or of.value is None:
        return f"loses an amount that was not measured to {code(rival)}"
    if float(change(of.value, question)) < 0:
        return f"is {loss(turned(of), question, kind)} above {code(rival)}"
    return f"loses {loss(of, question, kind)} to {code(rival)}"


def _cheaper(case: Case) -> list[str]:
    """Why no cheaper contender was chosen."""
    chosen = case.named(case.choice or "")
    if isinstance(chosen, Counter):
        return []
    question = case.measured.question
    others = [each for each in case.affordable if cost(each) < cost(chosen)]
    alike = [e for e in others if case.standings[e.name].shown == "within" and as_fast(e, chosen)]
    lines = [
        f"{code(each.name)} measured faster ({ms(each.p99_ms.value)}), but the intervals do not tell them apart, and "
        f"its record is larger."
        for each in alike[:1]
    ]
    lose = [each for each in others if case.standings[each.name].shown != "within"]
    if not lose:
        return lines or ["No contender is cheaper."]
    told = "; ".join(
        f"{code(each.name)} ({ms(each.p99_ms.value)}) {_shortfall(case, each)}" for each in lose[-MOST_NAMED:][::-1]
    )
    rest = len(lose) - MOST_NAMED
    also = f"; so with {rest} more" if rest > 0 else ""
    return [*lines, f"No cheaper one is shown to lose less than {tolerance(question)}: {told}{also}."]


def _shortfall(case: Case, each: Contender) -> str:
    """`loses 0.0094 (.. to ..) to `din``, of the rival that decides."""
    rival = case.standings[each.name].rival
    own = each.loss_against(rival) if rival else None
    if rival is None or own is None or own.auc.value is None:
        return "has a loss that was not measured"
    return _lost(own.auc, rival, case.measured.question)


def _not_shown(case: Case, more: Sequence[More]) -> list[str]:
    """The best guess, why it is only that, and what would show it."""
    question = case.measured.question
    assert case.guess is not None
    guess = case.measured.named(case.guess)
    lines = [f"Until more is known, {code(guess.name)} is the best guess: {cost_of(guess)}, AUC {_auc(guess)}."]
    if len(case.rivals) < 2:
        return [*lines, "It is the only contender that was measured to the end: there is none to compare it with."]
    first = "It has the highest AUC" if guess.name == case.best else _against_best(case, guess)
    also = "" if case.standings[guess.name].rival == case.best else f", and it {_shortfall(case, guess)}"
    lines.append(f"{first}{also}{_may_lose(case, guess)}.")
    return [*lines, *(more_data(one, question) for one in more if one.name == guess.name)]


def _may_lose(case: Case, guess: Contender | Counter) -> str:
    """`: it may lose up to 0.0723, and the tolerance is 0.0005`."""
    question, at_most = case.measured.question, case.standings[guess.name].at_most
    if at_most is None:
        return ""
    return f": it may lose up to {change(at_most, question)}, and the tolerance is {tolerance(question)}"


def _over_tolerance(case: Case) -> list[str]:
    """The best that can be afforded, and what would have to change."""
    assert case.guess is not None
    question, guess = case.measured.question, case.measured.named(case.guess)
    return [
        f"The best that fits is {code(guess.name)}: {cost_of(guess)}, AUC {_auc(guess)}. It {_shortfall(case, guess)}.",
        f"All {len(case.affordable)} contenders that fit are shown to lose more than the tolerance.",
        *_dearer(case),
        f"Else allow a larger loss than {tolerance(question)}.",
    ]


def _over_budget(case: Case) -> list[str]:
    """The fastest one, and what would have to change."""
    timed = [each for each in case.measured.contenders if each.p99_ms.value is not None and each.name in case.rivals]
    untimed = [name for name in case.rivals if name not in {each.name for each in timed}]
    lines = []
    if timed:
        fastest = min(timed, key=cost)
        lines.append(f"The fastest is {code(fastest.name)}: {cost_of(fastest)}, AUC {_auc(fastest)}.")
    if untimed:
        lines.append(f"The p99 of a request is not known of {named(untimed)}: give the timing more hours.")
    return [*lines, *_dearer(case)]


def _dearer(case: Case) -> list[str]:
    """The budget that would do."""
    over = [each for each in case.measured.contenders if case.standings[each.name].fits is False]
    within = [each for each in over if case.standings[each.name].shown == "within"]
    if within:
        would_do = cheapest(within)
        enough = math.ceil(10 * (would_do.p99_ms.value or 0.0)) / 10
        return [
            f"A budget of {enough:g} ms would do: {code(would_do.name)} is the cheapest that is shown to be within the "
            f"tolerance (AUC {_auc(would_do)})."
        ]
    return ["No contender over the budget is shown to be within the tolerance, either."] if over else []


def _auc(contender: Contender) -> str:
    return show.number(contender.auc.value)
