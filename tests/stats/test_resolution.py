"""What a test split can resolve, against the bootstrap over users and against `compare`'s own number."""

from __future__ import annotations

import numpy as np
import pytest

from lrea_cli.stats import ranks as ranks_module
from lrea_cli.stats.bootstrap import auc_difference
from lrea_cli.stats.ranks import ALIKE, resolution
from tests.stats.simulated import auc_estimate


def clicks(rows: int = 4000, users: int = 400, seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, labels and users; a user's rows are alike."""
    rng = np.random.default_rng(seed)
    user = rng.integers(users, size=rows)
    taste = rng.normal(size=users)[user]
    score = taste + rng.normal(size=rows)
    return score, (score + rng.normal(size=rows) > 1).astype(float), user


def test_the_error_is_that_of_the_bootstrap_over_users() -> None:
    scores, labels, users = clicks()
    found = resolution({"weak": np.sin(scores * 9), "strong": -scores}, labels, users, len(np.unique(users)))
    assert found is not None
    assert found.counter == "strong"  # .1 is as far from 1/2 as .9
    error = auc_estimate(scores, labels, users).standard_error
    assert error is not None
    assert found.standard_error == pytest.approx(error, rel=0.05)


def test_unrelated_scores_have_the_difference_that_compare_resolves() -> None:
    rng = np.random.default_rng(1)
    labels, users = rng.integers(0, 2, 3000).astype(float), np.arange(3000)
    one, other = rng.normal(size=(2, 3000))
    found = resolution({"one": one}, labels, users, 3000)
    measured = auc_difference(one, other, labels, users).resolvable
    assert found is not None
    assert found.unrelated == pytest.approx(measured, rel=0.06)
    assert found.alike == pytest.approx(found.unrelated * np.sqrt(1 - ALIKE))


def test_more_users_than_were_read_lower_it_by_the_root() -> None:
    scores, labels, users = clicks()
    read = len(np.unique(users))
    some, more = (resolution({"s": scores}, labels, users, count) for count in (read, 4 * read))
    assert some is not None
    assert more is not None
    assert more.alike == pytest.approx(some.alike / 2)


def test_there_is_none_where_nothing_can_err() -> None:
    scores, labels, users = clicks(200, 40)
    assert resolution({"constant": np.zeros(200)}, labels, users, 40) is None
    assert resolution({"perfect": labels}, labels, users, 40) is None
    assert resolution({"s": scores}, np.ones(200), users, 40) is None
    assert resolution({"s": scores}, labels, np.zeros(200), 1) is None


def test_a_variance_that_rounding_took_below_zero_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks_module, "delong", lambda *_: (np.array([0.7]), np.array([[-1e-19]])))
    assert resolution({"item_count": np.arange(4.0)}, np.array([0, 1, 0, 1]), np.arange(4), 4) is None
