"""Prototypes share out the behaviors; one layer over prototypes keeps sums to which a click adds."""

import math
from dataclasses import replace

import pytest
import torch

from lrea_cli.attention import Attention, history_scale
from lrea_cli.methods.exact import exact_product
from lrea_cli.methods.prototypes import EVEN_SHARE, Prototypes, _entropy
from lrea_cli.recipe.settings import CACHE_DTYPES, ModelSettings
from lrea_cli.records.format import RecordFormat
from lrea_cli.sequence import PseudoItems, Sketched
from tests.methods.counting import full, make
from tests.methods.test_contract import RANK, D, L, behaviors, build, candidates

SETTINGS = ModelSettings(method="sketch", rank=RANK, temperature=1.0)
TOKENS = replace(SETTINGS, normalize="tokens")
TWO = replace(SETTINGS, layers=2)
SOFT = replace(SETTINGS, reader="softmax", heads=2)


def test_the_shares_of_a_behavior_sum_to_one_and_padding_has_none():
    method, seen = build(SETTINGS), behaviors()
    shares = method.prototypes.shares(seen)
    torch.testing.assert_close(shares.sum(2), seen.mask.double())
    assert (shares[seen.mask] >= EVEN_SHARE / RANK).all()


def test_a_row_over_tokens_is_a_mean_of_behaviors_and_stands_for_n_over_R():
    method, seen = build(TOKENS), behaviors()
    rows, mass = method.prototypes(seen)
    assert (rows <= seen.vectors.amax(1, keepdim=True) + 1e-12)[0].all()
    torch.testing.assert_close(mass[..., 0].sum(1), seen.lengths.double())
    assert (mass[0] == L / RANK).all()


def test_the_sums_of_all_prototypes_are_those_of_the_behaviors():
    method, seen = build(SETTINGS), behaviors()
    found = method.summarize(seen)
    torch.testing.assert_close(found.sums.sum(1, keepdim=True), found.total)
    torch.testing.assert_close(found.total[:, 0], seen.vectors.sum(1))
    torch.testing.assert_close(found.mass.sum((1, 2)), seen.lengths.double())
    assert found.count[:, 0].tolist() == seen.lengths.tolist()


@pytest.mark.parametrize("settings", [SETTINGS, TOKENS])
def test_the_linear_half_is_that_of_full_attention(settings):
    """Without the absolute half, one layer gives what attention to all behaviors gives, at any rank."""
    method, seen = build(replace(settings, rank=1)), behaviors()
    items = method.summarize(seen)
    items = method.pseudo_items(items, torch.float64) if isinstance(items, Sketched) else items
    exact = method.attention.linear_half(seen.vectors, history_scale(seen.lengths)[:, None, None] * seen.vectors)
    torch.testing.assert_close(items.linear, exact)
    assert method.summarize(seen).rows.tolist() == [1, 0, 1, 1]


def test_far_apart_prototypes_that_take_one_behavior_each_are_full_attention():
    """At a low temperature each behavior has a prototype of its own, up to the share that is spread evenly."""
    method, asked = build(replace(SETTINGS, rank=D, temperature=1e-3)), candidates(requests=1)
    with torch.no_grad():
        method.prototypes.P.copy_(torch.eye(D))
        method.prototypes.layers[0].W_Q.copy_(torch.eye(D))
        method.prototypes.layers[0].W_K.copy_(torch.eye(D))
    seen = full(2 * torch.eye(D, dtype=torch.float64)[None])
    attention = method.attention
    assert isinstance(attention, Attention)
    torch.testing.assert_close(method(seen, asked).vectors, attention.over(asked.vectors, seen), rtol=5e-3, atol=5e-3)


def test_softmax_over_rows_of_equal_behaviors_is_full_attention():
    """Each of D directions has a prototype of its own, and 1 to D behaviors: the mass says how many."""
    method, asked = build(replace(SOFT, rank=D, temperature=1e-3)), candidates(requests=1)
    with torch.no_grad():
        method.prototypes.P.copy_(torch.eye(D))
        method.prototypes.layers[0].W_Q.copy_(torch.eye(D))
        method.prototypes.layers[0].W_K.copy_(torch.eye(D))
    seen = full(2 * torch.eye(D, dtype=torch.float64).repeat_interleave(torch.arange(1, D + 1), 0)[None])
    found, exact = method(seen, asked).vectors, method.attention.over(asked.vectors, seen)
    torch.testing.assert_close(found, exact, rtol=5e-3, atol=5e-3)
    summary = method.summarize(seen)
    uncounted = replace(summary, sums=summary.sums / summary.mass, mass=torch.ones_like(summary.mass))
    assert (method.attend(uncounted, asked) - exact).abs().max() > 0.05


