"""Two decisions of made-up numbers: plausible, and measured nowhere. And parts that tests make others of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lrea_cli.bench.machine import Load, Machine
from lrea_cli.decide.results import (
    Aged,
    Command,
    Contender,
    Counter,
    CurvePoint,
    Data,
    Dropped,
    Kind,
    Loss,
    Measurements,
    NewBehavior,
    Question,
)
from lrea_cli.decide.verdict.answer import Decision
from lrea_cli.decide.verdict.verdict import decide
from lrea_cli.stats.estimates import Estimate, t_quantile
from lrea_cli.stats.methods import MethodEstimate, SeedVariance, degrees_of_freedom

SHARES = (0.25, 0.5, 1.0)


def around(value: float, half: float) -> Estimate:
    """An estimate with a symmetric interval."""
    return Estimate(value, (value - half, value + half), half / 1.96)


def loss_of(against: str, value: float, of_users: float, of_seeds: float, seeds: int) -> Loss:
    """A loss with the interval that these standard errors have with so many seeds."""
    by_seeds, error = SeedVariance(of_seeds**2, 2.0 * (seeds - 1)), math.hypot(of_users, of_seeds)
    freedom = degrees_of_freedom(by_seeds, error**2)
    reach = t_quantile(freedom) * error
    return Loss(against, MethodEstimate(value, (value - reach, value + reach), error, freedom, by_seeds))


def contender(name: str, auc: float, p99: float | None, kind: Kind = "cached", **others: Any) -> Contender:
    """A contender whose p50 and p99 have narrow intervals."""
    times = {} if p99 is None else {"p50_ms": around(p99 * 0.8, p99 * 0.01), "p99_ms": around(p99, p99 * 0.04)}
    known: dict[str, Any] = {"about": f"made-up {kind}", "recipe": "", "record_bytes": 20_000.0, **times}
    return Contender(name, kind, auc=around(auc, 0.002), **{**known, **others})


def compared(
    contenders: Sequence[Contender], of_users: float = 0.00005, of_seeds: float = 0.00005, seeds: int = 3
) -> tuple[Contender, ...]:
    """The same with the losses that their AUCs make, all with these standard errors."""
    aucs = {each.name: each.auc.value or 0.0 for each in contenders}
    return tuple(
        replace(
            each,
            losses=tuple(
                loss_of(rival, auc - aucs[each.name], of_users, of_seeds, seeds)
                for rival, auc in aucs.items()
                if rival != each.name
            ),
        )
        for each in contenders
    )


def counter(name: str, auc: float, contenders: Sequence[Contender], error: float = 0.0001) -> Counter:
    """A counter and its losses."""
    losses = [loss_of(each.name, (each.auc.value or 0.0) - auc, error, 0.0, 3) for each in contenders]
    return Counter(name, around(auc, 0.002), tuple(losses))


DATA = Data("made-up-shop", "made-up numbers", 30_000, 40_000, 720_000, 240_000, 20_000, 4.0)
QUESTION = Question(DATA, budget_ms=10, tolerance=0.001, hours=2, seeds=(0, 1, 2), candidates=1000)
MACHINE = Machine("Made-Up CPU 9000", 2, "cpu")


def measured(
    contenders: Sequence[Contender],
    counters: Sequence[Counter] = (),
    dropped: Sequence[Dropped] = (),
    question: Question = QUESTION,
    load: Load | None = None,
) -> Measurements:
    """Measurements of these."""
    commands = (
        Command("all of this page", "lrea decide --dataset made-up-shop --budget-ms 10 --tolerance 0.001"),
        Command("the times", "lrea serve-bench --candidates 1000"),
    )
    versions = {"lrea": "0.0.0", "torch": "made up"}
    parts = (tuple(contenders), tuple(dropped), tuple(counters))
    return Measurements(question, *parts, MACHINE, load, versions, commands, "2026-01-01 00:00 UTC")


def whole(each: Contender, rises: float, make_ms: float | None, click: NewBehavior | None, *ages: float) -> Contender:
    """The contender with all else that is measured; `rises`: AUC by each doubling of the rows."""
    auc = each.auc.value or 0.0
    return replace(
        each,
        gauc=around(auc - 0.04, 0.004),
        ece=around(0.011, 0.002),
        ne=around(1.42 - auc, 0.003),
        make_ms=make_ms,
        new_behavior=click,
        aged=tuple(Aged(days, around(lost, 0.0002)) for days, lost in zip((1.0, 3.0), ages, strict=False)),
        curve=tuple(
            CurvePoint(share, int(DATA.train_rows * share), around(auc + rises * math.log2(share), 0.002))
            for share in SHARES
        ),
    )


def made_up_ship() -> Decision:
    """Made-up numbers of a large log: full attention is too slow, and its small records are as good."""
    anew, appended = NewBehavior(None, None), NewBehavior(1.0, 19_000.0)
    everyone = [
        whole(contender("din-short", 0.7579, 2.9, "short", record_bytes=0.0), 0.003, None, None),
        whole(contender("sdim", 0.7949, 3.4, record_bytes=14_300.0), 0.006, 0.9, NewBehavior(1.0, 4_600.0), 0.0005),
        whole(contender("category", 0.8026, 3.9, record_bytes=20_500.0), 0.005, 0.4, appended, 0.0002, 0.0007),
        whole(
            contender("din, clusters 16", 0.8041, 4.8, "compressed", record_bytes=8_340.0),
            *(0.009, 2.1, anew, 0.0004, 0.0012),
        ),
        whole(contender("sketch", 0.7960, 5.1, record_bytes=16_900.0), 0.006, 1.2, appended, 0.0002, 0.0006),
        whole(contender("sim (din attention)", 0.8027, 6.2, record_bytes=72_000.0), 0.006, 0.3, appended, 0.0002),
        whole(contender("lrea", 0.7954, 7.9, record_bytes=20_700.0), 0.007, 1.9, anew, 0.0005, 0.0014),
        whole(contender("twin", 0.7953, 9.4, record_bytes=64_000.0), 0.007, 1.1, appended, 0.0003, 0.0008),
        whole(contender("full attention", 0.8043, 26.0, "full", record_bytes=0.0), 0.0095, None, None),
    ]
    everyone = compared(everyone, 0.00012, 0.00015)
    counters = (
        counter("category in history", 0.7012, everyone, 0.001),
        counter("popularity of the item", 0.6103, everyone, 0.001),
    )
    dropped = (
        Dropped("mean", "cached", "one row: the mean", "search, 1/4 of the users", 0.7512, 0.7701, "Below the bar."),
        Dropped("eta", "cached", "nearest by hashes", "search, 1/2 of the users", 0.7699, 0.7811, "Below the bar."),
        Dropped("din, random 16", "compressed", "random rows", "compression", None, None, "Its training failed: NaN."),
    )
    question = replace(QUESTION, data=replace(DATA, best_auc=0.8369))
    return decide(measured(everyone, counters, dropped, question, Load(0.99, 0.97, 0.02, 2, 2)))


def made_up_not_shown() -> Decision:
    """Made-up numbers of a small log: the intervals are wider than all differences."""
    data = Data("made-up <small> log", "made-up numbers", 900, 7_000, 60_000, 20_000, 850, 1.0)
    question = Question(data, budget_ms=12, tolerance=0.0005, hours=0.5, seeds=(0, 1, 2), candidates=1000)
    everyone = [
        whole(contender("din-short", 0.6921, 2.6, "short", record_bytes=0.0), 0.006, None, None),
        whole(contender("category", 0.6969, 3.8, record_bytes=9_100.0), 0.008, 0.2, NewBehavior(1.0, 19_000.0)),
        whole(contender("lrea", 0.6942, 7.7, record_bytes=20_700.0), 0.009, 1.8, NewBehavior(None, None), 0.0003),
        whole(contender("full attention", 0.6972, 11.6, "full", record_bytes=0.0), 0.011, None, None),
    ]
    everyone = compared([replace(each, curve=_of_rows(each.curve, data)) for each in everyone], 0.0013, 0.0006)
    counters = (counter("item in history", 0.6240, everyone, 0.004),)
    return decide(measured(everyone, counters, (), question, Load(0.8, 0.5, 1.1, 2, 2)))


def _of_rows(curve: Sequence[CurvePoint], data: Data) -> tuple[CurvePoint, ...]:
    return tuple(replace(point, rows=int(data.train_rows * point.share)) for point in curve)


DECISIONS = {"made-up ship": made_up_ship, "made-up not shown": made_up_not_shown}
