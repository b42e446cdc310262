"""The AUC of each trivial counter against loops over raw histories."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lrea_cli.dataset.counters import strongest, trivial_aucs
from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.samples import Samples
from lrea_cli.runs.checkpoint import Run
from lrea_cli.stats.metrics.auc import auc
from tests.dataset.test_counters import counted


def test_baselines_are_the_auc_of_the_counters(samples: Samples, histories: Histories, lrea_run: Run) -> None:
    valid_from = lrea_run.dataset.manifest.splits.valid_from
    items, times = histories.columns["item"][:].tolist(), histories.time[:].tolist()
    early = [item for item, time in zip(items, times, strict=True) if time < valid_from]
    assert 0 < len(early) < len(items)
    counts: dict[int, int] = {}
    for item in early:
        counts[item] = counts.get(item, 0) + 1
    popularity = np.array([counts.get(item, 0) for item in samples.ids["item"].tolist()])
    assert trivial_aucs(samples, histories, valid_from) == {
        "category_count": auc(np.array(counted(samples, histories, "category")), samples.label),
        "item_count": auc(np.array(counted(samples, histories, "item")), samples.label),
        "popularity": auc(popularity, samples.label),
    }


def test_without_categories_there_is_no_count_of_them(samples: Samples, histories: Histories) -> None:
    bare = replace(samples, ids={"item": samples.ids["item"]})
    columns = {"item": histories.columns["item"]}
    found = trivial_aucs(bare, Histories(histories.offsets, histories.time, columns), 0)
    assert found["category_count"] is None
    assert found["item_count"] is not None
    assert found["popularity"] == 0.5  # nothing lies before the year 1970


def test_a_missing_item_has_no_counter(samples: Samples, histories: Histories) -> None:
    """Half of all items are missing (id 1): as if each candidate without one had never been clicked."""

    def thinned(ids: np.ndarray) -> np.ndarray:
        return np.where(np.asarray(ids) % 2, 1, ids).astype(np.int32)

    columns = {"item": thinned(histories.columns["item"])}
    bare = replace(samples, ids={"item": thinned(samples.ids["item"])})
    missing = bare.ids["item"] == 1
    popularity = np.bincount(columns["item"], minlength=1 << 15)[bare.ids["item"]] * ~missing
    counts = np.array(counted(bare, Histories(histories.offsets, histories.time, columns), "item"))
    assert not counts[missing].any()
    found = trivial_aucs(bare, Histories(histories.offsets, histories.time, columns), 1 << 60)
    assert found["popularity"] == auc(popularity, bare.label)
    assert found["item_count"] == auc(counts, bare.label)


def test_the_strongest_is_named() -> None:
    assert strongest({"category_count": None, "item_count": 0.6, "popularity": 0.7}) == ("popularity", 0.7)
    assert strongest({"category_count": 0.9, "item_count": 0.6, "popularity": 0.7}) == ("category_count", 0.9)
    assert strongest({"category_count": None}) == ("none", 0.5)
