"""SIM: hard search by category, soft search by inner product, and what neither may select."""

from dataclasses import replace

import pytest
import torch

from lrea_cli.errors import UserError
from lrea_cli.methods import HistoryShape
from lrea_cli.methods.din import DIN
from lrea_cli.methods.sim import SIM
from lrea_cli.recipe.settings import ModelSettings
from lrea_cli.sequence import Behaviors
from tests.methods.test_contract import D, L, all_the_same, behaviors, build, candidates

HARD = ModelSettings(method="sim", k=3, heads=2)
SOFT = replace(HARD, search="soft")


def found_by(settings, seen, asked):
    """The selected positions for each candidate of the first request."""
    method = build(settings)
    selected = method.search(method.summarize(seen), asked)
    return [index[mask].tolist() for index, mask in zip(selected.index[0], selected.mask[0], strict=True)]


def test_hard_search_finds_the_newest_of_the_candidates_category():
    seen = behaviors((L,))
    category = torch.tensor([[2, 3, 2, 3, 3, 2, 2, 3, 2]], dtype=torch.int32)
    asked = candidates(3, requests=1)
    assert asked.category.tolist() == [[2, 3, 4]]
    assert found_by(HARD, replace(seen, category=category), asked) == [[0, 2, 5], [1, 3, 4], []]
    assert found_by(replace(HARD, k=50), replace(seen, category=category), asked)[0] == [0, 2, 5, 6, 8]


def test_a_candidate_without_a_category_finds_nothing_even_where_no_behavior_has_one():
    """Id 1: a missing value. Five clicks without a category, then a candidate without one."""
    seen, asked = behaviors((5,)), candidates(1, requests=1)
    none = replace(seen, category=seen.mask.to(torch.int32))
    assert none.category[0, :5].tolist() == [1] * 5
    asked = replace(asked, category=torch.ones_like(asked.category))
    assert found_by(HARD, none, asked) == [[]]
    assert not build(HARD)(none, asked).vectors.any()


def test_a_category_first_seen_after_training_is_found_by_its_own_id():
    seen, late = behaviors((5,)), 4_000_000
    asked = candidates(1, requests=1)
    category = torch.full_like(seen.category, 1)
    category[0, 3] = late
    asked = replace(asked, category=torch.full_like(asked.category, late))
    assert found_by(HARD, replace(seen, category=category), asked) == [[3]]


def test_hard_search_does_not_read_vectors():
    seen, asked = behaviors((L,)), candidates(2, requests=1)
    other = replace(seen, vectors=-seen.vectors.flip(1))
    assert found_by(HARD, seen, asked) == found_by(HARD, other, asked)


def test_the_records_of_hard_search_keep_categories_and_of_soft_search_none():
    hard, soft = build(HARD), build(SOFT)
    assert [(f.name, f.dtype) for f in hard.record] == [("vectors", "cache"), ("category", "int32")]
    assert [f.name for f in soft.record] == ["vectors"]
    assert soft.summarize(behaviors()).category is None


def test_hard_search_without_categories_is_refused_and_names_soft():
    with pytest.raises(UserError, match="reads no field 'category'") as caught:
        SIM(HARD, HistoryShape(D, L, categories=False))
    assert "soft" in caught.value.remedy


def test_soft_search_needs_no_categories():
    method = SIM(SOFT, HistoryShape(D, L, categories=False)).double()
    seen, asked = replace(behaviors(), category=None), replace(candidates(), category=None)
    assert method(seen, asked).vectors.any()


def test_soft_search_finds_the_largest_inner_products_with_their_sign():
    e_t = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    sizes = torch.tensor([0.1, -9.0, 3.0, -0.2, 2.0, 0.0, -1.0, 0.5, -3.0], dtype=torch.float64)
    seen = replace(behaviors((L,)), vectors=sizes[None, :, None] * e_t)
    asked = replace(candidates(1, requests=1), vectors=e_t[None, None])
    assert found_by(SOFT, seen, asked) == [[2, 4, 7]]


@pytest.mark.parametrize("k", [1, 2, 3])
def test_padding_with_a_score_of_0_loses_to_negative_inner_products(k):
    """All real behaviors have negative scores; a mask that multiplies scores would select padding."""
    seen, asked = behaviors((2, L)), candidates(1, requests=2)
    away = replace(seen, vectors=-asked.vectors[:, :1] * seen.mask[..., None] * torch.arange(1, L + 1)[:, None])
    assert found_by(replace(SOFT, k=k), away, asked) == [[0, 1][:k]]
    method = build(replace(SOFT, k=k))
    alone = Behaviors(*(t[:1, :2] for t in (away.vectors, away.mask, away.item, away.category, away.time)))
    torch.testing.assert_close(method(away, asked).vectors[:1], method(alone, candidates(1, requests=1)).vectors)


@pytest.mark.parametrize("k", [L, L + 3])
def test_soft_search_that_finds_all_is_din(k):
    method, din = build(replace(SOFT, k=k, target_attention="din")), DIN(SOFT, HistoryShape(D, L)).double()
    din.attention.load_state_dict(method.attention.state_dict())
    seen, asked = behaviors(), candidates()
    torch.testing.assert_close(method(seen, asked).vectors, din(seen, asked).vectors)
    fewer = build(replace(SOFT, k=L - 1, target_attention="din"))
    assert not torch.allclose(fewer(seen, asked).vectors, din(seen, asked).vectors)


@pytest.mark.parametrize("settings", [HARD, SOFT], ids=["hard", "soft"])
def test_one_behavior_gets_all_the_weight_whatever_padding_stands_beside_it(settings):
    method, seen = build(settings), all_the_same(behaviors((1, L)))
    asked = candidates(1, requests=2)
    attention = method.attention
    expected = seen.vectors[:1, :1] @ attention.W_V @ attention.W_O
    torch.testing.assert_close(method(seen, asked).vectors[:1], expected)


def test_heads_that_do_not_divide_the_width_are_refused():
    for method in ("sim", "eta", "twin"):
        with pytest.raises(UserError, match=r"heads = 3 does not divide D = 4") as caught:
            build(ModelSettings(method=method, heads=3))
        assert "heads" in caught.value.remedy
    build(ModelSettings(method="sim", heads=3, target_attention="din"))
