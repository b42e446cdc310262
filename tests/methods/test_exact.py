"""A product whose bits no shape of a batch changes."""

import pytest
import torch

from lrea_cli.methods.exact import exact_product


def drawn(shape, seed=0):
    """Numbers whose sizes differ by many powers of two."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randn(shape, generator=generator, dtype=torch.float64)
    return numbers * torch.ldexp(
        torch.ones(shape, dtype=torch.float64), torch.randint(-12, 12, shape, generator=generator)
    )


@pytest.mark.parametrize("width", [1, 2, 3, 32, 33, 64, 200])
def test_it_is_the_product_up_to_the_rounding_of_its_numbers(width):
    rows, columns = drawn((3, 7, width)), drawn((width, 5), 1)
    exact, product = exact_product(rows, columns), rows @ columns
    bits = (53 - (width - 1).bit_length()) // 2
    largest = rows.abs().amax(-1, keepdim=True) * columns.abs().amax(0)
    assert ((exact - product).abs() <= 2.0**-bits * 1.01 * width * largest).all()


@pytest.mark.parametrize("width", [1, 3, 32, 48, 130])
def test_no_order_of_the_sums_changes_a_bit(width):
    """A plain product of float64 in another order has other bits, or this test would show nothing."""
    rows, columns = drawn((2, 300, width)), drawn((width, 13), 1)
    order = torch.randperm(width, generator=torch.Generator().manual_seed(0))
    assert torch.equal(exact_product(rows[..., order], columns[order]), exact_product(rows, columns))
    if width > 3:
        assert not torch.equal(rows[..., order] @ columns[order], rows @ columns)


def test_the_widest_whole_numbers_are_still_added_without_an_error():
    """Largest numbers with all bits set, whose sum is just below 2^53."""
    width = 32
    rows = torch.full((1, width), 2.0**24 - 1, dtype=torch.float64)
    found = exact_product(rows, rows.T)
    assert int(found) == width * (2**24 - 1) ** 2


def test_no_shape_of_a_batch_changes_a_bit():
    rows, columns = drawn((5, 40, 32)), drawn((32, 128), 1)
    whole = exact_product(rows, columns)
    for part in (slice(0, 1), slice(1, 2), slice(0, 7), slice(3, 40)):
        assert torch.equal(exact_product(rows[:, part], columns), whole[:, part])
        assert torch.equal(exact_product(rows[2, part], columns), whole[2, part])


def test_zeros_and_no_rows():
    columns = drawn((4, 3))
    assert not exact_product(torch.zeros(2, 4, dtype=torch.float64), columns).any()
    assert exact_product(torch.zeros(2, 0, 4, dtype=torch.float64), columns).shape == (2, 0, 3)
    assert not exact_product(drawn((2, 4)), torch.zeros(4, 3, dtype=torch.float64)).any()
