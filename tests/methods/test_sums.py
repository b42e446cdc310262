import pytest
import torch

from lrea_cli.methods import sums
from lrea_cli.methods.sums import add_at, add_weighted

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
