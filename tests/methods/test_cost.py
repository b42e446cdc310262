"""The costs of methods equal what their code does: products, element-wise work, bytes and changed rows."""

from dataclasses import astuple, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lrea_cli.attention import HIDDEN, history_scale
from lrea_cli.kernels import gemm
from lrea_cli.methods.cost import Work, pseudo_item_work, record_bytes
from lrea_cli.recipe.settings import CACHE_DTYPES, ModelSettings
from lrea_cli.records.format import Record, RecordFormat
from lrea_cli.sequence import Candidates, PseudoItems
from tests.methods.counting import PSEUDO, SEARCHED, SUMS, counted, counts_of, full, make
from tests.methods.test_contract import RANK, D, L, behaviors, build, name_of

every_variant = pytest.mark.parametrize("settings", PSEUDO, ids=name_of)
every_method = pytest.mark.parametrize("settings", PSEUDO + SEARCHED + SUMS, ids=name_of)
sizes = st.integers(1, 200)


@every_variant
@pytest.mark.parametrize(("n", "width", "rank"), [(1, 1, 1), (5, 3, 5), (7, 5, 3), (65, 4, 7), (131, 7, 66)])
def test_offline_flops_are_those_of_summarize_and_seal(settings, n, width, rank):
    method = make(replace(settings, rank=rank), width, 131)

    def offline(vectors):
        method.seal(method.summarize(full(vectors)), "float32")

    work = method.cost_of(n, 1).offline
    actual = counted(offline, torch.randn(1, n, width))
    if settings.short_histories == "mix":
        assert counts_of(work) == tuple(actual)
    else:  # a batch has both kinds of rows made for every user, and throws one away
        mixed = make(replace(settings, rank=rank, short_histories="mix"), width, 131).cost_of(n, 1).offline
        assert (mixed.products, mixed.elementwise + n * width) == tuple(actual)
        assert work.flops < actual.sum()


@pytest.mark.parametrize(("rows", "width", "candidates"), [(1, 1, 1), (3, 5, 2), (64, 3, 7), (65, 4, 1), (131, 7, 9)])
def test_request_flops_are_those_of_attend(rows, width, candidates):
    method = make(ModelSettings(method="din"), width, 500)

    def attend(vectors, keys, values, linear):
        summary = PseudoItems(keys, values, linear, rows=torch.full((len(keys),), rows))
        method.attend(summary, Candidates(vectors, mask=torch.ones(1), item=torch.ones(1)), gemm)

    shapes = [(candidates, width), (rows, width), (rows, width), (width + 1, width)]
    actual = counted(attend, *(torch.randn(1, *shape) for shape in shapes))
    assert counts_of(pseudo_item_work(rows, width, HIDDEN, candidates)) == tuple(actual)
    assert counts_of(method.cost_of(rows, candidates).request) == tuple(actual)


@every_method
@pytest.mark.parametrize("dtype", CACHE_DTYPES)
def test_bytes_and_rows_are_those_of_the_record(settings, dtype):
    method = make(settings, D, L)
    layout = RecordFormat(method.record, dtype)
    for n in range(L + 1):
        rows = int(method.summarize(full(torch.randn(1, n, D))).rows)
        cost = method.cost_of(n, 3, dtype)
        size = layout.bytes_of({"rows": rows})
        assert (cost.offline.rows, cost.offline.bytes) == (rows, size)
        assert (cost.request.rows, cost.request.bytes) == (rows, size if rows else 0)


@given(rows=st.integers(0, 600), width=sizes)
def test_record_bytes_are_the_formats(rows, width):
    fields = make(ModelSettings(method="din"), width, L).record
    for dtype in CACHE_DTYPES:
        layout = RecordFormat(fields, dtype)
        sizes = {"rows": rows}
        arrays = {c.name: np.zeros((c.count(sizes), *c.shape), c.dtype) for c in layout.columns}
        assert record_bytes(fields, rows, dtype) == len(layout.pack(7, Record(0, sizes, arrays)))


@given(rows=sizes, more=sizes, width=sizes, hidden=sizes, candidates=sizes)
def test_a_request_grows_by_the_row_and_by_the_candidate(rows, more, width, hidden, candidates):
    """One request costs what two cost, one for each part of its rows (or candidates), less the part that both pay."""

    def flops(rows, candidates):
        return pseudo_item_work(rows, width, hidden, candidates).flops

    linear = 2 * candidates * width**2
    assert flops(rows + more, candidates) == flops(rows, candidates) + flops(more, candidates) - linear
    maps = 2 * (2 * rows * width * hidden) + rows * hidden
    assert flops(rows, candidates + more) == flops(rows, candidates) + flops(rows, more) - maps


@every_variant
def test_rows_changed_by_a_new_behavior_are_those_of_the_summaries(settings):
    method, stream = build(settings), behaviors((L,) * 2).vectors.flatten(0, 1)
    for n in range(L + 1):
        after = min(n + 1, L)
        before, now = (rows_of(method, stream[start : start + m]) for start, m in ((1, n), (0, after)))
        assert method.cost_of(n, 1).behavior.rows == len(now) - common_rows(before, now), n


def rows_of(method, E):
    """Rows in use as a list of (key, value)."""
    summary = method.summarize(full(E[None]))
    rows = int(summary.rows)
    return [(summary.keys[0, j].detach(), summary.values[0, j].detach()) for j in range(rows)]


