"""The costs of methods whose records are sums over all behaviors equal what their code does."""

from dataclasses import replace

import pytest
import torch

from lrea_cli.kernels import gemm
from lrea_cli.recipe.settings import CACHE_DTYPES
from lrea_cli.records.format import RecordFormat
from lrea_cli.sequence import Candidates
from tests.methods.counting import SUMS, counted, counts_of, full, make
from tests.methods.test_contract import name_of

D, L, N = 4, 9, 3
every_sum = pytest.mark.parametrize("settings", SUMS, ids=name_of)


@every_sum
@pytest.mark.parametrize(
    ("n", "width", "rank", "candidates"), [(1, 1, 1, 1), (5, 3, 5, 2), (65, 4, 7, 1), (131, 7, 66, 9)]
)
def test_flops_are_those_of_summarize_seal_and_attend(settings, n, width, rank, candidates):
    method = make(replace(settings, rank=rank), width, 131)

    def offline(vectors):
        return method.seal(method.summarize(full(vectors)), "float32")

    def whole(vectors, asked):
        method.attend(offline(vectors), Candidates(asked, torch.ones(1), torch.ones(1)), gemm)

    vectors, cost = torch.randn(1, n, width), method.cost_of(n, candidates)
    offline_counts = counted(offline, vectors)
    assert counts_of(cost.offline) == tuple(offline_counts)
    assert counts_of(cost.request) == tuple(counted(whole, vectors, torch.randn(1, candidates, width)) - offline_counts)


@every_sum
@pytest.mark.parametrize("n", [0, 1, 4, L - 1])
def test_flops_of_a_click_are_those_of_append(settings, n):
    method = make(settings, D, L)
    stream = torch.randn(1, n + 1, D, dtype=torch.float64)
    record = method.recorded(full(stream[:, 1:]), "float32")
    tensors = [getattr(record, f.name) for f in method.record]

    def append(new, *fields):
        kept = {f.name: tensor for f, tensor in zip(method.record, fields, strict=True)}
        method.append(replace(record, **kept, rows=record.rows.repeat(len(new))), full(new))

    assert tuple(counted(append, stream[:, :1], *tensors)) == counts_of(method.cost_of(n, 1).behavior)


@every_sum
def test_at_L_the_oldest_behavior_leaves_by_the_same_work(settings):
    method = make(settings, D, L)
    one, two = method.cost_of(L - 1, N).behavior, method.cost_of(L, N).behavior
    assert counts_of(two) == tuple(2 * part for part in counts_of(one))
    assert two.bytes == one.bytes


@every_sum
@pytest.mark.parametrize("dtype", CACHE_DTYPES)
def test_a_click_writes_the_whole_record(settings, dtype):
    method = make(settings, D, L).double()
    stream = torch.randn(1, L + 1, D, dtype=torch.float64)
    for n in range(1, L + 1):
        before, now = (method.summarize(full(stream[:, part])) for part in (slice(1, n + 1), slice(0, min(n + 1, L))))
        work = method.cost_of(n, N, dtype).behavior
        rows = method.record[0].name
        assert ((getattr(before, rows) - getattr(now, rows)).abs().amax(-1) > 0).sum() == work.rows
        assert work.bytes == RecordFormat(method.record, dtype).bytes_of({"rows": method.rows_of(n)})


@every_sum
def test_a_request_costs_the_same_at_any_length(settings):
    method = make(settings, D, L)
    assert len({method.cost_of(n, N).request for n in range(1, L + 1)}) == 1
