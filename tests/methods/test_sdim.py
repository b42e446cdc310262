"""SDIM keeps the sums of buckets, and no behaviors."""

from dataclasses import replace

import pytest
import torch

from lrea_cli.errors import UserError
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.recipe.settings import CACHE_DTYPES, ModelSettings
from lrea_cli.records.format import RecordFormat
from tests.methods.test_contract import D, L, behaviors, build, candidates

SETTINGS = ModelSettings(method="sdim", m=6, tau=2)
GROUPS, ROWS = 3, 3 * 2**2


def of(vectors):
    """One history of the given vectors (n, D)."""
    seen = behaviors((len(vectors),), len(vectors))
    return replace(seen, vectors=vectors[None])


def asking(vector):
    return replace(candidates(1, requests=1), vectors=vector.view(1, 1, D))


@pytest.mark.parametrize("dtype", CACHE_DTYPES)
def test_a_record_has_one_size_from_the_first_behavior_on(dtype):
    """Sums are float32 in a float16 cache, too, since they can exceed it; int8 keeps a scale for each."""
    method = build(SETTINGS)
    layout = RecordFormat(method.record, dtype)
    assert method.summarize(behaviors((0, 1, 2, L))).rows.tolist() == [0, ROWS, ROWS, ROWS]
    assert method.summarize(behaviors()).sums.shape[1:] == (ROWS, D)
    row = D + 2 if dtype == "int8" else 4 * D
    assert layout.bytes_of({"rows": ROWS}) - layout.bytes_of({"rows": 0}) == ROWS * row
    sealed = method.seal(method.summarize(of(1e5 * torch.ones(3, D, dtype=torch.float64))), dtype)
    assert sealed.sums.isfinite().all()


def test_the_order_of_the_history_is_not_kept():
    method, seen = build(SETTINGS), behaviors((L,))
    order = torch.randperm(L, generator=torch.Generator().manual_seed(0))
    moved = replace(seen, vectors=seen.vectors[:, order])
    torch.testing.assert_close(method.summarize(moved).sums, method.summarize(seen).sums)
    asked = asking(seen.vectors[0, 0])
    torch.testing.assert_close(method(moved, asked).vectors, method(seen, asked).vectors)


def test_a_behavior_is_added_to_one_bucket_of_each_group():
    method, seen = build(SETTINGS), behaviors((L,))
    sums = method.summarize(seen).sums.view(GROUPS, -1, D)
    torch.testing.assert_close(sums.sum(1), seen.vectors.sum(1).expand(GROUPS, D))
    one = method.summarize(of(seen.vectors[0, :1])).sums.view(GROUPS, -1, D)
    assert one.any(-1).sum(1).tolist() == [1] * GROUPS


def test_padding_is_in_no_bucket():
    """Padding has a code, too, that of bucket 0, but its zero rows add nothing to the sum."""
    method = build(SETTINGS)
    narrow, wide = (method.summarize(behaviors((4,), width)).sums for width in (4, L))
    torch.testing.assert_close(narrow, wide)


def test_a_candidate_whose_buckets_are_empty_has_no_interest():
    """The opposite vector differs in every bit."""
    method = build(SETTINGS)
    e = behaviors((1,)).vectors[0, 0]
    assert not method(of(e[None]), asking(-e)).vectors.any()
    torch.testing.assert_close(method(of(e[None]), asking(3 * e)).vectors[0, 0], e / e.norm())


def test_the_length_of_a_sum_does_not_count():
    method, seen = build(SETTINGS), behaviors((L,))
    e = seen.vectors[0, 0]
    longer = torch.cat([seen.vectors[0], seen.vectors[0]]) * 7
    torch.testing.assert_close(method(of(longer), asking(e)).vectors, method(seen, asking(e)).vectors)
    torch.testing.assert_close(method(of(torch.stack([e, e, e])), asking(e)).vectors[0, 0], e / e.norm())


def test_a_batch_of_empty_histories_read_from_a_store_has_no_interest():
    """Their records have no row, so a batch of them is one row wide."""
    method, asked = build(SETTINGS), candidates(requests=2)
    summary = method.summarize(behaviors((0, 0)))
    stored = replace(summary, sums=summary.sums[:, :1])
    actual = method.attend(stored, asked)
    assert actual.shape == asked.vectors.shape
    assert not actual.any()


@pytest.mark.parametrize(("m", "tau", "use"), [(48, 5, 45), (2, 3, 3)])
def test_hashes_that_make_no_whole_groups_are_refused(m, tau, use):
    with pytest.raises(UserError, match=rf"m = {m} is no multiple of tau = {tau}") as caught:
        Recipe().with_flags({"model": {"method": "sdim", "m": m, "tau": tau}})
    assert f"m = {use}" in caught.value.remedy
    Recipe().with_values({"model": {"method": "eta", "m": m, "tau": tau}})
    Recipe().with_flags({"model": {"method": "sdim", "m": use, "tau": tau}})
