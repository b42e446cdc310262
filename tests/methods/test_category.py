"""`category`: what a candidate reads of its own category and of all others, ages, missing values, costs, and clicks."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lrea_cli.attention import Attention, history_scale
from lrea_cli.errors import UserError
from lrea_cli.kernels import gemm, naive
from lrea_cli.methods import HistoryShape
from lrea_cli.methods.category import Category
from lrea_cli.methods.cost import paired_work, record_bytes
from lrea_cli.recipe.settings import CACHE_DTYPES, ModelSettings
from lrea_cli.records.format import RecordFormat
from lrea_cli.sequence import Behaviors, Candidates
from tests.methods.counting import counted, counts_of, make
from tests.methods.test_contract import D, L, assert_equals_the_loops, behaviors, build, candidates

PLAIN = ModelSettings(method="category", shared_rows=0)
SHARED = replace(PLAIN, shared_rows=3)
RECENT = replace(PLAIN, half_life=2)
ALL = replace(SHARED, half_life=4)
every_form = pytest.mark.parametrize("settings", [PLAIN, SHARED, RECENT, ALL], ids=["plain", "shared", "recent", "all"])
CATEGORIES = [2, 3, 2, 1, 5, 2, 1, 3, 2]
"""Newest first; 1 is a missing one."""


def seen_with(categories):
    seen = behaviors((len(categories),), len(categories))
    return replace(seen, category=torch.tensor([categories], dtype=torch.int32))


def asking(*categories):
    asked = candidates(len(categories), requests=1)
    return replace(asked, category=torch.tensor([categories], dtype=torch.int32))


def by(attention, e, key, value):
    """DIN's scorer on one key."""
    return naive(e[None, None], key[None, None], value[None, None], attention.weights)[0, 0]


def test_a_record_has_a_row_a_category_in_the_order_of_its_first_behavior():
    seen = seen_with(CATEGORIES)
    found = build(PLAIN).summarize(seen)
    assert found.rows.tolist() == [4]
    assert found.category.tolist() == [[2, 3, 1, 5]]
    assert found.count.tolist() == [[4, 2, 2, 1]]
    for row, category in enumerate([2, 3, 1, 5]):
        own = [place for place, other in enumerate(CATEGORIES) if other == category]
        torch.testing.assert_close(found.sums[0, row], seen.vectors[0, own].sum(0))


def test_a_candidate_reads_the_mean_and_the_sum_of_its_category():
    method, seen, asked = build(PLAIN), seen_with([2, 2, 2, 2]), asking(2, 3)
    scale, total, mean = 4**-0.5, seen.vectors[0].sum(0), seen.vectors[0].mean(0)
    found = method(seen, asked).vectors[0]
    e = asked.vectors[0]
    torch.testing.assert_close(found[0], by(method.attention, e[0], mean, scale * total))
    torch.testing.assert_close(found[1], by(method.rest_attention, e[1], mean, scale * total))


def test_all_others_are_all_rows_less_the_own_one():
    method, seen, asked = build(PLAIN), seen_with(CATEGORIES), asking(3)
    own = [place for place, category in enumerate(CATEGORIES) if category == 3]
    rest = [place for place in range(L) if place not in own]
    e, E, scale = asked.vectors[0, 0], seen.vectors[0], L**-0.5
    expected = by(method.attention, e, E[own].mean(0), scale * E[own].sum(0))
    expected += by(method.rest_attention, e, E[rest].mean(0), scale * E[rest].sum(0))
    for interest in (method(seen, asked).vectors, method.attend(method.summarize(seen), asked)):
        torch.testing.assert_close(interest[0, 0], expected)


def test_others_are_exact_where_almost_all_behaviors_are_own():
    """In float32 a sum of thousands, less almost all of it, would keep few digits of the one behavior that is left."""
    method = make(PLAIN, D, 4000)
    vectors = torch.full((1, 4000, D), 0.7)
    vectors[0, 0] = 1e-3 * torch.arange(1, D + 1)
    category = torch.full((1, 4000), 2, dtype=torch.int32)
    category[0, 0] = 3
    seen = Behaviors(vectors, category > 0, category, category)
    method.attention.w_o.data.zero_()
    asked, rest = asking(2), vectors[0, 0]
    asked = replace(asked, vectors=asked.vectors.float())
    expected = by(method.rest_attention, asked.vectors[0, 0], rest, 4000**-0.5 * rest)
    found = method.attend(method.recorded(seen, "float32"), asked)[0, 0]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


def test_shared_rows_stand_for_all_behaviors_beside_the_own_row():
    method, seen, asked = build(SHARED), seen_with(CATEGORIES), asking(3, 4, 1)
    E, scale = seen.vectors[0], L**-0.5
    shares = method.prototypes.shares(seen)[0]
    sums = shares.T @ E
    keys = sums / shares.sum(0)[:, None]
    shared = naive(asked.vectors, keys[None], scale * sums[None], method.rest_attention.weights)[0]
    own = [place for place, category in enumerate(CATEGORIES) if category == 3]
    first = by(method.attention, asked.vectors[0, 0], E[own].mean(0), scale * E[own].sum(0))
    found = method(seen, asked).vectors[0]
    torch.testing.assert_close(found, torch.stack([shared[0] + first, shared[1], shared[2]]))


