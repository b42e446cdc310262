"""One contract for all methods: every method in `METHODS` is tested; settings that change it go to `VARIANTS`."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import pad
from torch.utils._python_dispatch import TorchDispatchMode

from lrea_cli.attention import Attention
from lrea_cli.kernels import gemm
from lrea_cli.methods import METHODS, HistoryShape
from lrea_cli.oracle import searches as reference_searches
from lrea_cli.oracle.model import Long, ReferenceModel, Target
from lrea_cli.oracle.pseudo_items import columns_of
from lrea_cli.recipe.settings import CACHE_DTYPES, ModelSettings
from lrea_cli.records.format import RecordFormat
from lrea_cli.records.past import Past, UserRecords
from lrea_cli.sequence import Behaviors, Candidates
from tests.methods import lrea_loops

B, N, L, D, RANK, K = 4, 3, 9, 4, 5, 3
LENGTHS = (9, 0, 1, 6)
NOW, HOUR = 1_700_000_000, 3600

SEARCHES = [
    ModelSettings(method="sim", k=K, heads=2),
    ModelSettings(method="sim", k=K, heads=2, search="soft"),
    ModelSettings(method="sim", k=K, search="soft", target_attention="din"),
    ModelSettings(method="eta", k=K, heads=2, m=12),
    ModelSettings(method="eta", k=K, m=12, target_attention="din"),
    ModelSettings(method="twin", k=K, heads=2),
    ModelSettings(method="twin-v2", k=2, heads=2, most_members=2),
]
SOFT_LREA = ModelSettings(method="lrea", rank=RANK, heads=2, reader="softmax")
VARIANTS = [
    ModelSettings(method="din-short", rank=RANK),
    ModelSettings(method="mean", rank=RANK),
    ModelSettings(method="din", rank=RANK),
    *(
        ModelSettings(method="lrea", rank=RANK, form=form, decomp_columns=columns, short_histories=short)
        for form in ("decomposed", "absorbed")
        for columns in ("unit", "free")
        for short in ("mix", "exact")
    ),
    *SEARCHES,
    ModelSettings(method="sdim", m=6, tau=2),
    *(ModelSettings(method="category", shared_rows=r, half_life=h) for r in (0, 3) for h in (0, 4)),
    *(
        ModelSettings(method="sketch", rank=RANK, layers=layers, normalize=over, temperature=1.0)
        for layers in (1, 2)
        for over in ("prototypes", "tokens")
    ),
    *(ModelSettings(method="vq", codes=codes, heads=heads) for codes, heads in ((3, 2), (6, 1), (20, 4))),
    ModelSettings(method="mean", heads=2, reader="softmax"),
    ModelSettings(method="din", heads=2, reader="softmax"),
    *(
        ModelSettings(
            method="sketch", rank=RANK, layers=layers, normalize=over, temperature=1.0, heads=2, reader="softmax"
        )
        for layers in (1, 2)
        for over in ("prototypes", "tokens")
    ),
    *(
        replace(SOFT_LREA, form=form, decomp_columns=columns, short_histories=short)
        for form in ("decomposed", "absorbed")
        for columns in ("unit", "free")
        for short in ("mix", "exact")
    ),
    ModelSettings(method="din", scorer_hidden=5),
]
VARIED = {settings.method for settings in VARIANTS}
VARIANTS += [ModelSettings(method=name, rank=RANK, k=K, heads=2) for name in METHODS if name not in VARIED]
NEWEST = [s for s in SEARCHES if s.method == "eta" or (s.method, s.search) == ("sim", "hard")]
"""Searches that select the newest of equal matches."""


def name_of(settings):
    own = {
        "lrea": (settings.form, settings.decomp_columns, settings.short_histories),
        "sim": (settings.search, settings.target_attention),
        "eta": (settings.target_attention,),
        "category": (str(settings.shared_rows), str(settings.half_life)),
        "sketch": (str(settings.layers), settings.normalize),
        "vq": (str(settings.codes),),
    }
    reader = [settings.reader] * (settings.reader != "din")
    hidden = [f"H{settings.scorer_hidden}"] * (settings.scorer_hidden != ModelSettings.scorer_hidden)
    return "-".join([settings.method, *own.get(settings.method, ()), *reader, *hidden])


every_variant = pytest.mark.parametrize("settings", VARIANTS, ids=name_of)
every_search = pytest.mark.parametrize("settings", SEARCHES, ids=name_of)
every_newest = pytest.mark.parametrize("settings", NEWEST, ids=name_of)


def build(settings):
    """A method in float64 with every parameter moved away from its start."""
    torch.manual_seed(3)
    method = METHODS[settings.method](settings, HistoryShape(D, L)).double()
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return method


def behaviors(lengths=LENGTHS, width=L, seed=0):
    """Categories 2 and 3; ages of minutes to months; all zero where masked."""
    generator = torch.Generator().manual_seed(seed)
    requests = len(lengths)
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    vectors = torch.randn(requests, L, D, generator=generator, dtype=torch.float64)
    item = torch.randint(2, 9, (requests, L), generator=generator)
    category = torch.randint(2, 4, (requests, L), generator=generator, dtype=torch.int32)
    steps = 2 ** (20 * torch.rand(requests, L, generator=generator, dtype=torch.float64))
    time = NOW - 60 - steps.cumsum(1).long()
    more = max(0, width - L)
    item, category, time = (pad(ids, (0, more))[:, :width] * mask for ids in (item, category, time))
    vectors = pad(vectors, (0, 0, 0, more))[:, :width].masked_fill(~mask[..., None], 0.0)
    return Behaviors(vectors, mask, item, category, time)


def candidates(count=N, requests=B, seed=1):
    """Categories 2, 3, and 4, which no behavior has."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(requests, count, D, generator=generator, dtype=torch.float64)
    mask, item = torch.ones(requests, count, dtype=torch.bool), torch.full((requests, count), 2)
    category = (torch.arange(count, dtype=torch.int32) % 3 + 2).expand(requests, count)
    return Candidates(vectors, mask, item, category, torch.full((requests,), NOW))


