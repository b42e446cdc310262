"""The tables of a decision's page: a column is a title and a function from a row to its cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from lrea_cli.console import show
from lrea_cli.decide.results import KINDS, UNKNOWN, Aged, Contender, Counter, CurvePoint, Dropped
from lrea_cli.decide.verdict.answer import Decision, Shown
from lrea_cli.decide.verdict.order import cost
from lrea_cli.decide.verdict.words import change, code
from lrea_cli.reporting.decision.document import Cell, Table
from lrea_cli.stats.estimates import Estimate

Row = TypeVar("Row")
Columns = dict[str, Callable[[Row], Cell]]
NONE = "-"
SHOWN: dict[Shown, str] = {"within": "yes", "beyond": "no", "undecided": "not shown"}


def deciding_table(decision: Decision) -> Table:
    """What the verdict is made of, the cheapest contender first."""
    question, verdict = decision.measured.question, decision.verdict
    columns: Columns[Contender] = {
        "contender": lambda each: Cell(code(each.name), _role(decision, each)),
        "p99, ms": lambda each: _estimate(each.p99_ms, show.milliseconds),
        f"fits {question.budget_ms:g} ms": lambda each: Cell(_yes(verdict.standing(each.name).fits)),
        "AUC as served": lambda each: _estimate(each.auc),
        "loss to the highest": lambda each: _loss(decision, each),
        "at most": lambda each: _change(decision, verdict.standing(each.name).at_most),
        f"loses less than {question.tolerance:g}": lambda each: Cell(SHOWN[verdict.standing(each.name).shown]),
        "record": lambda each: Cell(_size(each.record_bytes)),
        "a new behavior": _new_behavior,
    }
    return _table("What the verdict is made of", columns, _by_cost(decision), _marked(decision))


def other_table(decision: Decision) -> Table:
    """What else was measured."""
    ages = sorted({aged.days for each in decision.measured.contenders for aged in each.aged})
    columns: Columns[Contender] = {
        "contender": lambda each: Cell(code(each.name)),
        "p50, ms": lambda each: _estimate(each.p50_ms, show.milliseconds),
        "making a record, ms": lambda each: Cell(NONE if each.make_ms is None else show.milliseconds(each.make_ms)),
        **{f"loss at {days:g} day{'' if days == 1 else 's'}": _aged(decision, days) for days in ages},
        "GAUC": lambda each: _estimate(each.gauc),
        "ECE": lambda each: _estimate(each.ece),
        "NE": lambda each: _estimate(each.ne),
    }
    return _table("What else was measured of each contender", columns, _by_cost(decision), _marked(decision))


def about_table(decision: Decision) -> Table:
    """What each contender is."""
    columns: Columns[Contender] = {
        "contender": lambda each: Cell(code(each.name)),
        "what it is": lambda each: Cell(each.about, words=True),
        "kind": lambda each: Cell(KINDS[each.kind], words=True),
        "settings": lambda each: Cell(each.recipe or "the method's own", words=True),
    }
    return _table("What each contender is", columns, _by_cost(decision))


def curve_table(decision: Decision) -> Table | None:
    """AUC by the share of the users; None where no contender has a curve."""
    rows = [each for each in _by_cost(decision) if each.curve]
    shares = sorted({(point.share, point.rows) for each in rows for point in each.curve})
    if not shares:
        return None
    columns: Columns[Contender] = {"contender": lambda each: Cell(code(each.name))}
    columns |= {f"{_share(share)}: {count:,} rows": _at(share) for share, count in shares}
    if len(shares) > 1:
        columns["last step"] = _last_step(decision, shares[-2][0], shares[-1][0])
    return _table("AUC by the share of the users", columns, rows)


def counter_table(decision: Decision) -> Table | None:
    """The trivial baselines, and the best possible AUC where it is known."""
    question, verdict = decision.measured.question, decision.verdict
    columns: Columns[Counter] = {
        "baseline": lambda each: Cell(each.name),
        "AUC": lambda each: _estimate(each.auc),
        "loss to the highest": lambda each: _loss(decision, each),
        f"loses less than {question.tolerance:g}": lambda each: Cell(SHOWN[verdict.standing(each.name).shown]),
    }
    counters = decision.measured.counters
    return _table("Trivial baselines", columns, counters) if counters else None


def dropped_table(decision: Decision) -> Table | None:
    """What was dropped, where, by which numbers."""
    columns: Columns[Dropped] = {
        "dropped": lambda each: Cell(code(each.name), each.about),
        "at": lambda each: Cell(each.stage),
        "validation AUC": lambda each: Cell(show.number(each.auc, none=NONE)),
        "the worst that went on": lambda each: Cell(show.number(each.bar, none=NONE)),
        "why": lambda each: Cell(each.reason, words=True),
    }
    dropped = decision.measured.dropped
    return _table("What was dropped", columns, dropped) if dropped else None


def _table(about: str, columns: Columns[Row], rows: Sequence[Row], marked: int | None = None) -> Table:
    return Table(about, tuple(columns), tuple(tuple(cell(row) for cell in columns.values()) for row in rows), marked)


def _by_cost(decision: Decision) -> list[Contender]:
    return sorted(decision.measured.contenders, key=cost)


def _marked(decision: Decision) -> int | None:
    """The row of the choice, or else of the best guess."""
    marked = (decision.verdict.choice, decision.verdict.guess)
    return next((n for n, each in enumerate(_by_cost(decision)) if each.name in marked), None)


def _role(decision: Decision, each: Contender) -> str:
    """Why a row stands out, and whether it is on the frontier."""
    verdict = decision.verdict
    roles = {verdict.choice: "the choice", verdict.guess: "best guess"}
    on_it = "frontier" if each.name in verdict.frontier else ""
    return ", ".join(filter(None, (roles.get(each.name, ""), on_it)))


def _estimate(estimate: Estimate, form: Callable[[float], str] = show.number) -> Cell:
    if estimate.value is None:
        return Cell(NONE)
    ci = estimate.ci
    return Cell(form(estimate.value), "" if ci is None else f"{form(ci[0])} to {form(ci[1])}")


def _change(decision: Decision, value: float | None) -> Cell:
    return Cell(NONE if value is None else change(value, decision.measured.question))


def _loss(decision: Decision, each: Contender | Counter) -> Cell:
    """Against the contender with the highest AUC."""
    if each.name == decision.verdict.best:
        return Cell("0", "the highest")
    own = each.loss_against(decision.verdict.best) if decision.verdict.best else None
    return _estimate(UNKNOWN if own is None else own.auc, lambda value: change(value, decision.measured.question))


def _yes(value: bool | None) -> str:
    return {True: "yes", False: "no", None: "not known"}[value]


def _size(value: float | None) -> str:
    return {None: NONE, 0: "none"}.get(value) or show.size(value or 0)


def _new_behavior(each: Contender) -> Cell:
    """Rows of the record that change, and FLOPs."""
    work = each.new_behavior
    if work is None:
        return Cell(NONE)
    flops = "" if work.flops is None else f"{show.short(work.flops).strip()} FLOPs"
    if work.rows is None:
        return Cell("made anew", flops)
    return Cell("1 row" if work.rows == 1 else f"{work.rows:.3g} rows", flops)


def _aged(decision: Decision, days: float) -> Callable[[Contender], Cell]:
    def cell(each: Contender) -> Cell:
        aged: Aged | None = next((one for one in each.aged if one.days == days), None)
        found = UNKNOWN if aged is None else aged.loss
        return _estimate(found, lambda value: change(value, decision.measured.question))

    return cell


def _share(share: float) -> str:
    part = {0.125: "1/8", 0.25: "1/4", 0.5: "1/2"}.get(share, f"{share:.0%}")
    return "all users" if share == 1 else f"{part} of the users"


def _at(share: float) -> Callable[[Contender], Cell]:
    return lambda each: _estimate(_auc_at(each, share))


def _auc_at(each: Contender, share: float) -> Estimate:
    point: CurvePoint | None = next((one for one in each.curve if one.share == share), None)
    return UNKNOWN if point is None else point.auc


def _last_step(decision: Decision, before: float, after: float) -> Callable[[Contender], Cell]:
    def cell(each: Contender) -> Cell:
        first, second = _auc_at(each, before).value, _auc_at(each, after).value
        return _change(decision, None if first is None or second is None else second - first)

    return cell
