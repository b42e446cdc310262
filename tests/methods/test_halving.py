"""Recursive 2-means: sizes, the slow twin, and that no batch, order of users or padding counts."""

import numpy as np
import pytest
import torch

from lrea_cli.methods.halving import small_clusters
from lrea_cli.oracle import virtual_items as slow


def drawn(*lengths, repeated=False, seed=0):
    """Points (B, L, 5) with an early end; repeated: a third of the history is one of three points."""
    generator = torch.Generator().manual_seed(seed)
    L = max(lengths)
    points = torch.randn(len(lengths), L, 5, generator=generator, dtype=torch.float64)
    if repeated:
        which = torch.randint(3, (len(lengths), L), generator=generator)
        often = torch.rand(len(lengths), L, generator=generator) < 0.6
        points = torch.where(often[..., None], points[:, :3].gather(1, which[..., None].expand(-1, -1, 5)), points)
    mask = torch.arange(L) < torch.tensor(lengths)[:, None]
    return points.masked_fill(~mask[..., None], 0.0), mask


def members(labels):
    """The clusters of one history as lists of places, sorted."""
    places = {}
    for place, label in enumerate(labels.tolist()):
        if label >= 0:
            places.setdefault(label, []).append(place)
    return sorted(places.values())


@pytest.mark.parametrize("most", [1, 2, 7, 60])
@pytest.mark.parametrize("repeated", [False, True])
def test_no_cluster_has_more_members_than_allowed(most, repeated):
    points, mask = drawn(60, 0, 1, 33, repeated=repeated)
    labels = small_clusters(points, mask, most)
    assert torch.equal(labels >= 0, mask)
    for b, n in enumerate((60, 0, 1, 33)):
        found = members(labels[b])
        assert sum(map(len, found)) == n
        assert max(map(len, found), default=0) <= most
    assert len(set(labels[0].tolist()) & set(labels[3].tolist()) - {-1}) == 0


@pytest.mark.parametrize("most", [1, 2, 5, 9])
@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_clusters_equal_the_loops(most, repeated, seed):
    lengths = (40, 3, 17, 0, 1)
    points, mask = drawn(*lengths, repeated=repeated, seed=seed)
    labels = small_clusters(points, mask, most)
    for b, n in enumerate(lengths):
        assert members(labels[b]) == sorted(slow.small_clusters(points[b, :n].numpy(), range(n), most))


def test_equal_points_are_cut_in_the_middle_of_their_order():
    points = torch.ones(1, 7, 2, dtype=torch.float64) / 3
    labels = small_clusters(points, torch.ones(1, 7, dtype=torch.bool), 2)
    assert members(labels[0]) == [[0, 1], [2, 3], [4, 5], [6]]


def test_far_points_are_parted_first():
    x = torch.tensor([0.0, 10, 0.2, 10.4, 0.1, 30]).double()
    labels = small_clusters(torch.stack([x, -x], 1)[None], torch.ones(1, 6, dtype=torch.bool), 3)
    assert members(labels[0]) == [[0, 2, 4], [1, 3, 5]] or members(labels[0]) == [[0, 2, 4], [1, 3], [5]]


def test_other_users_and_padding_leave_no_trace():
    points, mask = drawn(50, 20, 35, repeated=True)
    together = small_clusters(points, mask, 4)
    for b, n in enumerate((50, 20, 35)):
        alone = small_clusters(points[b : b + 1, :n], mask[b : b + 1, :n], 4)
        assert members(alone[0]) == members(together[b])


def test_two_means_lower_the_spread():
    """Against a cut of the order in two."""
    points = drawn(64)[0]
    E = points[0].numpy()
    near, far = slow.halves(E, list(range(64)))

    def spread(*parts):
        return sum(((E[part] - E[part].mean(0)) ** 2).sum() for part in parts)

    assert spread(near, far) < 0.95 * spread(list(range(32)), list(range(32, 64)))
    assert np.isclose(spread(near, far), spread(*members(small_clusters(points, points[..., 0] < 9, 63)[0])))
