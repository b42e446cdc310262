"""Runs that differ in their seed are one method: its difference is that of the statistics, over seeds and users."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from coverage import Case, draw

from lrea_cli.score.compare_methods import compare_methods
from lrea_cli.score.kept_scores import KeptScores, Subject
from lrea_cli.stats.methods import GIVEN_MODELS, OVER_SEEDS, method_difference, paired_difference
from lrea_cli.stats.metrics.auc import auc
from lrea_cli.stats.ranks import UserClusters

DRAWN = draw(Case(3, 0.1, 0.1), np.random.default_rng(2))
CLUSTERS = UserClusters(DRAWN.labels, DRAWN.users)


def subject(recipe: str, seed: int | None, scores: np.ndarray, run: str | None = None) -> Subject:
    """Of which only the served form has these scores."""
    rows, name = np.arange(len(scores)), f"{recipe}-{seed}"
    other = np.zeros(len(scores))
    run = run or name
    kept = KeptScores("data", run, recipe, "test", "records", DRAWN.users, rows, rows, DRAWN.labels, other, scores)
    return Subject(name, kept, "", recipe, seed)


A = [subject("a", seed, scores) for seed, scores in enumerate(DRAWN.a)]
B = [subject("b", seed, scores) for seed, scores in enumerate(DRAWN.b)]
PLACED_A, PLACED_B = ([CLUSTERS.place(scores) for scores in side] for side in (DRAWN.a, DRAWN.b))


def test_the_difference_is_over_seeds_and_users_in_the_order_of_the_first() -> None:
    first, other = compare_methods([A[0], B[0], B[2], A[1], A[2], B[1]], "served")
    wanted = method_difference(PLACED_A, PLACED_B, CLUSTERS)
    assert (first.runs, first.method, first.seeds, first.difference) == (("a-0", "a-1", "a-2"), "a", (0, 1, 2), None)
    assert first.auc == pytest.approx(np.mean([auc(s, DRAWN.labels) for s in DRAWN.a]))  # pyright: ignore
    assert (other.runs, other.interval) == (("b-0", "b-2", "b-1"), OVER_SEEDS)
    assert other.difference == pytest.approx(wanted.value)
    assert other.ci == pytest.approx(wanted.ci)
    assert other.resolved == wanted.resolved
    assert other.resolvable == pytest.approx(wanted.resolvable)
    assert compare_methods([A[0], B[0], A[1], B[1]], "trained")[1].difference == 0


def test_a_seed_counts_once_and_one_seed_says_nothing_of_others() -> None:
    twice = replace(B[0], name="again")
    _, other = compare_methods([*A, B[0], twice], "served")
    assert (other.runs, other.interval) == (("b-0",), GIVEN_MODELS)
    assert other.ci == pytest.approx(method_difference(PLACED_A, PLACED_B[:1], CLUSTERS).ci)


@pytest.mark.parametrize("subjects", [A, [A[0], B[0]], [A[0], replace(B[0], seed=None), replace(B[1], seed=None)]])
def test_one_recipe_or_one_seed_of_each_is_no_comparison_of_methods(subjects: list[Subject]) -> None:
    assert compare_methods(subjects, "served") == []


def test_records_of_the_same_runs_are_paired_by_run() -> None:
    smaller = [subject("smaller", s.seed, np.round(s.scores.served, 1), s.run) for s in reversed(A)]
    _, other = compare_methods([*A, *smaller], "served")
    placed = [CLUSTERS.place(np.round(scores, 1)) for scores in DRAWN.a]
    wanted = paired_difference(PLACED_A, placed, CLUSTERS)
    assert other.ci == pytest.approx(wanted.ci)
    assert other.ci != pytest.approx(method_difference(PLACED_A, placed, CLUSTERS).ci)
