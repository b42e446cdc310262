"""The costs of sim, eta, sdim, twin and vq equal what their code does."""

from dataclasses import replace

import pytest
import torch

from lrea_cli.kernels import gemm
from lrea_cli.methods.cost import Work, as_ids, record_bytes
from lrea_cli.recipe.settings import CACHE_DTYPES
from lrea_cli.records.format import RecordFormat
from lrea_cli.sequence import Behaviors, Candidates
from tests.methods.counting import SEARCHED, counted, counts_of, full, make
from tests.methods.test_contract import name_of

D, L, N = 4, 9, 3
OF_SUMS = ("sdim", "vq")
every_searched = pytest.mark.parametrize("settings", SEARCHED, ids=name_of)
row_per_behavior = pytest.mark.parametrize("settings", [s for s in SEARCHED if s.method not in OF_SUMS], ids=name_of)
every_shape = pytest.mark.parametrize(
    ("n", "k", "width", "heads", "candidates", "m", "tau"),
    [
        (1, 1, 1, 1, 1, 1, 1),
        (5, 7, 3, 3, 2, 9, 3),
        (7, 3, 6, 2, 4, 8, 4),
        (65, 64, 4, 4, 1, 10, 2),
        (131, 20, 7, 1, 9, 17, 1),
    ],
)
by_method = {s.method: s for s in SEARCHED}


def asked(vectors):
    """Candidates (B, N, D) of two categories, at a time after all behaviors."""
    category = (2 + torch.arange(vectors.shape[1]) % 2).expand(vectors.shape[:2]).int()
    return Candidates(vectors, category > 0, category, category, torch.full((len(vectors),), 2 * 10**6))


@pytest.mark.parametrize(
    ("settings", "categories"),
    [*((settings, True) for settings in SEARCHED), (by_method["twin"], False)],
    ids=lambda value: value if isinstance(value, bool) else name_of(value),
)
@every_shape
def test_flops_are_those_of_summarize_seal_and_attend(settings, n, k, width, heads, candidates, m, tau, categories):
    method = make(replace(settings, k=k, heads=heads, m=m, tau=tau), width, 131, categories)

    def offline(vectors):
        return method.seal(method.summarize(full(vectors)), "float32")

    def whole(vectors, asked_vectors):
        method.attend(offline(vectors), asked(asked_vectors), gemm)

    vectors, cost = torch.randn(1, n, width), method.cost_of(n, candidates)
    offline_counts = counted(offline, vectors)
    assert counts_of(cost.offline) == tuple(offline_counts)
    assert counts_of(cost.request) == tuple(counted(whole, vectors, torch.randn(1, candidates, width)) - offline_counts)


@row_per_behavior
def test_a_new_behavior_costs_what_one_row_costs(settings):
    method = make(settings, D, L)
    for n in range(L + 1):
        assert counts_of(method.cost_of(n, N).behavior) == counts_of(method.cost_of(1, N).offline)


@row_per_behavior
@pytest.mark.parametrize("dtype", CACHE_DTYPES)
def test_a_new_behavior_changes_one_row_of_a_record_of_behaviors(settings, dtype):
    method, stream = make(settings, D, L).double(), full(torch.randn(1, L + 1, D, dtype=torch.float64))
    layout = RecordFormat(method.record, dtype)
    eight_rows = layout.bytes_of({"rows": 16}) - layout.bytes_of({"rows": 8})  # no padding between fields of 8 rows
    for n in range(L + 1):
        before, now = (rows_of(method, stream, part) for part in (slice(1, n + 1), slice(0, min(n + 1, L))))
        work = method.cost_of(n, N, dtype).behavior
        assert work.rows == len(now) - sum(row in before for row in now) == 1
        assert work.bytes == 24 + eight_rows / 8


def rows_of(method, stream, part):
    """The rows of the record of a part of a stream of behaviors, newest first."""
    of_behaviors = (stream.vectors, stream.mask, stream.item, stream.category, stream.time)
    with torch.no_grad():
        summary = method.summarize(Behaviors(*(tensor[:, part] for tensor in of_behaviors)))
    tensors = (getattr(summary, f.name)[0].double() for f in method.record)
    fields = [tensor if tensor.dim() == 2 else tensor[:, None] for tensor in tensors]
    return [tuple(row) for row in torch.cat(fields, 1).round(decimals=9).tolist()]