def common_rows(before, now):
    """How many rows equal a row of the old record up to one factor common to all values."""
    pairs = [(v0, v1) for k1, v1 in now for k0, v0 in before if torch.allclose(k0, k1)]
    factors = [float(v0 @ v1 / (v0 @ v0)) for v0, v1 in pairs]
    return max((sum(torch.allclose(f * v0, v1) for v0, v1 in pairs) for f in factors), default=0)


@pytest.mark.parametrize("n", [0, 1, 4, L])
def test_kept_rows_are_updated_by_terms_of_rank_one(n):
    """The update that `kept_rows_behavior` counts gives what a rebuild gives."""
    method, stream = build(ModelSettings(method="din")), behaviors((L,) * 2).vectors.reshape(1, -1, D)
    after = min(n + 1, L)
    c_before, c_after = history_scale(torch.tensor([n, after])).tolist()
    half = method.attention.linear_half

    def update(new, values, linear, oldest_key, oldest_value):
        value = c_after * new
        term = half(new, value)
        if n == 0:
            return value, term
        if n == L:
            return torch.cat([value, values[:, :-1]], 1), linear + term - half(oldest_key, oldest_value)
        return torch.cat([value, values * (c_after / c_before)], 1), linear * (c_after / c_before) + term

    E = stream[:, 1 : n + 1]
    before = (stream[:, :1], c_before * E, half(E, c_before * E), E[:, -1:], c_before * E[:, -1:])
    values, linear = update(*before)
    rebuilt = stream[:, :after]
    torch.testing.assert_close(values, c_after * rebuilt)
    torch.testing.assert_close(linear, half(rebuilt, c_after * rebuilt))
    assert torch.linalg.matrix_rank(half(before[0], before[0])[0]) == 1
    assert tuple(counted(update, *before)) == counts_of(method.cost_of(n, 1).behavior)


@pytest.mark.parametrize("n", [0, 1, 4, L])
def test_the_mean_is_updated_from_its_own_row(n):
    method, stream = build(ModelSettings(method="mean")), behaviors((L,) * 2).vectors.reshape(1, -1, D)
    after = min(n + 1, L)
    c_after = float(history_scale(torch.tensor([after])))

    def update(new, key, oldest):
        total = new if n == 0 else n * key + new
        total = total - oldest if n == L else total
        key, value = total / after, c_after * total
        return key, value, method.attention.linear_half(key, value)

    before = (stream[:, :1], stream[:, 1 : n + 1].sum(1, keepdim=True) / max(n, 1), stream[:, n : n + 1])
    key, value, _ = update(*before)
    ((rebuilt_key, rebuilt_value),) = rows_of(method, stream[0, :after])
    torch.testing.assert_close(key[0, 0], rebuilt_key)
    torch.testing.assert_close(value[0, 0], rebuilt_value)
    assert tuple(counted(update, *before)) == counts_of(method.cost_of(n, 1).behavior)


def test_bytes_rewritten_by_a_new_behavior():
    din, lrea, mean, short = (build(PSEUDO[k]) for k in (2, 3, 1, 0))
    row, linear, envelope = 4 * D, 4 * D * (D + 1), 24
    assert din.cost_of(6, 1).behavior.bytes == envelope + row + 7 * row + linear  # c(n) is in all values
    assert din.cost_of(L, 1).behavior.bytes == envelope + row + row + linear
    assert lrea.cost_of(6, 1).behavior == lrea.cost_of(7, 1).offline
    assert lrea.cost_of(L, 1).behavior == lrea.cost_of(L, 1).offline
    assert mean.cost_of(6, 1).behavior.bytes == mean.cost_of(7, 1).offline.bytes
    assert short.cost_of(6, 1).behavior == Work()


def test_lrea_pays_as_full_attention_over_rank_behaviors():
    """The paper's O(B r d) and O(B L d): with the same kernel, the count is the same at the same number of rows."""
    din, lrea = build(PSEUDO[2]), build(PSEUDO[3])
    assert {lrea.cost_of(n, 7).request for n in range(1, L + 1)} == {din.cost_of(RANK, 7).request}
    kept = build(replace(PSEUDO[3], short_histories="exact"))
    for n in range(RANK + 1):
        assert kept.cost_of(n, 7).request == din.cost_of(n, 7).request


@every_method
@given(lengths=st.lists(st.integers(0, L), min_size=1, max_size=20), candidates=st.integers(1, 50))
def test_the_cost_of_users_is_their_mean(settings, lengths, candidates):
    method = make(settings, D, L)
    actual = method.cost(np.array(lengths), candidates, "int8")
    costs = [method.cost_of(n, candidates, "int8") for n in lengths]
    for part in ("offline", "request", "behavior"):
        expected = np.mean([astuple(getattr(c, part)) for c in costs], axis=0)
        np.testing.assert_allclose(astuple(getattr(actual, part)), expected)


@every_method
def test_an_empty_history_costs_a_request_nothing(settings):
    cost = make(settings, D, L).cost(np.zeros(3, dtype=np.int64), 1000)
    assert cost.request == Work()
    assert cost.offline.flops == 0


@pytest.mark.parametrize("settings", PSEUDO[1:] + SEARCHED + SUMS, ids=name_of)
def test_lengths_that_cannot_be_are_refused(settings):
    method = make(settings, D, L)
    for n in (-1, L + 1):
        with pytest.raises(ValueError, match=f"{n} long behaviors: expected 0 to {L}"):
            method.cost(np.array([1, n]), 5)
    with pytest.raises(ValueError, match="no user"):
        method.cost(np.array([], dtype=np.int64), 5)
