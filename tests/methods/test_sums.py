import pytest
import torch

from lrea_cli.methods import sums
from lrea_cli.methods.sums import Added, add_at, add_decayed, add_weighted, decay_table

B, L, R, C = 3, 40, 4, 5


def loops(weights, vectors):
    """One behavior at a time, oldest first; each partial sum is a float32."""
    sums = torch.zeros(B, R, C)
    for b in range(B):
        for place in reversed(range(L)):
            for r in range(R):
                if weights[b, place, r]:
                    sums[b, r] = (sums[b, r].double() + weights[b, place, r] * vectors[b, place]).float()
    return sums


def drawn():
    torch.manual_seed(0)
    return torch.rand(B, L, R, dtype=torch.float64), torch.randn(B, L, C, dtype=torch.float64)


def test_weighted_sums_equal_the_loops_bit_for_bit():
    weights, vectors = drawn()
    assert torch.equal(add_weighted(torch.zeros(B, R, C), weights, vectors), loops(weights, vectors))


@pytest.mark.parametrize("at_once", [1, 2 * R * C, 3 * R * C])
def test_users_that_are_added_apart_have_the_same_bits(monkeypatch, at_once):
    """One, two and three of the three users at once."""
    weights, vectors = drawn()
    monkeypatch.setattr(sums, "AT_ONCE", at_once)
    assert torch.equal(add_weighted(torch.zeros(B, R, C), weights, vectors), loops(weights, vectors))
    assert add_weighted(torch.zeros(0, R, C), weights[:0], vectors[:0]).shape == (0, R, C)


def test_sums_by_row_equal_the_loops_bit_for_bit_and_leave_masked_ones_out():
    slots, (_, vectors) = torch.randint(-1, R, (B, L)), drawn()
    one_hot = (slots[..., None] == torch.arange(R)).double()
    assert torch.equal(add_at(torch.zeros(B, R, C), slots, vectors), loops(one_hot, vectors))


def test_sums_are_not_those_of_a_product():
    """Otherwise the order of the sums would be tested by nothing."""
    weights, vectors = drawn()
    product = (weights.transpose(1, 2) @ vectors).float()
    torch.testing.assert_close(add_weighted(torch.zeros(B, R, C), weights, vectors), product)
    assert not torch.equal(add_weighted(torch.zeros(B, R, C), weights, vectors), product)


def test_the_sums_that_are_given_stay_as_they_are():
    weights, vectors = drawn()
    start = torch.ones(B, R, C)
    add_at(start, torch.zeros(B, L, dtype=torch.int64), vectors)
    add_weighted(start, weights, vectors)
    assert torch.equal(start, torch.ones(B, R, C))


def test_decayed_sums_equal_the_loops_bit_for_bit():
    slots, (_, vectors) = torch.randint(-1, R, (B, L)), drawn()
    numbers, decays = torch.arange(L, 0, -1).expand(B, L), decay_table(7, L)
    zero = torch.zeros(B, R, C), torch.zeros(B, R, dtype=torch.int64)
    sums, newest = add_decayed(*zero, Added(vectors, slots, numbers), decays)
    expected, last = torch.zeros(B, R, C), torch.zeros(B, R, dtype=torch.int64)
    for b in range(B):
        for place in reversed(range(L)):
            r = int(slots[b, place])
            if r >= 0:
                newer = int(numbers[b, place] - last[b, r]) if last[b, r] else 0
                expected[b, r] = (expected[b, r].double() * 2 ** (-newer / 7) + vectors[b, place]).float()
                last[b, r] = numbers[b, place]
    assert torch.equal(sums, expected)
    assert torch.equal(newest, last)


def test_a_decay_halves_after_a_half_life():
    assert decay_table(4, 8)[[0, 4, 8]].tolist() == [1, 0.5, 0.25]
