"""What `each_once` leaves in the default selection: every value of every parameter, as few cases as that takes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings

from tests.selection import ALL, BY_DEFAULT, examples, one_by_default, repeating


def cases_of(joint: list[str], *values: Sequence[Any], fixture: Sequence[object] | None = None) -> list[Any]:
    """As pytest makes them: all combinations of the lists, each of the parameters that `joint` names."""
    marks = [pytest.mark.parametrize(names, []).mark for names in joint]
    made = []
    for *of_marks, other in itertools.product(*values, fixture or [None]):
        params: dict[str, object] = {} if fixture is None else {"fixture": other}
        for names, each in zip(joint, of_marks, strict=True):
            params |= dict(zip(names.split(", "), each, strict=True))
        callspec = SimpleNamespace(params=params)
        made.append(SimpleNamespace(callspec=callspec, iter_markers=lambda name: iter(marks)))
    return made


def kept(cases: list[Any]) -> list[dict[str, Any]]:
    slow = repeating(cases)
    return [case.callspec.params for case in cases if case not in slow]


@pytest.mark.parametrize(("first", "second", "third"), [(1, 1, 1), (5, 2, 3), (2, 5, 3), (3, 2, 7), (4, 4, 4)])
def test_each_value_is_kept_in_as_many_cases_as_the_longest_parameter_has(first: int, second: int, third: int) -> None:
    values = [[(f"{name}{n}",) for n in range(count)] for name, count in (("a", first), ("b", second))]
    found = kept(cases_of(["a", "b"], *values, fixture=[f"c{n}" for n in range(third)]))
    assert len(found) == max(first, second, third)
    for name, count in (("a", first), ("b", second), ("fixture", third)):
        assert len({case[name] for case in found}) == count


def test_parameters_of_one_mark_stay_together() -> None:
    settings_, field, other = [{"k": 1}, {"k": 1}, {"k": 2}], ["keys", "values", "keys"], [("x",), ("y",)]
    found = kept(cases_of(["settings, field", "other"], list(zip(settings_, field, strict=True)), other))
    assert [(case["settings"]["k"], case["field"], case["other"]) for case in found] == [
        (1, "keys", "x"),
        (1, "values", "y"),
        (2, "keys", "x"),
    ]


def test_of_no_case_none_is_slow() -> None:
    assert repeating([]) == []


def test_all_values_but_the_first_are_slow() -> None:
    first, *others = one_by_default("a", "b", "c")
    assert first == "a"
    assert [(*other.values, *(mark.name for mark in other.marks)) for other in others] == [("b", "slow"), ("c", "slow")]


@pytest.mark.parametrize(("count", "by_default"), [(100, 30), (6, 2), (1, 1), (15, 5)])
def test_some_examples_are_tried_by_default_and_all_in_ci(
    monkeypatch: pytest.MonkeyPatch, count: int, by_default: int
) -> None:
    for tried, expected in ((BY_DEFAULT, by_default), (ALL, count)):
        with monkeypatch.context() as patch:
            patch.setattr("tests.selection.settings", SimpleNamespace(default=SimpleNamespace(max_examples=tried)))
            assert examples(count) == expected
    default = settings.default
    assert default is not None
    assert default.max_examples in (BY_DEFAULT, ALL)
    assert default.derandomize
