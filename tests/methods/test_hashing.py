"""SimHash: bits are signs, the bytes are those of the loops, and near vectors share most of them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lrea_cli.methods import HistoryShape
from lrea_cli.methods.eta import ETA
from lrea_cli.methods.hashing import agreements, buckets, packed, sign_bits, unpacked
from lrea_cli.methods.sdim import SDIM
from lrea_cli.oracle import searches as reference_searches
from lrea_cli.recipe.settings import ModelSettings

codes = st.integers(1, 20).flatmap(lambda m: st.lists(st.lists(st.booleans(), min_size=m, max_size=m), min_size=1))


def some(count, width=4, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def as_number(bits):
    """The first bit is the lowest."""
    return sum(1 << place for place, bit in enumerate(bits.tolist()) if bit)


def test_bits_are_those_of_the_loops():
    vectors, planes = some(30), some(11, seed=1).T
    actual = [as_number(bits) for bits in sign_bits(vectors, planes)]
    assert actual == [reference_searches.simhash(e.double().numpy(), planes.double().numpy()) for e in vectors]
    assert len(set(actual)) > 10


def test_a_bit_is_the_side_of_its_own_plane():
    planes = torch.tensor([[1.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    assert sign_bits(torch.tensor([2.0, -3.0]), planes).tolist() == [True, False, False]
    assert sign_bits(torch.zeros(2), planes).tolist() == [False] * 3


@given(codes)
def test_bytes_are_those_of_the_number_and_come_back(rows):
    bits = torch.tensor(rows)
    m, size = bits.shape[1], math.ceil(bits.shape[1] / 8)
    stored = packed(bits)
    assert (stored.dtype, stored.shape) == (torch.uint8, (len(rows), size))
    assert [bytes(code) for code in stored.tolist()] == [as_number(b).to_bytes(size, "little") for b in bits]
    assert torch.equal(unpacked(stored)[:, :m], bits)
    assert not unpacked(stored)[:, m:].any()


@given(codes)
def test_agreements_are_bits_less_twice_the_hamming_distance(rows):
    bits = torch.tensor(rows)
    a, b = bits[:5], bits.flip(0)
    numbers = [[as_number(x) for x in side] for side in (a, b)]
    expected = [[bits.shape[1] - 2 * reference_searches.hamming(x, y) for y in numbers[1]] for x in numbers[0]]
    assert agreements(a[None], b[None])[0].tolist() == expected


@pytest.mark.parametrize(("m", "tau"), [(6, 1), (6, 2), (6, 3), (6, 6), (48, 3)])
def test_buckets_are_those_of_the_loops(m, tau):
    vectors, planes = some(20).double(), some(m, seed=1).T.double()
    actual = buckets(sign_bits(vectors, planes), tau)
    assert actual.shape == (20, m // tau)
    rows = actual + torch.arange(m // tau) * 2**tau
    assert rows.tolist() == [reference_searches.bucket_rows(e.numpy(), planes.numpy(), tau) for e in vectors]


def test_the_share_of_different_bits_is_the_angle():
    """Charikar 2002: P(bits differ) = angle / pi."""
    angles = torch.tensor([0.0, 0.1, 0.5, 1.5, 3.0, math.pi])
    vectors = torch.stack([angles.cos(), angles.sin()], 1)
    torch.manual_seed(0)
    bits = sign_bits(vectors, torch.randn(2, 20_000))
    share = (bits != bits[:1]).double().mean(1)
    torch.testing.assert_close(share, angles.double() / math.pi, atol=0.01, rtol=0)


def test_offline_in_float64_and_online_in_float32_give_the_same_bits():
    """Also where a projection in float32 has no correct digit: the vector lies on the plane but for rounding."""
    planes = some(64, 32, seed=1).T
    vectors = some(2000, 32)
    on_plane = vectors - (vectors @ planes[:, :1]) / planes[:, 0].square().sum() * planes[:, 0]
    for rows in (vectors, on_plane):
        assert torch.equal(sign_bits(rows, planes), sign_bits(rows.double(), planes.double()))
    in_float32 = (on_plane @ planes) > 0
    assert not torch.equal(in_float32, sign_bits(on_plane, planes))  # the case is in the data


@pytest.mark.parametrize(("name", "method"), [("eta", ETA), ("sdim", SDIM)])
def test_planes_follow_torchs_seed(name, method):
    planes = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        planes.append(method(ModelSettings(method=name, m=6), HistoryShape(4, 9)).planes)
    first, same, other = planes
    assert first.shape == (4, 6)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
