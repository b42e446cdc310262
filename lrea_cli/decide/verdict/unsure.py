"""What might change the verdict, in plain sentences: each function looks at one cause and says what it found."""

from __future__ import annotations

from collections.abc import Sequence

from lrea_cli.console import show
from lrea_cli.console.counts import counted
from lrea_cli.decide.results import Contender, Counter
from lrea_cli.decide.verdict.answer import More
from lrea_cli.decide.verdict.case import Case
from lrea_cli.decide.verdict.standing import passes_together
from lrea_cli.decide.verdict.words import budget, change, code, loss, more_data, ms, named

FEW_USERS = 50
"""Of a bootstrap over clusters: below 20 to 50 of them intervals are too narrow (Cameron & Miller 2015, VI)."""
HALF = 0.5


def unsure_of(case: Case, more: Sequence[More]) -> list[str]:
    """The sentences, the weightiest first."""
    shipped = case.choice or case.guess
    lines = [*_few_users(case), *_one_seed(case), *_not_measured(case), *_busy(case)]
    if case.choice is not None:
        lines += [*_one_of_many(case, case.named(case.choice)), *_undecided(case, more)]
    if shipped is not None and isinstance(each := case.named(shipped), Contender):
        lines += [*_near_budget(case, each), *_calibrated(each), *_aged(case, each), *_still_rising(case, each)]
    return [*lines, *_dropped(case)]


def _few_users(case: Case) -> list[str]:
    users = case.measured.question.data.test_users
    if users >= FEW_USERS:
        return []
    return [f"The test split has {counted(users, 'user')}: below {FEW_USERS}, intervals over users are too narrow."]


def _one_seed(case: Case) -> list[str]:
    if len(case.measured.question.seeds) > 1:
        return []
    return ["One seed of training: the intervals cover other users alone, and another seed may change the order."]


def _not_measured(case: Case) -> list[str]:
    """Contenders that take no part, or not in all."""
    lines, contenders = [], case.measured.contenders
    if no_auc := [each.name for each in contenders if each.auc.value is None]:
        lines.append(f"{named(no_auc)} has no AUC, so that it was compared with nothing.")
    if case.answer != "over-budget" and (
        no_p99 := [each.name for each in contenders if each.p99_ms.value is None and each.name in case.rivals]
    ):
        they = "it" if len(no_p99) == 1 else "they"
        lines.append(f"No p99 of a request is known of {named(no_p99)}, so {they} could not be chosen.")
    return lines


def _busy(case: Case) -> list[str]:
    load = case.measured.load
    reason = None if load is None else load.reason_to_withhold
    return [] if reason is None else [f"The machine was busy while times were taken: {reason}. Time it again."]


def _one_of_many(case: Case, chosen: Contender | Counter) -> list[str]:
    """Whether the choice stands when the intervals of all that could have been chosen hold together."""
    question, counters = case.measured.question, len(case.measured.counters)
    k = len(case.affordable) + counters
    if k < 2 or passes_together(chosen, case.rivals, question.tolerance, k, len(question.seeds)):
        return []
    return [
        f"Each interval is a 95% one by itself, and {counted(len(case.affordable), 'contender')} within the budget and "
        f"{counted(counters, 'count')} without a model could have been chosen. With intervals wide enough to hold for "
        f"all of them together (Bonferroni), {code(chosen.name)} is not shown to be within the tolerance."
    ]


def _undecided(case: Case, more: Sequence[More]) -> list[str]:
    """The cheaper contender that more data may show to be within the tolerance."""
    lines = []
    for each in case.cheaper_undecided():
        needed = next((one for one in more if one.name == each.name and one.ways), None)
        if needed is not None:
            question = case.measured.question
            lines.append(
                f"{code(each.name)} is cheaper ({ms(each.p99_ms.value)}), and it is not known whether it would do. "
                f"{more_data(needed, question)}"
            )
    return lines


