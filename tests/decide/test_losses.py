"""Losses of all pairs: signs, who is paired with whom, and what part of the error is the seeds'."""

from __future__ import annotations

import math
from statistics import variance

import numpy as np
import pytest

from lrea_cli.decide.losses import Scored, counter_losses, losses_of
from lrea_cli.stats.methods import OVER_SEEDS, method_difference, paired_difference
from lrea_cli.stats.metrics.auc import auc
from lrea_cli.stats.ranks import UserClusters

SEEDS, ROWS = 3, 600
RNG = np.random.default_rng(5)
LABELS, USERS = (RNG.random(ROWS) < 0.4).astype(float), np.repeat(np.arange(60), 10)
CLUSTERS = UserClusters(LABELS, USERS)
SCORES = {
    name: [LABELS * lift + RNG.normal(size=ROWS) for _ in range(SEEDS)] for name, lift in (("din", 1.0), ("lrea", 0.9))
}
SCORES["din, recent"] = [scores + 0.3 * RNG.normal(size=ROWS) for scores in SCORES["din"]]
PLACED = {name: tuple(map(CLUSTERS.place, runs)) for name, runs in SCORES.items()}
DIN, LREA = tuple(f"din-{n}" for n in range(SEEDS)), tuple(f"lrea-{n}" for n in range(SEEDS))
SCORED = [Scored(name, runs, LREA if name == "lrea" else DIN) for name, runs in PLACED.items()]


def mean_auc(name: str) -> float:
    return float(np.mean([auc(scores, LABELS) or math.nan for scores in SCORES[name]]))


def test_a_loss_is_the_rivals_auc_minus_the_own() -> None:
    losses = losses_of(SCORED, CLUSTERS)
    assert set(losses) == set(SCORES)
    for own, against in losses.items():
        assert {loss.against for loss in against} == set(SCORES) - {own}
        for loss in against:
            assert loss.auc.value == pytest.approx(mean_auc(loss.against) - mean_auc(own))
            assert loss.auc.ci is not None
            assert loss.auc.ci[0] < (loss.auc.value or 0.0) < loss.auc.ci[1]


def test_both_sides_of_a_pair_say_the_same() -> None:
    losses = losses_of(SCORED, CLUSTERS)
    (there,) = [loss for loss in losses["din"] if loss.against == "lrea"]
    (back,) = [loss for loss in losses["lrea"] if loss.against == "din"]
    assert there.auc == method_difference(PLACED["din"], PLACED["lrea"], CLUSTERS)
    again = method_difference(PLACED["lrea"], PLACED["din"], CLUSTERS)
    assert back.auc.value == pytest.approx(again.value)
    assert back.auc.ci == pytest.approx(again.ci)
    assert back.auc.seeds == there.auc.seeds


def test_ways_to_serve_the_same_models_are_compared_model_by_model() -> None:
    losses = losses_of(SCORED, CLUSTERS)
    (loss,) = [loss for loss in losses["din, recent"] if loss.against == "din"]
    paired = paired_difference(PLACED["din, recent"], PLACED["din"], CLUSTERS)
    apart = method_difference(PLACED["din, recent"], PLACED["din"], CLUSTERS)
    assert (loss.auc.value, *(loss.auc.ci or ())) == pytest.approx((paired.value, *(paired.ci or ())))
    assert loss.auc.seeds is not None
    assert apart.seeds is not None
    assert loss.auc.seeds.variance < apart.seeds.variance


def test_a_counter_has_no_seed_and_its_rivals_have_theirs() -> None:
    counts = LABELS + RNG.normal(size=ROWS)
    (loss, *_) = counter_losses(CLUSTERS.place(counts), SCORED, CLUSTERS)
    assert loss.against == "din"
    aucs = [auc(scores, LABELS) or math.nan for scores in SCORES["din"]]
    assert loss.auc.value == pytest.approx(np.mean(aucs) - (auc(counts, LABELS) or math.nan))
    assert loss.auc.cover == OVER_SEEDS
    assert loss.auc.seeds is not None
    assert loss.auc.seeds.variance == pytest.approx(variance(aucs) / SEEDS)
    assert loss.auc.seeds.freedom == pytest.approx(SEEDS - 1)


def test_one_class_has_no_loss() -> None:
    clusters = UserClusters(np.zeros(4), np.arange(4))
    runs = tuple(clusters.place(np.arange(4.0)) for _ in range(2))
    losses = losses_of([Scored("a", runs, ("1", "2")), Scored("b", runs, ("3", "4"))], clusters)
    assert [loss.auc.value for each in losses.values() for loss in each] == [None, None]
