"""ETA: the codes decide which behaviors are selected, and more bits select more of the true nearest."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cosine_similarity

from lrea_cli.methods import HistoryShape
from lrea_cli.methods.eta import ETA
from lrea_cli.oracle import searches as reference_searches
from lrea_cli.oracle.searches import simhash
from lrea_cli.recipe.settings import ModelSettings
from lrea_cli.sequence import Behaviors, Candidates
from tests.methods.test_contract import D, L, all_the_same, behaviors, build, candidates

SETTINGS = ModelSettings(method="eta", k=3, heads=2, m=12)


def found_by(method, seen, asked, codes=None):
    summary = method.summarize(seen)
    selected = method.search(summary if codes is None else replace(summary, codes=codes(summary.codes)), asked)
    return [index[mask].tolist() for index, mask in zip(selected.index[:, 0], selected.mask[:, 0], strict=True)]


def test_equal_distances_at_the_last_place_go_to_the_newest():
    """Behaviors 1 and 6 have the candidate's code, all others one other code, of which the newest is the third."""
    method, asked = build(SETTINGS), candidates(1, requests=1)
    seen = all_the_same(behaviors((L,)))
    vectors = seen.vectors.clone()
    vectors[0, [1, 6]] = 2 * asked.vectors[0, 0]
    assert found_by(method, replace(seen, vectors=vectors), asked) == [[0, 1, 6]]
    assert found_by(build(replace(SETTINGS, k=5)), replace(seen, vectors=vectors), asked) == [[0, 1, 2, 3, 6]]


def test_the_codes_of_the_record_are_searched():
    """Flipping all bits turns the nearest into the farthest."""
    method, seen, asked = build(replace(SETTINGS, m=16)), behaviors((L,)), candidates(1, requests=1)
    (nearest,), (farthest,) = found_by(method, seen, asked), found_by(method, seen, asked, codes=lambda codes: ~codes)
    planes = method.planes.double().numpy()
    own, *codes = (simhash(e.double().numpy(), planes) for e in (asked.vectors[0, 0], *seen.vectors[0]))
    assert nearest == sorted(reference_searches.nearest(own, codes, 3))
    assert not set(farthest) & set(nearest)


@pytest.mark.parametrize(("m", "size"), [(1, 1), (8, 1), (9, 2), (48, 6)])
def test_a_code_takes_m_bits(m, size):
    method = build(replace(SETTINGS, m=m))
    assert method.summarize(behaviors()).codes.shape == (4, L, size)
    assert [(f.name, f.shape, f.dtype) for f in method.record] == [
        ("vectors", (D,), "cache"),
        ("codes", (size,), "uint8"),
    ]


def test_bits_past_m_are_not_compared():
    method, seen, asked = build(SETTINGS), behaviors((L,)), candidates(1, requests=1)
    high = torch.tensor([0, 0b11110000], dtype=torch.uint8)
    rows = torch.arange(L)[:, None] % 2 == 0
    polluted = found_by(method, seen, asked, codes=lambda codes: codes | torch.where(rows, high, 0).to(torch.uint8))
    assert polluted == found_by(method, seen, asked)


def test_planes_are_drawn_from_the_seed_and_kept_in_the_checkpoint():
    method = build(SETTINGS)
    assert torch.equal(method.state_dict()["planes"], build(SETTINGS).planes)
    assert "planes" not in dict(method.named_parameters())


def test_recall_of_the_true_nearest_rises_with_m():
    """Recall of the k nearest by cosine among 200, averaged over 30 histories; 8 bits leave most to chance."""
    length, width, k = 200, 16, 20
    recalls = []
    for m in (8, 32, 128, 512):
        torch.manual_seed(0)
        method = ETA(ModelSettings(method="eta", k=k, heads=2, m=m), HistoryShape(width, length))
        generator = torch.Generator().manual_seed(1)
        vectors = torch.randn(30, length, width, generator=generator)
        mask, ids = torch.ones(30, length, dtype=torch.bool), torch.zeros(30, length)
        asked = Candidates(torch.randn(30, 1, width, generator=generator), mask[:, :1], ids[:, :1])
        selected = method.search(method.summarize(Behaviors(vectors, mask, ids)), asked).index[:, 0]
        true = cosine_similarity(asked.vectors, vectors, dim=-1).topk(k).indices
        recalls.append((selected[:, :, None] == true[:, None]).any(-1).double().mean().item())
    chance = k / length
    assert chance < recalls[0] < recalls[1] < recalls[2] < recalls[3] < 1
    assert recalls[3] > 0.8
