"""The planted data set keeps its promises: statistics of real logs, known probabilities, presets."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from lrea_cli.prepare.planted import dataset as planted_module
from lrea_cli.prepare.planted.dataset import (
    AGE_BAND_EFFECT,
    HOUR_EFFECT,
    Planted,
    generate,
)
from lrea_cli.prepare.planted.label import AGE_EXPONENT, AGE_SCALE, aged, category_count, closeness
from lrea_cli.prepare.planted.options import Lengths, Preset
from lrea_cli.prepare.planted.streams import FIRST_RAW_ITEM, LAST_DAY, Histories, Universe, draw_universe
from lrea_cli.prepare.sources.synthetic import Synthetic
from lrea_cli.stats.metrics.auc import auc
from tests.selection import one_by_default

# The design's table of real Taobao histories: equal categories at distance 1, 2, 4, ...; effective categories
# at p10, p50, p90; share of repeats. `week`: users of 50 behaviors or more; `long`: of about 1,000.
REAL_SHARES = {
    "long": (0.50, 0.39, 0.27, 0.19, 0.13, 0.09, 0.06, 0.04, 0.03, 0.01),
    "week": (0.41, 0.36, 0.27, 0.19, 0.14, 0.10, 0.08),
}
REAL_EFFECTIVE = {"long": (14, 37, 66), "week": (3.9, 10.3, 19.5)}
REAL_REPEATS = {"long": 0.41, "week": 0.21}
FEWEST = {"long": 900, "week": 50}


@cache
def planted(
    preset: Preset = "drift", lengths: Lengths = "long", users: int = 1200, field_effect: float = 0.4
) -> Planted:
    return generate(Synthetic(preset=preset, lengths=lengths, users=users, field_effect=field_effect))


def streams(data: Planted, fewest: int) -> list[np.ndarray]:
    """(length, 2) item and category of each user with at least `fewest` behaviors."""
    lengths = np.bincount(data.behaviors.user, minlength=len(data.age_band))
    rows = np.stack([data.behaviors.item, data.behaviors.category], axis=1)
    return [s for s in np.split(rows, np.cumsum(lengths)[:-1]) if len(s) >= fewest]


def equal_share(users: list[np.ndarray], distance: int) -> float:
    equal = [s[distance:, 1] == s[:-distance, 1] for s in users if len(s) > distance]
    return float(np.concatenate(equal).mean())


def as_histories(data: Planted) -> Histories:
    lengths = np.bincount(data.behaviors.user, minlength=len(data.age_band))
    return Histories(lengths, np.r_[0, np.cumsum(lengths)], data.behaviors.item - FIRST_RAW_ITEM, data.behaviors.time)


def requests(data: Planted) -> tuple[Universe, Histories, np.ndarray, np.ndarray]:
    """Universe, histories, (users, 6) history lengths and (users, 6, 8) candidates, as labels saw them."""
    histories = as_histories(data)
    history_length = histories.before(data.exposures.user[::8], data.exposures.time[::8]).reshape(-1, 6)
    candidates = (data.exposures.item - FIRST_RAW_ITEM).reshape(-1, 6, 8)
    return draw_universe(np.random.default_rng([2025, 0])), histories, history_length, candidates


@pytest.mark.parametrize("lengths", ["long", "week"])
def test_categories_come_back_as_in_real_logs(lengths: Lengths) -> None:
    users = streams(planted(lengths=lengths), FEWEST[lengths])
    measured = [equal_share(users, 2**power) for power in range(len(REAL_SHARES[lengths]))]
    assert measured == pytest.approx(REAL_SHARES[lengths], abs=0.035)


@pytest.mark.parametrize("lengths", ["long", "week"])
def test_effective_categories_as_in_real_logs(lengths: Lengths) -> None:
    counts = [np.unique(s[:, 1], return_counts=True)[1] for s in streams(planted(lengths=lengths), FEWEST[lengths])]
    effective = [c.sum() ** 2 / (c**2).sum() for c in counts]
    assert np.percentile(effective, [10, 50, 90]) == pytest.approx(REAL_EFFECTIVE[lengths], rel=0.25)
    if lengths == "long":
        assert np.median([len(c) for c in counts]) == pytest.approx(161, rel=0.2)


@pytest.mark.parametrize("lengths", ["long", "week"])
def test_repeats_as_in_real_logs(lengths: Lengths) -> None:
    users = streams(planted(lengths=lengths), FEWEST[lengths])
    repeats = np.mean([1 - len(np.unique(s[:, 0])) / len(s) for s in users])
    assert repeats == pytest.approx(REAL_REPEATS[lengths], abs=0.03)


def test_lengths() -> None:
    long = as_histories(planted()).lengths
    assert (long.min(), long.max()) == (0, 1000)
    assert (long == 0).any()
    assert (long == 1).any()
    assert (long == 1000).mean() > 0.1
    week = as_histories(planted(lengths="week")).lengths
    assert np.median(week) == pytest.approx(77, rel=0.1)
    assert np.percentile(week, 90) == pytest.approx(200, rel=0.1)


def test_same_seed_same_bytes_other_seed_other_bytes() -> None:
    def as_bytes(seed: int) -> bytes:
        data = generate(Synthetic(users=40, seed=seed))
        columns = [*data.behaviors, *data.exposures, data.age_band]
        return b"".join(c.tobytes() for c in columns)

    assert as_bytes(1) == as_bytes(1)
    assert as_bytes(1) != as_bytes(2)


def test_requests_stand_on_their_days_after_a_history_that_goes_on() -> None:
    data = planted()
    users = len(data.age_band)
    time = data.exposures.time.reshape(users, 6, 8)
    assert (time == time[:, :, :1]).all()
    assert (np.diff(time[:, :, 0]) > 0).all(), "a user's requests are told apart by their time"
    assert (LAST_DAY - time[:, :, 0] // 86_400 == [4, 3, 2, 1, 0, 0]).all()
    assert (data.exposures.user == np.repeat(np.arange(users), 48)).all()
    assert (data.behaviors.time // 86_400).max() == LAST_DAY
    assert (np.diff(data.behaviors.time)[np.diff(data.behaviors.user) == 0] >= 0).all()
    _, histories, history_length, _ = requests(data)
    assert (history_length[:, -1] > history_length[:, 0])[histories.lengths > 500].mean() > 0.8


def test_candidates_are_distinct_and_a_mix() -> None:
    universe, histories, history_length, candidates = requests(planted())
    assert all(len(set(request)) == 8 for request in candidates.reshape(-1, 8).tolist())
    _, repeat = closeness(universe, histories, history_length, candidates, 16.0, np.ones_like)
    assert 0.2 < (repeat > 0).mean() < 0.35


def test_labels_follow_their_probability() -> None:
    exposures = planted().exposures
    p, label = exposures.probability, exposures.label
    assert set(np.unique(label)) == {0, 1}
    for part in np.array_split(np.argsort(p), 10):
        error = np.sqrt((p[part] * (1 - p[part])).sum()) / len(part)
        assert label[part].mean() == pytest.approx(p[part].mean(), abs=4 * error)
    by_place = label.reshape(-1, 8).mean(axis=0)
    assert np.ptp(by_place) < 0.05, "a candidate's place in its request must not tell its label"


def test_best_auc_is_believable_and_old_behaviors_matter() -> None:
    """Logistic regression on the label's terms reaches the best AUC with all behaviors, not with 64."""
    data = planted()
    universe, histories, history_length, candidates = requests(data)
    label = data.exposures.label.reshape(candidates.shape)
    hour = data.exposures.time.reshape(candidates.shape) // 3600 % 24
    fixed = [universe.quality[candidates], HOUR_EFFECT[hour], AGE_BAND_EFFECT[data.age_band][:, None, None]]

    def oracle_auc(newest: float) -> float | None:
        sums = closeness(universe, histories, history_length, candidates, 16.0, lambda age: aged(age) * (age < newest))
        terms = [*fixed, np.log1p(sums[0] / 0.1), np.log1p(sums[1])]
        x = np.stack([np.broadcast_to(t, candidates.shape) for t in terms], axis=-1)
        model = LogisticRegression().fit(x[:, :3].reshape(-1, 5), label[:, :3].ravel())
        score = model.decision_function(x[:, 4:].reshape(-1, 5))
        return auc(score, label[:, 4:].ravel())

    assert 0.80 < data.bayes_auc < 0.88
    assert 0.75 < data.bayes_gauc < data.bayes_auc
    assert oracle_auc(np.inf) == pytest.approx(data.bayes_auc, abs=0.005)
    assert oracle_auc(64) < data.bayes_auc - 0.03


