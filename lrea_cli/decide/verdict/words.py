"""Names and numbers as the sentences of a verdict have them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lrea_cli.console import show
from lrea_cli.console.counts import counted
from lrea_cli.decide.results import Contender, Question
from lrea_cli.decide.verdict.answer import More, Way
from lrea_cli.stats.estimates import Estimate

MOST_NAMED = 3
"""Contenders that a sentence names; of more it says how many."""


def code(name: str) -> str:
    """A name as Markdown shows it letter by letter: on one line, between backticks."""
    return f"`{' '.join(name.replace('`', chr(39)).split())}`"


def places(tolerance: float) -> int:
    """Decimals that show a tenth of the tolerance, 4 or more."""
    return max(4, 1 - math.floor(math.log10(tolerance)))


def change(value: float, question: Question) -> str:
    """`0.00050`: an AUC that is lost, to a tenth of the tolerance."""
    text = f"{value:.{places(question.tolerance)}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def tolerance(question: Question) -> str:
    """`0.0005`."""
    return f"{question.tolerance:g}"


def loss(estimate: Estimate, question: Question, kind: str = "") -> str:
    """`0.00012 (-0.00020 to 0.00044)`: value and 95% interval; `kind`: what the text says before the interval."""
    if estimate.value is None:
        return show.NONE
    if estimate.ci is None:
        return f"{change(estimate.value, question)} (no interval)"
    low, high = (change(end, question) for end in estimate.ci)
    return f"{change(estimate.value, question)} ({kind}{low} to {high})"


def ms(value: float | None) -> str:
    """`3.12 ms`."""
    return f"{show.milliseconds(value)} ms"


def budget(question: Question) -> str:
    """`10 ms`."""
    return f"{question.budget_ms:g} ms"


def record_of(contender: Contender) -> str:
    """`a record of 20.7 kB`."""
    size = contender.record_bytes
    return {None: "a record of unknown size", 0: "no record"}.get(size) or f"a record of {show.size(size or 0)}"


def cost_of(contender: Contender) -> str:
    """`p99 3.12 ms, a record of 20.7 kB`."""
    return f"p99 {ms(contender.p99_ms.value)}, {record_of(contender)}"


def named(names: Sequence[str]) -> str:
    """`a, b and c`; of many `a, b, c and 4 more`."""
    shown = [code(name) for name in names[:MOST_NAMED]]
    if len(names) > MOST_NAMED:
        return f"{', '.join(shown)} and {len(names) - MOST_NAMED} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def more_data(more: More, question: Question) -> str:
    """What more data would show of a contender, and the assumption behind it."""
    name, note = code(more.name), f" {more.note}" if more.note else ""
    if not more.ways:
        return f"How many more data would show where {name} stands cannot be said.{note}"
    ways = " or ".join(_way(way, question) for way in more.ways)
    than = "less" if more.shows == "within" else "more"
    return (
        f"If the losses stay as they were measured, {ways} would show that {name} loses {than} than "
        f"{tolerance(question)}.{note}"
    )


def _way(way: Way, question: Question) -> str:
    """`24,000 test users instead of 10,000 (17 days instead of 7)`."""
    data, parts = question.data, []
    if way.users != data.test_users:
        days = data.test_days * way.users / data.test_users
        span = f"{_days(days)} test days instead of {_days(data.test_days)}, if as many new users come a day"
        parts.append(f"{way.users:,} test users instead of {data.test_users:,} ({span})")
    if way.seeds != len(question.seeds):
        parts.append(f"{counted(way.seeds, 'seed')} of training instead of {len(question.seeds)}")
    return " with ".join(parts)


def _days(days: float) -> str:
    """`0.5`, `17`, `1,200`."""
    return f"{days:.2g}" if days < 10 else f"{days:,.0f}"
