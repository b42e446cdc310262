"""A decision comes back from JSON as it was; NaN becomes None; an impossible question is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from lrea_cli.decide.results import UNKNOWN, Question, finite
from lrea_cli.decide.verdict.answer import read_decision
from lrea_cli.decide.verdict.verdict import decide
from lrea_cli.errors import DamagedArtifact, UserError
from lrea_cli.stats.estimates import Estimate
from tests.decide.made_up import DECISIONS, QUESTION, contender, measured


@pytest.mark.parametrize("name", DECISIONS)
def test_a_decision_comes_back_from_json(name: str, tmp_path: Path) -> None:
    decision = DECISIONS[name]()
    decision.write(tmp_path / "decision.json")
    assert read_decision(tmp_path / "decision.json") == decision
    assert decide(read_decision(tmp_path / "decision.json").measured) == decision, "the verdict follows from them"


def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "decision.json"
    DECISIONS["made-up ship"]().write(path)
    path.write_text(path.read_text().replace("0.8043", "0.9043"))
    with pytest.raises(DamagedArtifact):
        read_decision(path)


def test_nan_and_infinity_are_written_as_null(tmp_path: Path) -> None:
    wild = contender("a", 0.8, 5.0, gauc=Estimate(math.inf, (0.1, math.nan), -math.inf), make_ms=math.nan)
    decide(measured([wild])).write(tmp_path / "x.json")
    (written,) = json.loads((tmp_path / "x.json").read_text())["measured"]["contenders"]
    assert written["gauc"] == {"value": None, "ci": None, "standard_error": None}
    assert written["make_ms"] is None


def test_what_is_finite_stays() -> None:
    each = contender("a", 0.8, 5.0)
    assert finite(each) == each
    assert finite(replace(each, auc=Estimate(0.8, (0.7, math.inf), 0.1))).auc == Estimate(0.8, None, 0.1)
    assert finite(replace(each, auc=Estimate(math.nan, None, None))).auc == UNKNOWN


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("option", ["budget_ms", "tolerance", "hours"])
def test_a_question_without_a_sensible_number_is_refused(option: str, value: float) -> None:
    with pytest.raises(UserError, match=f"--{option.replace('_', '-')}"):
        replace(QUESTION, **{option: value})


@pytest.mark.parametrize("seeds", [(), (1, 1)])
def test_seeds_must_be_different(seeds: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="seeds"):
        Question(QUESTION.data, 1, 1, 1, seeds, 1)


def test_names_must_be_different() -> None:
    with pytest.raises(ValueError, match="'a'"):
        measured([contender("a", 0.8, 5.0), contender("a", 0.7, 6.0)])
