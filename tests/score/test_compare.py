"""Kept scores side by side: the numbers are those of the statistics, and only the same rows are compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lrea_cli.errors import UserError
from lrea_cli.score.kept_scores import Compared, KeptScores, Subject, compare_scores
from lrea_cli.stats.bootstrap import auc_difference
from lrea_cli.stats.metrics import METRICS
from lrea_cli.stats.metrics.auc import auc
from lrea_cli.stats.metrics.gauc import gauc
from tests.stats.simulated import simulate

a, b, labels, users = simulate((1,))


def subject(name: str, trained: np.ndarray, served: np.ndarray, **changed: object) -> Subject:
    rows = np.arange(len(labels))
    scores = KeptScores("hash", name, f"of-{name}", "test", "records", users, rows, rows, labels, trained, served)
    return Subject(name, replace(scores, **changed), f"lrea eval --run {name}")


def test_each_is_compared_with_the_first() -> None:
    subjects = [subject("one", a, b), subject("two", b, a), subject("three", a, a + b)]
    found = compare_scores(subjects, "trained")
    assert [(row.run, row.method) for row in found] == [("one", "of-one"), ("two", "of-two"), ("three", "of-three")]
    assert [row.metrics["auc"] for row in found] == [auc(a, labels), auc(b, labels), auc(a, labels)]
    assert [row.metrics["gauc"] for row in found] == [gauc(s, labels, users).value for s in (a, b, a)]
    wanted = auc_difference(a, b, labels, users)
    assert found[0] == Compared("one", "of-one", found[0].metrics, None, None, False, None)
    assert set(found[0].to_dict()) > {metric.name for metric in METRICS}
    assert (found[1].difference, found[1].ci) == (wanted.value, wanted.ci)
    assert (found[1].resolved, found[1].resolvable) == (wanted.resolved, wanted.resolvable)
    assert (found[2].difference, found[2].ci, found[2].resolved) == (0, (0, 0), False)


def test_the_served_form_is_another() -> None:
    subjects = [subject("one", a, b), subject("two", a, a)]
    assert compare_scores(subjects, "trained")[1].difference == 0
    assert compare_scores(subjects, "served")[1].difference == auc(a, labels) - auc(b, labels)  # pyright: ignore


def test_another_dataset_is_refused() -> None:
    with pytest.raises(UserError, match="'one' and 'two' were scored on different datasets") as error:
        compare_scores([subject("one", a, a), subject("two", a, a, made_from="other")], "served")
    assert "lrea eval --run two" in error.value.remedy


@pytest.mark.parametrize("column", ["user", "request", "item", "label"])
def test_other_rows_are_refused(column: str) -> None:
    other = subject("two", a, a)
    changed = getattr(other.scores, column).copy()
    changed[3] += 1
    with pytest.raises(UserError, match="different rows of test") as error:
        compare_scores([subject("one", a, a), subject("two", a, a, **{column: changed})], "served")
    assert "lrea eval --run two" in error.value.remedy


def test_fewer_rows_are_refused() -> None:
    fewer = {name: getattr(subject("x", a, a).scores, name)[:-1] for name in ("user", "request", "item", "label")}
    with pytest.raises(UserError, match="different rows"):
        compare_scores([subject("one", a, a), subject("two", a[:-1], a[:-1], **fewer)], "served")