@pytest.mark.parametrize("fades", [True, False])
def test_closeness_equals_its_formula(fades: bool) -> None:
    universe = draw_universe(np.random.default_rng(0))
    rng = np.random.default_rng(1)
    lengths = np.array([0, 1, 7, 0, 40])
    item = rng.integers(0, 12, lengths.sum())
    histories = Histories(lengths, np.r_[0, np.cumsum(lengths)], item, np.zeros_like(item))
    history_length = np.sort(rng.integers(0, lengths[:, None] + 1, (5, 6)), axis=1)
    candidates = rng.integers(0, 12, (5, 6, 8))
    close, repeat = np.zeros((2, 5, 6, 8))
    for user, request, place in np.ndindex(5, 6, 8):
        candidate = candidates[user, request, place]
        seen = item[histories.offsets[user] :][: history_length[user, request]][::-1]
        for age, behavior in enumerate(seen):
            weight = (1 + age / AGE_SCALE) ** -AGE_EXPONENT if fades else 1.0
            similarity = universe.vector[behavior] @ universe.vector[candidate]
            close[user, request, place] += weight * np.exp(9.0 * (similarity - 1))
            repeat[user, request, place] += weight * (behavior == candidate)
    fast = closeness(universe, histories, history_length, candidates, 9.0, aged if fades else np.ones_like)
    np.testing.assert_allclose(fast, (close, repeat), rtol=1e-4, atol=1e-6)