def all_the_same(seen):
    """The histories with one category, and vectors that differ in length alone, so their codes are equal."""
    lengths = torch.arange(1, L + 1, dtype=torch.float64)[:, None]
    vectors = (seen.vectors[:, :1] * lengths).masked_fill(~seen.mask[..., None], 0.0)
    return replace(seen, vectors=vectors, category=torch.full_like(seen.category, 2) * seen.mask)


def reference_of(method, settings):
    weights = {f"long.{k}": v.detach().numpy() for k, v in method.state_dict().items()}
    return ReferenceModel(weights, (), (), settings)


def long_of(seen, b):
    """The real behaviors of one user, as the loops read them."""
    real = seen.mask[b]
    return Long(seen.vectors[b][real].numpy(), seen.time[b][real].numpy(), seen.category[b][real].numpy())


def target_of(asked, b, n):
    return Target(asked.vectors[b, n].numpy(), int(asked.time[b]), int(asked.category[b, n]))


def loops(method, settings, seen, asked, served):
    """The interests (B, N, D) of the slow twins: of the served form, or of the training form."""
    model, interest = reference_of(method, settings), np.zeros(asked.vectors.shape)
    slow = METHODS[settings.method].slow_twin(model) if served else trained_twin(model)
    for b in range(len(interest)):
        long = long_of(seen, b)
        record = slow.record(long, b)
        for n in range(asked.vectors.shape[1]):
            target = target_of(asked, b, n)
            if settings.method == "din-short":
                continue
            if settings.method == "lrea" and settings.form == "decomposed" and not served:
                interest[b, n] = decomposed(model, target.vector, long.vectors)
            else:
                interest[b, n] = slow.interest(target, long, record)
    return interest


def trained_twin(model):
    """The twin of the training form but for `decomposed`: twin-v2 is trained on behaviors, as twin is."""
    name = "twin" if model.settings.method == "twin-v2" else model.settings.method
    return METHODS[name].slow_twin(model)


def decomposed(model, e_t, E):
    settings = model.settings
    scorer = model.softmax() if settings.reader == "softmax" else model.scorer("long")
    if settings.short_histories == "exact" and len(E) <= RANK:
        return METHODS["lrea"].slow_twin(model).full(e_t, E)
    W_decomp = columns_of(model.weights["long.decomp"], settings.decomp_columns == "unit")
    return lrea_loops.decomposed(e_t, E, model.weights["long.W_comp"], W_decomp, scorer)


