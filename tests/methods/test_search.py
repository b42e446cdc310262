"""Top-k search: what is not there is never found, and of equal matches the newest are."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lrea_cli.methods.search import Found, best, best_then_newest, gather, newest

lists = st.lists(st.tuples(st.integers(-6, 6), st.booleans()), min_size=1, max_size=12)


def places_of(found):
    """What was found, as a list of places."""
    return found.index[found.mask].tolist()


@given(pairs=lists, k=st.integers(1, 14))
def test_the_newest_that_are_allowed(pairs, k):
    allowed = torch.tensor([there for _, there in pairs])
    assert places_of(newest(allowed, k)) == [place for place, (_, there) in enumerate(pairs) if there][:k]


@given(pairs=lists, k=st.integers(1, 14))
def test_the_highest_whole_scores_and_of_equal_ones_the_newest(pairs, k):
    scores = torch.tensor([float(score) for score, _ in pairs])
    found = best_then_newest(scores, torch.tensor([there for _, there in pairs]), k)
    there = [place for place, (_, there) in enumerate(pairs) if there]
    assert places_of(found) == sorted(there, key=lambda place: (-pairs[place][0], place))[:k]


@given(pairs=lists, k=st.integers(1, 14))
def test_the_highest_scores(pairs, k):
    scores = torch.tensor([score - place / 100 for place, (score, _) in enumerate(pairs)])  # no two are equal
    found = best(scores, torch.tensor([there for _, there in pairs]), k)
    there = [place for place, (_, there) in enumerate(pairs) if there]
    assert places_of(found) == sorted(there, key=lambda place: -float(scores[place]))[:k]
    assert found.index.shape == (min(k, len(pairs)),)


def test_padding_with_a_score_of_0_loses_to_every_real_score():
    scores, there = torch.tensor([[-3.0, -1e9, 0.0, 0.0]]), torch.tensor([[True, True, False, False]])
    for k in (1, 2, 3):
        assert places_of(best(scores, there, k)) == [0, 1][:k]


@pytest.mark.parametrize(("bits", "length"), [(2048, 4096), (512, 16384), (48, 100_000)])
def test_float32_tells_all_scores_and_places_apart_up_to_the_stated_size(bits, length):
    """m agreements of m bits, or none: the largest scores that there are."""
    generator = torch.Generator().manual_seed(0)
    scores = bits * (1.0 - 2.0 * torch.randint(0, 2, (length,), generator=generator))
    expected = sorted(range(length), key=lambda place: (-float(scores[place]), place))
    assert bits * length <= 2**23
    assert places_of(best_then_newest(scores, torch.ones(length, dtype=torch.bool), length)) == expected


def test_rows_are_gathered_from_their_own_history_and_zero_where_none_was_found():
    rows = torch.arange(24.0).view(2, 4, 3) + 1
    index = torch.tensor([[[3, 0], [1, 1]], [[2, 2], [0, 3]]])
    mask = torch.tensor([[[True, True], [True, False]], [[True, True], [False, True]]])
    found = gather(rows, Found(index, mask))
    for b, n, k in torch.cartesian_prod(*[torch.arange(2)] * 3).tolist():
        expected = rows[b, index[b, n, k]] if mask[b, n, k] else torch.zeros(3)
        assert torch.equal(found[b, n, k], expected)