def test_field_effect_of_50_decides_alone() -> None:
    data = planted(users=300, field_effect=50.0)
    clicked = AGE_BAND_EFFECT[data.age_band[data.exposures.user]] > 0
    assert (data.exposures.label == clicked).mean() > 0.999
    assert data.bayes_auc > 0.999


def test_exchangeable_has_the_same_behaviors_in_an_order_without_signal() -> None:
    drift, shuffled = streams(planted(), 1), streams(planted(preset="exchangeable"), 1)
    assert all(np.array_equal(np.sort(a[:, 0]), np.sort(b[:, 0])) for a, b in zip(drift, shuffled, strict=True))
    long = [s for s in shuffled if len(s) >= 900]
    assert equal_share(long, 1) == pytest.approx(equal_share(long, 256), abs=0.005)


def test_exact_item_counts_repeats_and_nothing_else_of_a_history() -> None:
    data = planted(preset="exact-item")
    universe, histories, history_length, candidates = requests(data)
    _, repeat = closeness(universe, histories, history_length, candidates, 16.0, aged)
    exposures = data.exposures
    logit = np.log(exposures.probability / (1 - exposures.probability))
    band, hour = data.age_band[exposures.user], exposures.time // 3600 % 24
    rest = 0.6 * universe.quality[candidates.ravel()] + 0.4 * AGE_BAND_EFFECT[band] + HOUR_EFFECT[hour]
    from_history = logit - rest - (logit - rest).min()
    assert from_history[repeat.ravel() == 0] == pytest.approx(0, abs=1e-9)
    assert (from_history[repeat.ravel() > 0] > 0.1).all()


def test_category_count_counts_the_candidates_category_and_nothing_else_of_a_history() -> None:
    data = planted(preset="category-count")
    _, histories, history_length, candidates = requests(data)
    exposures, categories = data.exposures, data.behaviors.category
    count = []
    for (user, request, _), category in np.ndenumerate(exposures.category.reshape(candidates.shape)):
        start = histories.offsets[user]
        count.append((categories[start : start + history_length[user, request]] == category).sum())
    universe = draw_universe(np.random.default_rng([2025, 0]))
    assert category_count(universe, histories, history_length, candidates).ravel().tolist() == count
    logit = np.log(exposures.probability / (1 - exposures.probability))
    band, hour = data.age_band[exposures.user], exposures.time // 3600 % 24
    rest = 0.6 * universe.quality[candidates.ravel()] + 0.4 * AGE_BAND_EFFECT[band] + HOUR_EFFECT[hour]
    assert logit - rest == pytest.approx(-2.9 + np.log1p(count), abs=1e-6)


def test_category_count_is_told_by_the_count_far_better_than_by_whether_there_is_one() -> None:
    """So a summary that keeps each category's count is the right answer, and one that keeps which were seen is not."""
    data = planted(preset="category-count")
    universe, histories, history_length, candidates = requests(data)
    label = data.exposures.label
    count = category_count(universe, histories, history_length, candidates).ravel().astype(float)
    of_count, of_any = auc(count, label), auc(np.minimum(count, 1.0), label)
    assert of_count is not None
    assert of_any is not None
    assert data.bayes_auc is not None
    assert of_any + 0.08 < of_count < data.bayes_auc - 0.02
    assert 0.84 < data.bayes_auc < 0.88
    assert 0.25 < label.mean() < 0.31


def test_no_drift_makes_all_ages_alike() -> None:
    still = streams(generate(Synthetic(users=300, drift=0.0)), 900)
    assert equal_share(still, 1) == pytest.approx(equal_share(still, 256), abs=0.02)


def test_users_of_all_blocks_are_numbered_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted_module, "USERS_PER_BLOCK", 16)
    data = generate(Synthetic(users=40, lengths="week"))
    assert len(data.age_band) == 40
    assert (data.exposures.user == np.repeat(np.arange(40), 48)).all()
    assert (np.diff(data.behaviors.user) >= 0).all()


@pytest.mark.parametrize("users", one_by_default(1, 2))
def test_few_users(users: int) -> None:
    for seed in range(20):
        assert len(generate(Synthetic(users=users, seed=seed)).exposures.user) == 48 * users