def read_by(method, settings, seen, asked):
    """(B, L) bool: the behaviors that an interest reads: all, or those that a search selects for a candidate."""
    model, read = reference_of(method, settings), torch.zeros_like(seen.mask)
    slow = trained_twin(model)
    for b in range(len(read)):
        long = long_of(seen, b)
        record = slow.record(long, b)
        for n in range(asked.vectors.shape[1]):
            for place in places_read(model, target_of(asked, b, n), long, record):
                read[b, place] = True
    return read


def places_read(model, target, long, record):
    settings, E = model.settings, long.vectors
    if settings.method in ("sim", "eta"):
        return METHODS[settings.method].slow_twin(model).search(target, record)
    if settings.method in ("twin", "twin-v2"):
        heads = enumerate(reference_searches.heads(model, D))
        alphas = [(reference_searches.alphas(model, number, target, record), head) for number, head in heads]
        return {p for a, head in alphas for p in reference_searches.largest(a, record["values"][:, head], settings.k)}
    if settings.method == "sdim":
        rows = [reference_searches.bucket_rows(e, model.weights["long.planes"], settings.tau) for e in E]
        asked = reference_searches.bucket_rows(target.vector, model.weights["long.planes"], settings.tau)
        return [place for place, own in enumerate(rows) if set(own) & set(asked)]
    return range(len(E))


def assert_trained_equals_the_loops(settings, seen, asked):
    method = build(settings)
    interest = method(seen, asked).vectors.detach().numpy()
    np.testing.assert_allclose(interest, loops(method, settings, seen, asked, served=False), rtol=1e-9, atol=1e-10)


def assert_served_equals_the_loops(settings, seen, asked):
    method = build(settings)
    interest = method.attend(method.summarize(seen), asked).detach().numpy()
    np.testing.assert_allclose(interest, loops(method, settings, seen, asked, served=True), rtol=1e-9, atol=1e-10)


def assert_equals_the_loops(settings, seen, asked):
    assert_trained_equals_the_loops(settings, seen, asked)
    assert_served_equals_the_loops(settings, seen, asked)


def test_every_method_names_a_twin_of_its_own():
    twins = [method.slow_twin for method in METHODS.values()]
    assert len(set(twins)) == len(twins)


@every_variant
def test_training_form_equals_the_loops(settings):
    assert_trained_equals_the_loops(settings, behaviors(), candidates())


@every_variant
def test_served_form_equals_the_loops(settings):
    assert_served_equals_the_loops(settings, behaviors(), candidates())


@every_variant
def test_all_behaviors_the_same_equal_the_loops(settings):
    same = behaviors((L, K + 1, K, 2))
    same = replace(same, vectors=same.vectors[:, :1] * same.mask[..., None])
    assert_equals_the_loops(settings, same, candidates())


@every_search
def test_missing_categories_equal_the_loops(settings):
    seen, asked = behaviors(), candidates()
    missing = (torch.arange(L) % 2 == 0) & seen.mask
    seen = replace(seen, category=seen.category.masked_fill(missing, 1))
    asked = replace(asked, category=asked.category.clone())
    asked.category[:, 0] = 1
    assert_equals_the_loops(settings, seen, asked)


@every_search
@pytest.mark.parametrize("k", [1, L - 1, L, L + 5])
def test_any_k_equals_the_loops(settings, k):
    assert_equals_the_loops(replace(settings, k=k), behaviors((L, k - 1 if k < L else 4, min(k, L), 1)), candidates())


@every_search
def test_a_search_reads_less_than_all(settings):
    """Otherwise the tests of what a search selects would show nothing."""
    seen = behaviors()
    read = read_by(build(settings), settings, seen, candidates(1)).sum(1)
    assert read[0] < L
    assert (read <= seen.lengths).all()


@every_newest
def test_of_equal_matches_the_newest_are_found(settings):
    method, asked = build(settings), candidates(1)
    same = all_the_same(behaviors((L, K + 1, K, 1)))
    newest = Behaviors(*(t[:, :K] for t in (same.vectors, same.mask, same.item, same.category, same.time)))
    torch.testing.assert_close(method(same, asked).vectors, method(newest, asked).vectors)


@every_newest
def test_the_order_of_a_history_decides_what_is_found(settings):
    method, asked = build(settings), candidates(1)
    same = all_the_same(behaviors((L,) * B))
    oldest_first = replace(same, vectors=same.vectors.flip(1), category=same.category.flip(1), time=same.time.flip(1))
    changed = (method(same, asked).vectors - method(oldest_first, asked).vectors).abs().sum((1, 2))
    assert (changed > 1e-3).all()


