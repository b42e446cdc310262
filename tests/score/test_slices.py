"""Slices against loops over the rows; each family adds up to the whole."""

from __future__ import annotations

import numpy as np
import pytest

from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.samples import Samples
from lrea_cli.recipe.settings import DataSettings
from lrea_cli.runs.checkpoint import Run
from lrea_cli.score.measured import measure_slice
from lrea_cli.score.slices import Family, slice_masks
from lrea_cli.stats.metrics import METRICS, Rows
from tests.stats.simulated import auc_estimate, simulate

SETTINGS = DataSettings(short=8, long=150)
RANK = 30
HISTORY = Histories(np.array([0, 5000]), np.zeros(5000, np.int64), {"item": np.full(5000, 7, np.int32)})
"""One user who sees item 7 all the time."""


def one_row(length: int, item: int) -> Samples:
    """A split of one row."""
    return Samples(
        offsets=np.array([0, 1]),
        user=np.array([0]),
        time=np.array([9]),
        history_length=np.array([length]),
        label=np.ones(1, np.float32),
        ids={"item": np.array([item], np.int32)},
        profile={},
    )


@pytest.fixture(scope="module")
def item_size(lrea_run: Run) -> int:
    return next(f.size for f in lrea_run.dataset.manifest.fields if f.name == "item")


@pytest.fixture(scope="module")
def families(samples: Samples, histories: Histories, item_size: int) -> dict[str, Family]:
    return slice_masks(samples, histories, item_size, SETTINGS, RANK)


def test_each_family_adds_up_to_the_whole(families: dict[str, Family], samples: Samples) -> None:
    assert set(families) == {"long", "candidate", "item", "rank"}
    for name, family in families.items():
        if name != "rank":
            assert (np.sum(list(family.values()), axis=0) == 1).all(), name
            assert sum(int(mask.sum()) for mask in family.values()) == samples.rows


def test_lengths_are_those_of_the_long_part(families: dict[str, Family], samples: Samples) -> None:
    bounds = {"long 0": (0, 0), "long 1-64": (1, 64), "long 65-128": (65, 128), "long 129+": (129, 10**9)}
    used = [min(max(int(n) - 8, 0), 150) for n in samples.history_length[samples.row_request]]
    for name, (low, high) in bounds.items():
        assert families["long"][name].tolist() == [low <= n <= high for n in used]
    assert families["rank"]["long above rank"].tolist() == [n > RANK for n in used]
    assert min(used) <= RANK < 129 <= max(used)


@pytest.mark.parametrize(
    ("length", "name"),
    [
        *((0, "long 0"), (8, "long 0"), (9, "long 1-64"), (72, "long 1-64"), (73, "long 65-128")),
        *((136, "long 65-128"), (137, "long 129+"), (5000, "long 129+")),
    ],
)
def test_the_edges_of_lengths(length: int, name: str) -> None:
    found = slice_masks(one_row(length, item=5), HISTORY, 6, SETTINGS)["long"]
    assert [n for n, mask in found.items() if mask[0]] == [name]


@pytest.mark.parametrize(("rank", "above"), [(29, True), (30, False), (31, False)])
def test_a_history_of_as_many_behaviors_as_rows_is_not_above(rank: int, above: bool) -> None:
    found = slice_masks(one_row(38, item=5), HISTORY, 6, SETTINGS, rank)["rank"]["long above rank"]
    assert found.tolist() == [above]


@pytest.mark.parametrize(("item", "unknown"), [(1, True), (2, False), (5, False), (6, True), (7, True)])
def test_an_id_of_one_or_past_the_table_is_unknown(item: int, unknown: bool) -> None:
    found = slice_masks(one_row(9, item), HISTORY, 6, SETTINGS)
    assert found["item"]["item unknown"].tolist() == [unknown]
    assert found["candidate"]["candidate seen before"].tolist() == [item == 7]


def test_seen_means_strictly_before_the_request(
    families: dict[str, Family], samples: Samples, histories: Histories
) -> None:
    seen = []
    for row, request in enumerate(samples.row_request):
        start, end = histories.offsets[samples.user[request]], histories.offsets[samples.user[request] + 1]
        times, items = histories.time[start:end].tolist(), histories.columns["item"][start:end].tolist()
        wanted, now = samples.ids["item"][row], samples.time[request]
        seen.append(any(t < now and i == wanted for t, i in zip(times, items, strict=True)))
    assert families["candidate"]["candidate seen before"].tolist() == seen
    assert 0 < sum(seen) < len(seen)


def test_unknown_is_what_the_model_has_not_learnt(
    families: dict[str, Family], samples: Samples, histories: Histories, item_size: int
) -> None:
    items = samples.ids["item"].tolist()
    assert families["item"]["item unknown"].tolist() == [i >= item_size or i == 1 for i in items]
    fewer = slice_masks(samples, histories, 50, SETTINGS)["item"]["item unknown"]
    assert fewer.tolist() == [i >= 50 or i == 1 for i in items]
    assert 0 < fewer.sum() < len(items)


def test_without_a_rank_there_is_no_family_of_it(samples: Samples, histories: Histories) -> None:
    assert set(slice_masks(samples, histories, 50, SETTINGS)) == {"long", "candidate", "item"}


def test_numbers_are_those_of_the_rows() -> None:
    a, b, labels, users = simulate((1,), users=300)
    trained, served = (Rows(logits, labels, users // 2) for logits in (a, b))
    found = measure_slice(trained, served)
    for metric in METRICS:
        measured = found[metric.name]
        assert (measured.trained, measured.served) == (metric.value(trained), metric.value(served))
    auc = found["auc"]
    assert auc.ci == pytest.approx(auc_estimate(a, labels, users // 2).ci, abs=0.006)
    assert auc.ci is not None
    assert sum(auc.ci) / 2 == pytest.approx(auc.trained)
    assert found["gauc"].ci is None


def test_an_interval_stays_in_bounds() -> None:
    rows = Rows(np.array([0.0, 1, 2, 1.5, 3, 4]), np.array([0.0, 0, 0, 1, 1, 1]), np.arange(6))
    ci = measure_slice(rows, rows)["auc"].ci
    assert ci is not None
    assert 0 < ci[0] < ci[1] == 1.0


def test_one_class_and_one_user_are_none_and_not_an_error() -> None:
    clicks = measure_slice(*[Rows(np.zeros(3), np.ones(3), np.arange(3))] * 2)
    assert (clicks["auc"].trained, clicks["auc"].ci, clicks["gauc"].trained) == (None, None, None)
    assert clicks["calibration_ratio"].trained == 0.5
    one_user = measure_slice(*[Rows(np.arange(3), np.array([0.0, 1, 0]), np.zeros(3))] * 2)
    assert (one_user["auc"].trained, one_user["auc"].ci) == (0.5, None)
