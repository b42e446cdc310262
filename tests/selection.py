"""What of a test runs by default, and what in CI alone: combinations of parameters, and examples of hypothesis."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import ceil
from typing import Any

import pytest
from hypothesis import settings

ALL = 100
BY_DEFAULT = 30
"""Examples of a test that does not say how many."""


def choose_examples(by_default: bool) -> None:
    """How many examples hypothesis tries; always the same ones."""
    count = BY_DEFAULT if by_default else ALL
    settings.register_profile("lrea", derandomize=True, deadline=None, max_examples=count)
    settings.load_profile("lrea")


def examples(count: int) -> int:
    """So many in CI; by default the same share of them as of other tests."""
    assert settings.default is not None
    return ceil(count * settings.default.max_examples / ALL)


def one_by_default(first: object, *others: object) -> list[Any]:
    """Values of a parameter of which all but the first are slow."""
    return [first, *(pytest.param(value, marks=pytest.mark.slow) for value in others)]


def repeating(cases: Sequence[pytest.Function]) -> list[pytest.Function]:
    """Those that show no value for the first time, where values take turns as those of the longest parameter go on.

    Args:
        cases: all combinations of one test; values of one `parametrize` stay together.
    """
    columns = list(zip(*map(_values, cases), strict=True))
    order = [{value: place for place, value in enumerate(dict.fromkeys(column))} for column in columns]
    longest = max(range(len(order)), key=lambda number: len(order[number]), default=0)
    repeated = []
    for case, values in zip(cases, zip(*columns, strict=True), strict=True):
        places = [known[value] for known, value in zip(order, values, strict=True)]
        if any(place != places[longest] % len(known) for known, place in zip(order, places, strict=True)):
            repeated.append(case)
    return repeated


def _values(case: pytest.Function) -> list[Hashable]:
    """One key for each `parametrize` and for each fixture with parameters; the same object is the same value."""
    values = dict(case.callspec.params)
    joint = [mark.args[0] for mark in case.iter_markers("parametrize")]
    split = [[n.strip() for n in names.split(",")] if isinstance(names, str) else list(names) for names in joint]
    alone = [[name] for name in values if not any(name in names for names in split)]
    return [tuple(id(values[name]) for name in names) for names in (*split, *alone)]