@every_variant
def test_every_scorer_of_din_has_the_width_of_the_settings(settings):
    method = build(replace(settings, scorer_hidden=7))
    scorers = [module for module in method.modules() if isinstance(module, Attention)]
    assert all(scorer.weights.W1.shape == (D, 7) for scorer in scorers)
    if settings.method in ("din", "lrea", "mean", "sketch"):
        assert len(scorers) == (settings.reader == "din")


@every_variant
def test_attend_of_summarize_is_forward_unless_decomposed_or_clustered(settings):
    method, seen, asked = build(settings), behaviors(), candidates()
    trained, served = method(seen, asked).vectors, method.attend(method.summarize(seen), asked)
    same = torch.allclose(trained, served, rtol=1e-10, atol=1e-10)
    assert same == (settings.method != "twin-v2" and (settings.method != "lrea" or settings.form == "absorbed"))


@every_variant
def test_padding_changes_nothing(settings):
    method, asked = build(settings), candidates()
    lengths = (4, 0, 1, 3)
    narrow, wide = method(behaviors(lengths, 4), asked), method(behaviors(lengths, L), asked)
    torch.testing.assert_close(narrow.vectors, wide.vectors)
    for name, term in narrow.penalty.items():
        torch.testing.assert_close(term, wide.penalty[name])
    served = [method.attend(method.summarize(behaviors(lengths, width)), asked) for width in (4, L)]
    torch.testing.assert_close(*served)


@every_variant
@pytest.mark.parametrize(("category", "time"), [(2, NOW), (3, NOW - HOUR), (-1, -(2**40)), (2**31 - 1, 2**40)])
def test_ids_and_times_in_padding_change_nothing(settings, category, time):
    method, asked, seen = build(settings), candidates(), behaviors((4, 0, 1, 6))
    ids = torch.full_like(seen.category, category)
    poisoned = replace(
        seen,
        item=torch.where(seen.mask, seen.item, 7),
        category=torch.where(seen.mask, seen.category, ids),
        time=torch.where(seen.mask, seen.time, time),
    )
    assert torch.equal(method(poisoned, asked).vectors, method(seen, asked).vectors)
    assert torch.equal(method.attend(method.summarize(poisoned), asked), method.attend(method.summarize(seen), asked))


@every_variant
def test_an_empty_history_has_no_interest(settings):
    method, seen, asked = build(settings), behaviors((0, 0)), candidates(requests=2)
    assert not method(seen, asked).vectors.any()
    summary = method.summarize(seen)
    assert not method.attend(summary, asked).any()
    assert summary.rows.tolist() == [0, 0]


@every_variant
def test_requests_and_candidates_are_scored_apart(settings):
    method, seen, asked = build(settings), behaviors(), candidates()
    whole = method(seen, asked).vectors
    order = torch.tensor([2, 0, 1])
    permuted = replace(asked, vectors=asked.vectors[:, order], category=asked.category[:, order])
    torch.testing.assert_close(method(seen, permuted).vectors, whole[:, order])
    one = Candidates(*(t[3:, :1] for t in (asked.vectors, asked.mask, asked.item, asked.category)), asked.time[3:])
    torch.testing.assert_close(method(seen.of_users(slice(3, None)), one).vectors, whole[3:, :1])


@every_variant
def test_gradients_reach_what_is_read_and_every_parameter(settings):
    method, seen, asked = build(settings), behaviors(), candidates()
    vectors = seen.vectors.clone().requires_grad_()
    interest = method(replace(seen, vectors=vectors), asked)
    if settings.method == "din-short":
        assert not interest.vectors.requires_grad
        return
    weights = torch.randn(interest.vectors.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    ((interest.vectors * weights).sum() + sum(interest.penalty.values())).backward()
    assert vectors.grad is not None
    reached = vectors.grad.abs().sum(-1) > 0
    read = read_by(method, settings, seen, asked)
    assert torch.equal(reached & seen.mask, read)
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad.abs().max() > 1e-12) == (name not in weights_of_one_row(settings)), name