def test_recent_behaviors_count_by_how_many_are_newer():
    """Half life 2: the newest behavior counts 1, the one after two newer ones a half."""
    method, seen, asked = build(RECENT), seen_with([3, 2, 3, 2, 2]), asking(2)
    places = torch.tensor([1, 3, 4])
    weights = 2 ** (-places / 2.0).double()
    E = seen.vectors[0, places]
    recent = weights @ E
    plain = build(RECENT)
    plain.recent_attention.w_o.data.zero_()
    found = (method(seen, asked).vectors - plain(seen, asked).vectors)[0, 0]
    expected = by(method.recent_attention, asked.vectors[0, 0], recent / weights.sum(), 5**-0.5 * recent)
    torch.testing.assert_close(found, expected)
    summary = method.summarize(seen)
    assert summary.category.tolist() == [[2, 3]]
    assert summary.newest.tolist() == [[4, 5]]  # counted from the oldest
    torch.testing.assert_close(summary.weight[0, 0], (weights / weights[0]).sum())


def test_a_missing_category_has_no_own_row_and_is_among_the_others():
    method, seen = build(PLAIN), seen_with([1, 1, 1])
    asked = asking(1, 7)
    e, E = asked.vectors[0], seen.vectors[0]
    expected = [by(method.rest_attention, e[n], E.mean(0), 3**-0.5 * E.sum(0)) for n in (0, 1)]
    torch.testing.assert_close(method(seen, asked).vectors[0], torch.stack(expected))


@every_form
def test_missing_and_unseen_categories_equal_the_loops(settings):
    seen, asked = behaviors(), candidates(4)
    category = torch.where((torch.arange(L) % 3 == 0) & seen.mask, 1, seen.category)
    category[0, 1] = 4_000_000
    for_each = torch.tensor([1, 2, 4_000_000, 3], dtype=torch.int32).expand(len(category), -1)
    assert_equals_the_loops(settings, replace(seen, category=category), replace(asked, category=for_each))


def test_a_dataset_without_categories_is_refused_with_a_remedy():
    with pytest.raises(UserError, match="reads no field 'category'") as caught:
        Category(PLAIN, HistoryShape(D, L, categories=False))
    assert "category column" in caught.value.remedy


def test_a_click_of_a_known_category_changes_one_row_and_one_of_a_new_category_adds_one():
    method, seen = build(PLAIN), seen_with([5, 2, 3, 2])
    before = method.recorded(seen.places(slice(2, None)), "float32")
    known = method.append(before, seen.places(slice(1, 2)))
    assert known.category.tolist() == before.category.tolist() == [[2, 3]]
    assert torch.equal(known.sums[0, 1], before.sums[0, 1])
    assert not torch.equal(known.sums[0, 0], before.sums[0, 0])
    new = method.append(known, seen.places(slice(0, 1)))
    assert new.category.tolist() == [[2, 3, 5]]
    assert torch.equal(new.sums[0, :2], known.sums[0])


@every_form
def test_users_with_different_numbers_of_clicks_get_the_bits_of_a_batch_of_one(settings):
    """Padding of the clicks, other users in the batch and its width leave no trace."""
    method, seen = build(settings), behaviors((9, 4, 0, 7))
    before = method.recorded(behaviors((9, 0, 0, 7)).places(slice(4, None)), "float32")
    newest = seen.places(slice(0, 4))
    together = method.append(before, newest)
    for user in range(4):
        alone = method.recorded(seen.of_users(slice(user, user + 1)), "float32")
        if user == 1:  # all of its behaviors are new
            alone = method.recorded(newest.of_users(slice(1, 2)), "float32")
        rows = int(alone.rows)
        assert together.rows[user] == rows
        for field in method.record:
            cut = slice(0, rows) if field.rows == "rows" else slice(None)
            assert torch.equal(getattr(together, field.name)[user, cut], getattr(alone, field.name)[0, cut]), field.name


@every_form
def test_a_record_that_was_appended_to_is_that_of_a_long_history(settings):
    """Hundreds of behaviors of tens of categories, in clicks of one to nine."""
    generator = torch.Generator().manual_seed(4)
    method = make(settings, 8, 300)
    mask = torch.ones(2, 300, dtype=torch.bool)
    ids = torch.randint(1, 40, mask.shape, generator=generator, dtype=torch.int32)
    seen = Behaviors(torch.randn(2, 300, 8, generator=generator), mask, ids, ids)
    record, left = method.recorded(seen.places(slice(300, None)), "float32"), 300
    while left:
        newer = min(left, int(torch.randint(1, 10, (), generator=generator)))
        record, left = method.append(record, seen.places(slice(left - newer, left)).double()), left - newer
    whole = method.recorded(seen, "float32")
    for field in method.record:
        assert torch.equal(getattr(record, field.name), getattr(whole, field.name)), field.name