@pytest.mark.parametrize("settings", [SOFT, replace(SOFT, layers=2), replace(SOFT, normalize="tokens")])
def test_values_for_softmax_are_plain_sums(settings):
    """A history three times over has the same interest with one layer; c(n) would shrink it."""
    method, asked = build(settings).requires_grad_(False), candidates(requests=1)
    vectors = torch.randn(1, 3, D, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    once, thrice = (method.summarize(full(vectors.repeat(1, times, 1))) for times in (1, 3))
    if settings.layers == 1:
        torch.testing.assert_close(method.attend(thrice, asked), method.attend(once, asked))
    if settings == SOFT:
        torch.testing.assert_close(thrice.sums, 3 * once.sums)
    else:
        assert thrice.mass.sum().item() == pytest.approx(9)
        torch.testing.assert_close(thrice.values, thrice.mass[..., None] * thrice.keys)


def test_a_record_for_softmax_keeps_sums_mass_and_count():
    """Those that DIN's scorer reads, bit for bit, without what only the linear half needs."""
    seen = behaviors()
    soft, din = (build(settings).recorded(seen, "float32") for settings in (SOFT, SETTINGS))
    assert [field.name for field in build(SOFT).record] == ["sums", "mass", "count"]
    assert soft.gram is None
    assert soft.total is None
    torch.testing.assert_close(soft.mass.sum((1, 2)), seen.lengths.float())
    assert soft.count.tolist() == din.count.tolist() == seen.lengths[:, None].tolist()
    assert soft.rows.tolist() == [RANK, 0, RANK, RANK]


@pytest.mark.parametrize("settings", [TOKENS, TWO, replace(TWO, reader="softmax"), replace(TOKENS, reader="softmax")])
def test_an_empty_history_has_rows_of_zeros(settings):
    items = build(settings).summarize(behaviors((0, 3)))
    assert not items.keys[0].any()
    assert not items.values[0].any()
    assert items.keys[1].any()


def test_equal_prototypes_are_mean_pooling():
    """At equal affinities a prototype is nothing but the mean: P must not start from equal rows."""
    method, seen = build(SETTINGS), behaviors()
    with torch.no_grad():
        method.prototypes.P.copy_(method.prototypes.P[:1].expand(RANK, D))
    items = method.pseudo_items(method.summarize(seen), torch.float64)
    mean = seen.vectors.sum(1) / seen.lengths.clamp(min=1)[:, None]
    torch.testing.assert_close(items.keys, mean[:, None].expand(-1, RANK, D))
    assert not torch.allclose(items.keys, method.pseudo_items(build(SETTINGS).summarize(seen), torch.float64).keys)


def test_a_low_temperature_sharpens_the_columns():
    entropies = []
    for temperature in (0.01, 0.1, 1.0, 100.0):
        method = make(replace(SETTINGS, temperature=temperature), D, L)
        assert method.column_entropy() is None
        method(full(torch.randn(3, L, D)), replace(candidates(requests=3), vectors=torch.randn(3, 3, D)))
        entropies.append(method.column_entropy())
    assert 0 <= entropies[0] < 0.1
    assert entropies == sorted(entropies)
    assert entropies[-1] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("settings", [SETTINGS, TOKENS, TWO])
def test_the_entropy_is_of_real_behaviors_in_training_alone(settings):
    method, seen, asked = build(settings), behaviors((4, 2)), candidates(requests=2)
    method(seen, asked)
    expected = method.column_entropy()
    narrow = behaviors((4, 2), 4)
    method(narrow, asked)
    assert method.column_entropy() == pytest.approx(expected)
    method.eval()
    method(behaviors((9, 9), seed=4), asked)
    with torch.no_grad():
        method.train()(behaviors((9, 9), seed=4), asked)
    assert method.column_entropy() == pytest.approx(expected)


def test_the_entropy_is_relative_to_equal_shares():
    """(.5, .25, .25) over 3 prototypes has 1.0397 of log 3 = 1.0986; over the 2 real of 3 behaviors, of log 2."""
    mask = torch.tensor([[True, True, False]])
    columns = torch.tensor([[[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [1.0, 0.0, 0.0]]])
    assert _entropy(columns, mask, 2) == pytest.approx(0.9464, abs=1e-4)
    rows = torch.tensor([[[0.5, 1.0], [0.5, 0.0], [0.0, 0.0]]])
    assert _entropy(rows, mask, 1) == pytest.approx(0.5)
    assert _entropy(rows[..., :1], mask, 2) is None  # of one prototype
    assert _entropy(columns, mask & False, 1) is None


def test_the_start_is_unequal_and_follows_the_seed():
    one, other = (make(SETTINGS, D, L).prototypes for _ in range(2))
    assert torch.equal(one.P, other.P)
    assert len(one.P.unique(dim=0)) == RANK
    assert torch.equal(one.layers[0].W_Q, torch.eye(D))
    assert torch.equal(one.layers[0].W_K, torch.eye(D))


def test_small_vectors_as_embeddings_start_are_not_shared_out_evenly():
    """Equal shares would be mean pooling, and stay so."""
    torch.manual_seed(0)
    seen = full(0.15 * torch.randn(1, 400, 32))
    shares = Prototypes(16, 32, ModelSettings().temperature).shares(seen)
    entropy = -(shares * shares.log()).sum(-1).mean() / math.log(16)
    assert 0.4 < float(entropy.detach()) < 0.9


@pytest.mark.parametrize("settings", [SETTINGS, TOKENS, TWO])
def test_the_order_of_the_history_is_not_kept(settings):
    method, seen, asked = build(settings), behaviors((L,)), candidates(requests=1)
    order = torch.randperm(L, generator=torch.Generator().manual_seed(0))
    moved = replace(seen, vectors=seen.vectors[:, order])
    torch.testing.assert_close(method(moved, asked).vectors, method(seen, asked).vectors)


@pytest.mark.parametrize(("width", "rank"), [(12, 37), (33, 7), (32, 128)])
def test_shares_for_records_have_the_same_bits_in_a_batch_of_any_shape(width, rank):
    """Odd shapes, which BLAS and vectors of 8 numbers cut anywhere; at (33, 7) a plain product has other bits."""
    torch.manual_seed(1)
    method = make(replace(SETTINGS, rank=rank, temperature=0.1), width, 64).double()
    with torch.no_grad():
        method.prototypes.layers[0].W_K.add_(torch.randn(width, width, dtype=torch.float64))
    seen = full(torch.randn(40, 30, width, dtype=torch.float64))
    whole, one = method.prototypes.shares(seen, exact_product), slice(0, 1)
    parts = [(one, one), (one, slice(0, 30)), (slice(3, 10), slice(7, 8)), (slice(5, 40), slice(2, 29))]
    for users, places in parts:
        part = method.prototypes.shares(seen.of_users(users).places(places), exact_product)
        assert torch.equal(part, whole[users, places])


@pytest.mark.parametrize("reader", ["din", "softmax"])
def test_a_long_history_appended_in_odd_parts_has_the_bits_of_a_new_record(reader):
    torch.manual_seed(2)
    method = make(ModelSettings(method="sketch", rank=33, reader=reader), 12, 200)
    seen = full(torch.randn(7, 150, 12))
    whole, parts = method.recorded(seen, "float32"), [slice(143, None), slice(142, 143), slice(60, 142), slice(0, 60)]
    record = method.recorded(seen.places(parts[0]), "float32")
    for part in parts[1:]:
        record = method.append(record, seen.places(part).double())
    for name in (*(field.name for field in method.record), "rows"):
        assert torch.equal(getattr(record, name), getattr(whole, name)), name


@pytest.mark.parametrize("settings", [SETTINGS, SOFT])
def test_records_that_were_empty_are_appended_to_as_the_store_gives_them_back(settings):
    """Their records have no row, so a batch of them is one row wide."""
    method, seen = build(settings), behaviors((3, 1))
    nothing = method.recorded(behaviors((0, 0)), "float32")
    stored = replace(nothing, sums=nothing.sums[:, :1], mass=nothing.mass[:, :1])
    appended, whole = method.append(stored, seen), method.recorded(seen, "float32")
    for name in (*(field.name for field in method.record), "rows"):
        assert torch.equal(getattr(appended, name), getattr(whole, name)), name
    assert not method.attend(stored, candidates(requests=2)).any()
    assert method.recorded(behaviors(()), "float32").sums.shape == (0, RANK, D)


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_smaller_records_are_rounded_from_the_float64_summary(dtype):
    method, seen = build(SETTINGS), behaviors()
    recorded, sealed = method.recorded(seen, dtype), method.seal(method.summarize(seen), dtype)
    assert all(torch.equal(tensor, getattr(sealed, name)) for name, tensor in vars(recorded).items())


@pytest.mark.parametrize(("settings", "fields"), [(SETTINGS, 5), (SOFT, 3), (TOKENS, 3), (TWO, 3)])
def test_only_one_layer_over_prototypes_keeps_sums(settings, fields):
    method = build(settings)
    assert len(method.record) == fields
    assert method.appends == (settings in (SETTINGS, SOFT))
    assert isinstance(method.summarize(behaviors()), Sketched if method.appends else PseudoItems)


@pytest.mark.parametrize("dtype", CACHE_DTYPES)
@pytest.mark.parametrize("reader", ["din", "softmax"])
def test_the_bytes_of_a_record_of_128_prototypes_for_32_numbers(dtype, reader):
    sizes = {"din": (21_152, 12_960, 5_896), "softmax": (16_928, 8_736, 4_896)}
    size = dict(zip(CACHE_DTYPES, sizes[reader], strict=True))[dtype]
    method = make(ModelSettings(method="sketch", reader=reader), 32, 500)
    assert RecordFormat(method.record, dtype).bytes_of({"rows": 128}) == size
    assert method.cost_of(7, 1, dtype).offline.bytes == size


def test_a_click_costs_thousands_of_flops_and_not_millions():
    kinds = [("sketch", "din"), ("sketch", "softmax"), ("lrea", "din"), ("lrea", "softmax")]
    methods = [make(ModelSettings(method=name, reader=reader), 32, 500) for name, reader in kinds]
    sketch, sketch_softmax, *lrea = (method.cost_of(300, 1).behavior.flops for method in methods)
    assert sketch == 19_906
    assert sketch_softmax == sketch - 2 * 33**2
    assert min(lrea) > 100 * sketch