def _near_budget(case: Case, shipped: Contender) -> list[str]:
    ci, limit = shipped.p99_ms.ci, case.measured.question.budget_ms
    if ci is None or ci[1] <= limit or (shipped.p99_ms.value or 0.0) > limit:
        return []
    span = f"{show.milliseconds(ci[0])} to {show.milliseconds(ci[1])} ms"
    return [f"The interval of its p99 ({span}) reaches past the budget of {budget(case.measured.question)}."]


def _calibrated(shipped: Contender) -> list[str]:
    """Whether its probabilities are worse than the click rate alone."""
    ne = shipped.ne.value
    if ne is None or ne <= 1:
        return []
    return [
        f"Its probabilities are worse than the click rate alone (NE {show.number(ne)}): it ranks, and must be "
        f"calibrated before a probability is used."
    ]


def _aged(case: Case, shipped: Contender) -> list[str]:
    """Whether what old records lose, on top of what the contender loses, may reach the tolerance.

    The two upper ends are added, which is more careful than the interval of the sum.
    """
    question, name = case.measured.question, code(shipped.name)
    if shipped.record_bytes == 0:
        return []
    known = [aged for aged in shipped.aged if aged.loss.value is not None]
    if not known:
        return [f"What {name} loses while its records grow old was not measured."]
    standing = case.standings[shipped.name]
    loses = max(0.0, standing.at_most or 0.0) if standing.shown == "within" else 0.0
    old = [aged for aged in known if loses + (aged.loss.ci or (0.0, aged.loss.value or 0.0))[1] >= question.tolerance]
    if not old:
        return []
    first = min(old, key=lambda aged: aged.days)
    days = counted(int(first.days), "day") if first.days == int(first.days) else f"{first.days:g} days"
    return [
        f"Records of {name} that are {days} old lose a further {loss(first.loss, question)}: with what it loses "
        f"anyway, that is not shown to be below the tolerance, so refresh them sooner."
    ]


def _still_rising(case: Case, shipped: Contender) -> list[str]:
    """Whether more training rows help, and whether they may change the order."""
    question, own = case.measured.question, _gain(shipped)
    if own is None:
        return [f"No learning curve of {code(shipped.name)}: what more training rows would change is not known."]
    lines = []
    if own > question.tolerance:
        lines.append(f"AUC of {code(shipped.name)} still rises: {change(own, question)} by the last doubling of rows.")
    overtaking = [(after, rival) for name in case.rivals if (after := _after(case, shipped, rival := name)) is not None]
    reach = [(after, rival) for after, rival in overtaking if after >= question.tolerance]
    if case.answer in ("over-tolerance", "over-budget") or not reach:
        return lines
    after, rival = max(reach)
    gain = change(_gain(_contender(case, rival)) or 0.0, question)
    return [
        *lines,
        f"The curve of {code(rival)} rises faster ({gain} by the last doubling against {change(own, question)}): if "
        f"both rise so again, twice the rows make {code(shipped.name)} lose {change(after, question)} to it.",
    ]


def _after(case: Case, shipped: Contender, rival: str) -> float | None:
    """The loss against a rival whose curve rises faster, after one more doubling that adds as much as the last one."""
    own, theirs, now = _gain(shipped), _gain(_contender(case, rival)), shipped.loss_against(rival)
    if own is None or theirs is None or now is None or now.auc.value is None or theirs <= own:
        return None
    return now.auc.value + theirs - own


def _gain(contender: Contender) -> float | None:
    """AUC at all rows minus AUC at half of them."""
    at = {point.share: point.auc.value for point in contender.curve}
    full, half = at.get(1.0), at.get(HALF)
    return None if full is None or half is None else full - half


def _contender(case: Case, name: str) -> Contender:
    return case.measured.named(name)


def _dropped(case: Case) -> list[str]:
    early = [each.name for each in case.measured.dropped if each.bar is not None]
    others = [each.name for each in case.measured.dropped if each.bar is None]
    see = "see what was dropped, and why."
    return [
        *([f"{named(early)} {_were(early)} dropped early, by less data than the others had; {see}"] if early else []),
        *([f"{named(others)} {_were(others)} left out, so what they would give is not known; {see}"] if others else []),
    ]


def _were(names: Sequence[str]) -> str:
    return "was" if len(names) == 1 else "were"