@pytest.mark.parametrize("dtype", CACHE_DTYPES)
def test_a_new_behavior_of_sdim_changes_a_row_in_each_group_and_at_L_two(dtype):
    method, generator = make(by_method["sdim"], D, L).double(), torch.Generator().manual_seed(5)
    stream = torch.randn(1, L + 1, D, generator=generator, dtype=torch.float64)
    for n in range(L + 1):
        sums = [method.summarize(full(stream[:, part])).sums[0] for part in (slice(1, n + 1), slice(0, min(n + 1, L)))]
        changed = (sums[0] - sums[1]).abs().amax(1) > 1e-9
        work = method.cost_of(n, N, dtype).behavior
        assert work.bytes == 24 + (D + 2 if dtype == "int8" else 4 * D) * work.rows  # in float16, too, sums are float32
        if n == 0:
            assert work.rows == len(changed)
            assert work.bytes == record_bytes(method.record, len(changed), dtype)
        else:
            new, old = (method._buckets(stream[:, k : k + 1])[0, 0] for k in (0, L))
            shared = int((new == old).sum()) if n == L else 0
            assert work.rows == int(changed.sum()) + shared
            assert work.rows == method.groups * (2 if n == L else 1)


@pytest.mark.parametrize("n", [1, 4, L])
def test_sdim_is_updated_without_its_history(n):
    """The update that `behavior_work` counts gives the sums of a rebuild; the oldest behavior is subtracted."""
    method, stream = make(by_method["sdim"], D, L).double(), torch.randn(1, L + 1, D, dtype=torch.float64)
    first = torch.arange(method.groups) * method.size

    def update(sums, new, oldest):
        users = torch.arange(len(sums))[:, None]
        for vector, sign in ((new, 1), (oldest, -1)) if n == L else ((new, 1),):
            at = method._buckets(vector)[:, 0] + first
            rows = sums[users, at]
            sums[users, at] = rows + vector if sign > 0 else rows - vector
        return sums

    before = method.summarize(full(stream[:, 1 : n + 1])).sums
    arguments = (stream[:, :1], stream[:, n : n + 1])
    after = method.summarize(full(stream[:, : min(n + 1, L)])).sums
    torch.testing.assert_close(update(before.clone(), *arguments), after)
    assert tuple(counted(lambda sums, *rest: update(sums.clone(), *rest), before, *arguments)) == counts_of(
        method.cost_of(n, 1).behavior
    )


@every_searched
def test_a_request_grows_by_the_candidate(settings):
    """Each further candidate costs the same."""
    method = make(settings, D, L)
    for n in range(1, L + 1):
        one, two, three = (method.cost_of(n, candidates).request.flops for candidates in (1, 2, 3))
        assert three - two == two - one > 0


def test_search_reads_no_more_than_k():
    """Past k behaviors the cost of the search grows, and the cost of the attention does not."""
    for settings in (by_method["sim"], by_method["eta"]):
        method = make(replace(settings, target_attention="din"), D, L)
        less, more = (method.cost_of(n, N).request for n in (settings.k, L))
        searched = method.search_work(L, N).flops - method.search_work(settings.k, N).flops
        assert more.flops - less.flops == searched


def test_sdim_pays_the_same_request_at_any_length():
    method = make(by_method["sdim"], D, L)
    assert len({method.cost_of(n, N).request for n in range(1, L + 1)}) == 1
    assert method.cost_of(0, N).request == Work()


def test_a_record_as_ids():
    """Vectors become the ids of the item fields; codes and times stay, the category is one of the fields."""
    sizes = {}
    for method, settings in by_method.items():
        if method not in OF_SUMS:
            record = make(replace(settings, search="hard", m=48), D, L).record
            sizes[method] = record_bytes(as_ids(record, 2), 10)
    assert sizes == {"sim": 24 + 80, "eta": 24 + 80 + 64, "twin": 24 + 80 + 80}
