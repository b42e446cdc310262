"""A codebook of all items, shared by all users: weighted k-means, made once for a run, and records that are sums."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lrea_cli.attention import history_scale
from lrea_cli.bench.expected import reference_model, twin_of
from lrea_cli.compressors.base import Items, uniforms
from lrea_cli.compressors.clusters import G
from lrea_cli.compressors.codebook import make_codebook
from lrea_cli.compressors.codes import Codes
from lrea_cli.dataset.histories import open_histories
from lrea_cli.methods.nearest import nearest
from lrea_cli.recipe.settings import Compression
from lrea_cli.records.items import clicked_ids
from lrea_cli.records.maker import compressor_of
from lrea_cli.runs.checkpoint import Run
from lrea_cli.sequence import Behaviors
from tests.compressors.test_compressors import ITEMS, D, L, attention, candidates, errors, full, histories, make, served

USERS = np.arange(6)


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def test_a_codebook_of_all_items_gives_full_attention() -> None:
    """One code a distinct behavior; then the correction vanishes, too."""
    seen, asked = histories(), candidates()
    distinct = seen.vectors[seen.mask].unique(dim=0)
    items = Items(distinct, torch.ones(len(distinct)))
    compressor = Codes(attention(), 500, 1, torch.randn(7, D), items)
    assert len(compressor.codebook) == len(distinct)
    actual = compressor(seen, USERS)
    torch.testing.assert_close(served(actual, asked), full(asked, seen), rtol=1e-9, atol=1e-10)
    assert actual.rows.tolist() == [len(seen.vectors[b][seen.mask[b]].unique(dim=0)) for b in range(6)]


def test_the_error_falls_with_the_size_of_the_codebook_and_is_above_that_of_clusters() -> None:
    actual = errors("codes", (1, 4, 16, 40))
    assert actual == sorted(actual, reverse=True)
    assert errors("clusters", (8,))[0] < errors("codes", (8,))[0] < errors("mean", (8,))[0]


def test_the_correction_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = errors("codes", (8,))[0]
    monkeypatch.setattr("lrea_cli.compressors.clusters.G", 0.0)
    assert ours < errors("codes", (8,))[0]


def cost_of(codebook: torch.Tensor, items: Items, metric: torch.Tensor) -> float:
    points, codes = items.vectors.double() @ metric, codebook @ metric
    squared = (points[:, None] - codes).square().sum(2)
    assert torch.equal(nearest(points, codes), squared.argmin(1))
    return float((squared.min(1).values * items.clicks).sum())


def test_k_means_ends_near_its_means_and_below_its_start() -> None:
    metric = torch.diag(torch.tensor([1.0, 2, 3, 0.1, 1, 1], dtype=torch.float64))
    codebook = make_codebook(ITEMS, metric, 5, 3)
    points = ITEMS.vectors.double() @ metric
    owner = nearest(points, codebook @ metric)
    for j in range(5):
        mine = owner == j
        mean = (ITEMS.clicks[mine][:, None] * ITEMS.vectors[mine].double()).sum(0) / ITEMS.clicks[mine].sum()
        torch.testing.assert_close(codebook[j], mean)
    draws = torch.from_numpy(uniforms(3, np.zeros(1), 5)[0])
    start = ITEMS.vectors[(draws * len(ITEMS.vectors)).long()].double()
    assert cost_of(codebook, ITEMS, metric) < cost_of(start, ITEMS, metric)


def test_clicks_pull_codes() -> None:
    """One code is the mean of all clicks; an item without any pull is as if it were not there."""
    metric = torch.eye(D, dtype=torch.float64)
    (code,) = make_codebook(ITEMS, metric, 1, 0)
    torch.testing.assert_close(code, (ITEMS.clicks[:, None] * ITEMS.vectors.double()).sum(0) / ITEMS.clicks.sum())
    heavy = replace(ITEMS, clicks=torch.where(torch.arange(40) == 7, 10**9, ITEMS.clicks))
    assert (make_codebook(heavy, metric, 4, 0) - ITEMS.vectors[7]).norm(dim=1).min() < 1e-4


def test_the_seed_decides_and_equal_items_get_one_code() -> None:
    metric = torch.eye(D, dtype=torch.float64)
    assert torch.equal(make_codebook(ITEMS, metric, 4, 0), make_codebook(ITEMS, metric, 4, 0))
    assert not torch.equal(make_codebook(ITEMS, metric, 4, 0), make_codebook(ITEMS, metric, 4, 1))
    twice = Items(ITEMS.vectors[:3].repeat(5, 1), torch.ones(15))
    assert len(make_codebook(twice, metric, 9, 0)) == 3


def test_a_record_is_made_of_sums_that_a_click_adds_to() -> None:
    """Of two parts of a history the records give that of the whole, without the behaviors."""
    generator = torch.Generator().manual_seed(3)
    vectors = 0.7 * torch.randn(1, L, D, generator=generator)
    compressor = make("codes", 6)
    assert isinstance(compressor, Codes)
    weights = attention().weights.to(torch.float64)
    slopes, offsets = (compressor.signs_1KH[0] * (G * weights.w_o) @ w.T for w in (weights.W3, weights.W2))

    def sums_of(part: slice) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """n and S by code, and the part of the linear half that no key enters; each without c(n)."""
        mask = torch.ones(1, len(range(L)[part]), dtype=torch.bool)
        record = compressor(Behaviors(vectors[:, part], mask, mask.long()), np.zeros(1, np.int64))
        touched = nearest(vectors[0, part].double() @ compressor.metric, compressor.codebook @ compressor.metric)
        assert record.linear is not None
        scale, rows = history_scale(mask.sum(1)), int(record.rows[0])
        keys, values, used = record.keys[0, :rows], record.values[0, :rows] / scale, touched.unique()
        count, sums = torch.zeros(6).double(), torch.zeros(6, D).double()
        count[used], sums[used] = (values * keys).sum(1) / keys.square().sum(1), values
        of_keys = [torch.outer(k * slopes[j], v) for j, k, v in zip(used, keys, values, strict=True)]
        constants = sum(k @ offsets[j] * v for j, k, v in zip(used, keys, values, strict=True))
        return count, sums, record.linear[0] / scale + torch.cat([torch.stack(of_keys).sum(0), constants[None]])

    old, new, whole = sums_of(slice(4, None)), sums_of(slice(0, 4)), sums_of(slice(0, None))
    torch.testing.assert_close(whole[0], whole[0].round())
    for a, b, together in zip(old, new, whole, strict=True):
        torch.testing.assert_close(a + b, together)


def test_clicked_items_are_those_before_the_validation_split(din_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrea_cli.dataset.histories.PART", 1000)  # several parts
    clicked, histories_ = clicked_ids(din_run.dataset), open_histories(din_run.dataset)
    end, counts, category = din_run.dataset.manifest.splits.valid_from, {}, {}
    for item, own, time in zip(
        *(np.asarray(histories_.columns[n]) for n in ("item", "category")), np.asarray(histories_.time), strict=True
    ):
        if time < end:
            counts[int(item)] = counts.get(int(item), 0) + 1
            category[int(item)] = int(own)
    assert 0 < sum(counts.values()) < len(histories_.time)
    assert dict(zip(clicked.ids["item"].tolist(), clicked.clicks.tolist(), strict=True)) == counts
    assert dict(zip(clicked.ids["item"].tolist(), clicked.ids["category"].tolist(), strict=True)) == category
    assert (np.diff(clicked.clicks) <= 0).all()
    few = clicked_ids(din_run.dataset, 5)
    assert few.clicks.tolist() == clicked.clicks[:5].tolist()


def test_a_run_has_one_codebook_a_compression_and_the_gate_makes_the_same(din_run: Run) -> None:
    compression = Compression("codes", 6, 3)
    first = compressor_of(din_run, compression)
    assert isinstance(first, Codes)
    assert compressor_of(din_run, compression) is first
    other = compressor_of(din_run, replace(compression, seed=4))
    assert isinstance(other, Codes)
    assert not torch.equal(other.codebook, first.codebook)
    twin = twin_of(din_run, reference_model(din_run), compression)
    np.testing.assert_allclose(twin.codebook, first.codebook.numpy(), atol=1e-12)  # pyright: ignore