def weights_of_one_row(settings):
    """Softmax over the one row of `mean` is 1 whatever its score, so what makes the score learns nothing."""
    return ("attention.W_Q", "attention.W_K") if (settings.method, settings.reader) == ("mean", "softmax") else ()


@every_variant
@pytest.mark.parametrize("dtype", CACHE_DTYPES)
def test_a_record_round_trip_serves_the_sealed_summary(settings, dtype):
    method, seen, asked = build(settings), behaviors(), candidates()
    layout = RecordFormat(method.record, dtype)
    sealed = method.seal(method.summarize(seen), dtype)
    rows, nothing = sealed.rows.tolist(), Past(torch.zeros(B, dtype=torch.int64), {}, {})
    blobs = [layout.pack(k, r) for k, r in enumerate(layout.records_of(UserRecords(sealed, nothing)))]
    assert [layout.bytes_of({"rows": r}) for r in rows] == [len(b) for b in blobs]
    records = [layout.unpack(b, k, "test") for k, b in enumerate(blobs)]
    users = layout.users(layout.stacked(records), method.summary_type)
    assert [layout.pack(k, r) for k, r in enumerate(layout.records_of(users))] == blobs
    read = users.summary
    for field in method.record:
        stored = getattr(read, field.name)
        kept = field.stored(dtype)
        floats = kept == "int8" and field.dtype in ("cache", "wide")
        assert stored.dtype == getattr(torch, "float32" if floats else kept)
        for b, used in enumerate(rows if field.rows == "rows" else [field.rows] * B):
            assert torch.equal(stored[b, :used], getattr(sealed, field.name)[b, :used]), field.name
            assert not stored[b, used:].any()
    torch.testing.assert_close(method.attend(read, asked), method.attend(sealed, asked), rtol=1e-6, atol=1e-6)
    exact = method.attend(method.summarize(seen), asked)
    tolerance = {"float32": 1e-5, "float16": 2e-2, "int8": 1e-1}[dtype]
    torch.testing.assert_close(method.attend(read, asked), exact, rtol=tolerance, atol=tolerance)


@every_variant
def test_an_appended_record_has_the_bits_of_a_new_one(settings):
    method, seen = build(settings), behaviors((L, 3, 1, 6))
    if not method.appends:
        with pytest.raises(NotImplementedError):
            method.append(method.recorded(seen, "float32"), seen)
        return
    whole = method.recorded(seen, "float32")
    for newest in range(1, L + 1):
        parts = [seen.places(slice(newest, None)), seen.places(slice(0, newest))]
        appended = method.append(method.recorded(parts[0], "float32"), parts[1])
        for field in method.record:
            assert torch.equal(getattr(appended, field.name), getattr(whole, field.name)), (newest, field.name)
        assert torch.equal(appended.rows, whole.rows)
    near = method.seal(method.summarize(seen), "float32")
    asked = candidates()
    torch.testing.assert_close(method.attend(whole, asked), method.attend(near, asked), rtol=1e-5, atol=1e-5)


class Largest(TorchDispatchMode):
    """Keeps the size of the largest tensor that any operation returns, and the name of the operation."""

    def __init__(self):
        super().__init__()
        self.numel, self.where = 0, ""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.numel, self.where = max((self.numel, self.where), (tensor.numel(), str(func)))
        return result


@every_variant
def test_a_request_makes_nothing_of_the_size_of_all_behaviors_for_all_candidates(settings):
    """At most a score for each head, candidate and behavior: an eighth of B x N x L x D here."""
    requests, count, long, width, heads = 2, 64, 4000, 32, 4
    torch.manual_seed(0)
    settings = replace(settings, k=64, rank=64, heads=heads, m=48, tau=3)
    method = METHODS[settings.method](settings, HistoryShape(width, long))
    mask, ids = torch.ones(requests, long, dtype=torch.bool), torch.randint(2, 9, (requests, long), dtype=torch.int32)
    seen = Behaviors(torch.randn(requests, long, width), mask, ids, ids, NOW - torch.randint(9**7, ids.shape))
    asked = Candidates(
        torch.randn(requests, count, width), mask[:, :count], ids[:, :count], ids[:, :count], torch.full((2,), NOW)
    )
    with torch.inference_mode():
        summary = method.seal(method.summarize(seen), "float32")
        with Largest() as largest:
            method.attend(summary, asked, gemm)
    assert largest.numel <= requests * count * long * heads, largest.where
