"""Linear attention is a weighted mean whose weights are products of features."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import elu

from lrea_cli.methods.linear import phi
from lrea_cli.recipe.settings import CACHE_DTYPES, ModelSettings
from lrea_cli.records.format import RecordFormat
from tests.methods.counting import full, make
from tests.methods.test_contract import L, behaviors, build, candidates

SETTINGS = ModelSettings(method="linear")


def test_the_feature_is_elu_plus_one():
    x = torch.linspace(-9, 9, 101, dtype=torch.float64)
    torch.testing.assert_close(phi(x), elu(x) + 1)
    assert (phi(x) > 0).all()


def test_a_feature_has_the_same_bits_at_any_place_of_a_tensor():
    x = -torch.rand(3000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 20
    whole = phi(x)
    for start in range(1, 33):
        for count in (1, 2, 3, 7, 8, 9, 15, 100):
            assert torch.equal(phi(x[start : start + count].clone()), whole[start : start + count])


def test_it_is_a_mean_of_values_weighted_by_products_of_features():
    """The attention written as (N, L) weights, as its paper's Eq. 4 has it, in place of the sums of Eq. 5 and 6."""
    method, seen, asked = build(SETTINGS), behaviors(), candidates()
    weights = phi(asked.vectors @ method.W_Q) @ phi(seen.vectors @ method.W_K).transpose(1, 2) * seen.mask[:, None]
    assert (weights >= 0).all()
    expected = weights @ (seen.vectors @ method.W_V) / weights.sum(2, keepdim=True).clamp(min=1e-30)
    torch.testing.assert_close(method(seen, asked).vectors, expected)


def test_the_interest_of_equal_behaviors_is_their_value_at_any_length():
    method, asked = build(SETTINGS), candidates(requests=1)
    for n in (1, 4, L):
        seen = full(behaviors((1,)).vectors[:, :1].repeat(1, n, 1))
        value = (seen.vectors @ method.W_V)[:, :1]
        torch.testing.assert_close(method(seen, asked).vectors, value.expand(1, 3, -1))


def test_the_order_of_the_history_is_not_kept():
    method, seen, asked = build(SETTINGS), behaviors((L,)), candidates(requests=1)
    order = torch.randperm(L, generator=torch.Generator().manual_seed(0))
    moved = replace(seen, vectors=seen.vectors[:, order])
    torch.testing.assert_close(method(moved, asked).vectors, method(seen, asked).vectors)


def test_a_long_history_appended_in_odd_parts_has_the_bits_of_a_new_record():
    method = make(SETTINGS, 12, 200)
    torch.manual_seed(2)
    seen = full(torch.randn(7, 150, 12))
    whole, parts = method.recorded(seen, "float32"), [slice(143, None), slice(142, 143), slice(60, 142), slice(0, 60)]
    record = method.recorded(seen.places(parts[0]), "float32")
    for part in parts[1:]:
        record = method.append(record, seen.places(part).double())
    for name, tensor in vars(whole).items():
        assert torch.equal(getattr(record, name), tensor), name


@pytest.mark.parametrize(("dtype", "size"), [*zip(CACHE_DTYPES, (4_248, 4_248, 1_152), strict=True)])
def test_the_bytes_of_a_record_for_32_numbers(dtype, size):
    method = make(SETTINGS, 32, 500)
    assert (
        RecordFormat(method.record, dtype).bytes_of({"rows": 32}) == size == method.cost_of(1, 1, dtype).offline.bytes
    )