@every_form
def test_a_batch_of_empty_histories_read_from_a_store_has_no_interest(settings):
    method, asked = build(settings), candidates(requests=2)
    assert not method.attend(method.recorded(behaviors((0, 0)), "float32"), asked).any()


def each_its_own(vectors, first=2):
    """Histories without padding, every behavior of a category of its own."""
    mask = torch.ones(vectors.shape[:2], dtype=torch.bool)
    category = (first + torch.arange(vectors.shape[1])).expand(mask.shape).int()
    return Behaviors(vectors, mask, category, category)


@every_form
@pytest.mark.parametrize(("n", "width", "candidates"), [(1, 1, 1), (5, 3, 2), (40, 8, 7)])
def test_flops_are_those_of_the_code(settings, n, width, candidates):
    method = make(settings, width, 40)
    cost = method.cost_of(n, candidates)
    vectors, asked = torch.randn(1, n, width), torch.randn(1, candidates, width)
    made = counted(lambda E: method.recorded(each_its_own(E), "float32"), vectors).sum()
    assert cost.offline.flops == made
    assert cost.offline.products == 2 * n * width * settings.shared_rows  # term by term, so the counter saw no product

    def attend(e, *tensors):
        ids = torch.full(e.shape[:2], 2, dtype=torch.int32)
        fields = dict(zip(names, tensors, strict=True))
        summary = replace(record, **fields, rows=torch.full((len(e),), n))
        method.attend(summary, Candidates(e, ids > 0, ids, ids), gemm)

    record = method.recorded(each_its_own(vectors), "float32")
    names = [field.name for field in method.record]
    actual = counted(attend, asked, *(getattr(record, name) for name in names))
    assert counts_of(cost.request) == tuple(actual)


@every_form
@pytest.mark.parametrize("dtype", CACHE_DTYPES)
def test_bytes_and_changed_rows_are_those_of_the_record(settings, dtype):
    """A new behavior changes one row of a category and every shared one; at n = L the oldest leaves another row."""
    method = make(settings, D, L)
    layout, stream = RecordFormat(method.record, dtype), torch.randn(1, L + 1, D)
    for n in range(L + 1):
        before, after = (
            method.recorded(each_its_own(stream[:, part].flip(1)), "float32")
            for part in (slice(0, n), slice(0, min(n + 1, L)))
        )
        cost = method.cost_of(n, 3, dtype)
        assert (cost.offline.rows, cost.offline.bytes) == (n, layout.bytes_of({"rows": n}))
        assert cost.offline.bytes == record_bytes(method.record, n, dtype)
        moved = 2 if n == L else 1
        assert cost.behavior.rows == moved + settings.shared_rows
        assert int(after.rows - before.rows) == (0 if n == L else 1)
    row = layout.bytes_of({"rows": 16}) - layout.bytes_of({"rows": 8})
    shared = sum(
        c.rows * np.dtype(c.dtype).itemsize * int(np.prod(c.shape)) for c in layout.columns if c.rows != "rows"
    )
    assert method.cost_of(3, 1, dtype).behavior.bytes == 24 + row / 8 + shared


@every_form
def test_the_cost_of_a_click_is_that_of_appending_it(settings):
    method = make(settings, D, L)
    seen = torch.randn(1, 5, D)

    def append(E):
        method.append(method.recorded(each_its_own(E[:, 1:], 3), "float32"), each_its_own(E[:, :1]).double())

    before = counted(lambda E: method.recorded(each_its_own(E[:, 1:], 3), "float32"), seen).sum()
    assert method.cost_of(4, 1).behavior.flops == counted(append, seen).sum() - before


def test_a_key_for_each_candidate_is_read_as_by_the_slow_kernel():
    torch.manual_seed(0)
    attention = Attention(D).double()
    e, keys, values = torch.randn(3, 2, 5, D, dtype=torch.float64)
    flat = [x.flatten(0, 1)[:, None] for x in (e, keys, values)]
    torch.testing.assert_close(attention.paired(e, keys, values), naive(*flat, attention.weights).view(e.shape))
    assert counts_of(paired_work(D, len(attention.w_o), 5)) == tuple(
        counted(attention.float().paired, *(x[:1].float() for x in (e, keys, values)))
    )


def test_the_scale_is_that_of_the_whole_history():
    """c(n) of all behaviors, not of those of the category."""
    method, asked = build(PLAIN), asking(2)
    method.rest_attention.w_o.data.zero_()
    one = seen_with([2])
    more = seen_with([2, 3, 3, 3])
    more = replace(more, vectors=torch.cat([one.vectors, more.vectors[:, 1:]], 1))
    ratio = float(history_scale(torch.tensor([4])))
    torch.testing.assert_close(method(more, asked).vectors, ratio * method(one, asked).vectors)
