"""Top-k search: padding is never selected, and of equal matches the newest are."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lrea_cli.methods import top_k
from lrea_cli.methods.top_k import best, gather, newest

lists = st.lists(st.tuples(st.integers(-6, 6), st.booleans()), min_size=1, max_size=12)


def positions_of(selection):
    """The selected positions as a list."""
    return selection.index[selection.mask].tolist()


@given(pairs=lists, k=st.integers(1, 14))
def test_the_newest_that_are_allowed(pairs, k):
    allowed = torch.tensor([there for _, there in pairs])
    assert positions_of(newest(allowed, k)) == [place for place, (_, there) in enumerate(pairs) if there][:k]


rows_of_pairs = st.integers(1, 12).flatmap(
    lambda length: st.lists(
        st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=length, max_size=length), min_size=1, max_size=4
    )
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(rows=rows_of_pairs, k=st.integers(1, 14))
def test_the_highest_scores_and_of_equal_ones_the_newest(dtype, rows, k):
    """Rows with fewer than k allowed scores, beside rows with many equal scores; newest first."""
    scores = torch.tensor([[float(score) for score, _ in pairs] for pairs in rows], dtype=dtype)
    allowed = torch.tensor([[there for _, there in pairs] for pairs in rows])
    selection = best(scores, allowed, k)
    assert selection.index.shape == selection.mask.shape == (len(rows), min(k, len(rows[0])))
    for pairs, index, mask in zip(rows, selection.index, selection.mask, strict=True):
        there = [place for place, (_, there) in enumerate(pairs) if there]
        expected = sorted(sorted(there, key=lambda place: (-pairs[place][0], place))[:k])
        assert index[mask].tolist() == expected
        assert mask.tolist() == [place < len(expected) for place in range(len(mask))]


def test_a_search_beside_a_gpu_chooses_the_same(monkeypatch):
    """A GPU uses torch's top-k and nonzero, a CPU those of numpy; this runs torch's on a CPU."""
    scores = torch.randint(-5, 5, (3, 7, 40), generator=torch.Generator().manual_seed(0)).float()
    allowed = torch.rand(3, 1, 40, generator=torch.Generator().manual_seed(1)) < 0.5
    expected = best(scores, allowed, 9)
    monkeypatch.setattr(top_k, "_kth_largest", lambda scores, k: scores.topk(k, -1).values[..., -1:])
    monkeypatch.setattr(top_k, "_flat_positions", lambda chosen: chosen.flatten().nonzero()[:, 0])
    selection = best(scores, allowed, 9)
    assert torch.equal(selection.index, expected.index)
    assert torch.equal(selection.mask, expected.mask)


def test_padding_with_a_score_of_0_loses_to_every_real_score():
    scores, there = torch.tensor([[-3.0, -1e9, 0.0, 0.0]]), torch.tensor([[True, True, False, False]])
    for k in (1, 2, 3):
        assert positions_of(best(scores, there, k)) == [0, 1][:k]


def test_scores_that_are_no_numbers_find_nothing():
    selection = best(torch.full((2, 9), float("nan")), torch.ones(2, 9, dtype=torch.bool), 3)
    assert not selection.mask.any()


def test_rows_are_gathered_from_their_own_history():
    rows = torch.arange(24.0).view(2, 4, 3) + 1
    index = torch.tensor([[[3, 0], [1, 1]], [[2, 2], [0, 3]]])
    selection = gather(rows, index)
    for b, n, k in torch.cartesian_prod(*[torch.arange(2)] * 3).tolist():
        assert torch.equal(selection[b, n, k], rows[b, index[b, n, k]])
