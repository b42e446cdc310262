"""TWIN V2: what a virtual item is made of, the bias of a cluster's size, what is trained, and costs."""

from dataclasses import replace

import pytest
import torch

from lrea_cli.methods.cost import record_bytes
from lrea_cli.methods.halving import small_clusters
from lrea_cli.recipe.settings import CACHE_DTYPES, ModelSettings
from lrea_cli.records.format import RecordFormat
from lrea_cli.sequence import Candidates
from tests.methods.counting import counted, counts_of, full, make
from tests.methods.test_contract import HOUR, NOW, D, L, behaviors, build, candidates

SETTINGS = ModelSettings(method="twin-v2", k=L, heads=2, most_members=3)
TWIN = replace(SETTINGS, method="twin")


def of_points(points, categories, ages_in_hours):
    """One history with these vectors (n, D)."""
    seen = behaviors((len(points),), len(points))
    return replace(
        seen,
        vectors=points[None],
        category=torch.tensor([categories], dtype=torch.int32),
        time=NOW - HOUR * torch.tensor([ages_in_hours]),
    )


def two_heaps():
    """Newest first: places 0, 2, 3 near one point, 1 and 4 near another."""
    far = torch.tensor([0.0, 9, 0, 0.3, 9.5]).double()
    points = torch.stack([far, torch.arange(5).double() / 100, far / 2, -far], 1)
    return points, of_points(points, [2, 3, 4, 5, 2], [1, 2, 30, 40, 500])


def test_a_virtual_item_is_made_of_its_members():
    points, seen = two_heaps()
    method = build(SETTINGS)
    found = method.summarize(seen)
    heaps = [[0, 2, 3], [1, 4]]
    assert found.rows.tolist() == [2]
    assert found.count.tolist() == [[3, 2]]
    assert found.place.tolist() == [[0, 1]]
    assert found.time.tolist() == [[NOW - HOUR, NOW - 2 * HOUR]]
    assert found.category.tolist() == [
        [4, 3]
    ]  # place 2 is nearest to the mean; two members are equally near: the newest
    means = torch.stack([points[heap].mean(0) for heap in heaps])
    torch.testing.assert_close(found.keys[0], means @ method.attention.W_K)
    torch.testing.assert_close(found.values[0], means @ method.attention.W_V)


def test_a_cluster_of_equal_members_counts_as_they_do():
    """Members of equal vector, age, place and category: the softmax over clusters with ln n is that over members."""
    method, asked = build(SETTINGS), candidates(1, requests=1)
    with torch.no_grad():
        method.place.zero_()
    points = two_heaps()[0][[0, 1, 0, 0, 1]]
    seen = of_points(points, [2, 3, 2, 2, 3], [5, 6, 5, 5, 6])
    summary = method.summarize(seen)
    assert summary.count.tolist() == [[3, 2]]
    torch.testing.assert_close(method.attend(summary, asked), method(seen, asked).vectors)
    without = method.attend(replace(summary, count=torch.ones_like(summary.count)), asked)
    assert (without - method(seen, asked).vectors).abs().max() > 1e-3


def test_it_is_trained_as_twin():
    method, twin, seen, asked = build(SETTINGS), build(TWIN), behaviors(), candidates()
    assert torch.equal(method(seen, asked).vectors, twin(seen, asked).vectors)
    alone = build(replace(SETTINGS, most_members=1))
    torch.testing.assert_close(alone.attend(alone.summarize(seen), asked), twin(seen, asked).vectors)


def test_clusters_are_those_of_the_whole_history():
    """In `summarize` of float32 vectors, too: clusters are made in float64."""
    method, seen = build(SETTINGS), behaviors((L, 2, 0, L))
    labels = small_clusters(seen.vectors, seen.mask, 3)
    assert method.summarize(seen).rows.tolist() == [len(set(row.tolist()) - {-1}) for row in labels]
    single = method.float().summarize(replace(seen, vectors=seen.vectors.float()))
    again = method.double().summarize(replace(seen, vectors=seen.vectors.float().double()))
    assert torch.equal(single.place, again.place)
    assert torch.equal(single.count, again.count)


def test_clusters_stand_in_the_order_of_their_newest_members():
    found = build(replace(SETTINGS, most_members=2)).summarize(behaviors((L,)))
    places = found.place[0].tolist()
    assert places == sorted(places)
    assert len(set(places)) == len(places)


def even(levels, last, width):
    """last x 2^levels points on a line, whose gaps double with the level, so that every cluster is halved evenly."""
    x = torch.zeros(1)
    for level in range(levels):
        x = torch.cat([x, x + 10.0**level])
    x = (x[:, None] + torch.arange(last) / 1000).flatten()
    return x[None, :, None].expand(-1, -1, width).contiguous()


@pytest.mark.parametrize(
    ("levels", "last", "width", "heads", "candidates"), [(0, 3, 4, 2, 3), (2, 3, 4, 1, 5), (3, 1, 6, 3, 1)]
)
@pytest.mark.parametrize("categories", [True, False])
def test_flops_are_those_of_the_code_where_clusters_are_halved_evenly(
    levels, last, width, heads, candidates, categories
):
    method = make(replace(SETTINGS, k=3, heads=heads, most_members=last), width, 64, categories)
    E = even(levels, last, width)
    n = E.shape[1]

    def offline(vectors):
        return method.seal(method.summarize(full(vectors)), "float32")

    def whole(vectors, asked):
        ids = torch.full(asked.shape[:2], 2, dtype=torch.int32)
        method.attend(offline(vectors), Candidates(asked, ids > 0, ids, ids, torch.full((len(asked),), 2 * 10**6)))

    assert offline(E).rows.tolist() == [2**levels]
    cost, made = method.cost_of(n, candidates), counted(offline, E)
    assert counts_of(cost.offline) == tuple(made)
    assert counts_of(cost.request) == tuple(counted(whole, E, torch.randn(1, candidates, width)) - made)


@pytest.mark.parametrize("dtype", CACHE_DTYPES)
def test_bytes_are_those_of_the_record(dtype):
    method = make(SETTINGS, D, 48)
    layout = RecordFormat(method.record, dtype)
    for n, rows in ((0, 0), (1, 1), (3, 1), (4, 2), (7, 3), (48, 16)):
        cost = method.cost_of(n, 3, dtype)
        assert (cost.offline.rows, cost.offline.bytes) == (rows, layout.bytes_of({"rows": rows}))
        assert cost.offline.bytes == record_bytes(method.record, rows, dtype)
    after = method.cost_of(5, 1, dtype)
    assert method.cost_of(4, 1, dtype).behavior == after.offline
    assert method.cost_of(48, 1, dtype).behavior == method.cost_of(48, 1, dtype).offline
