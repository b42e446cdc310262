"""VQL keeps values as they are, and quantizes keys to codes that learn from what training reads."""

import math
from dataclasses import replace

import pytest
import torch

from lrea_cli.methods.cost import record_bytes
from lrea_cli.methods.nearest import in_order, nearest_codes
from lrea_cli.methods.vq import DEAD, KEPT, SAMPLE
from lrea_cli.recipe.settings import CACHE_DTYPES, ModelSettings
from lrea_cli.sequence import Behaviors
from tests.methods.test_contract import D, L, behaviors, build, candidates

SETTINGS = ModelSettings(method="vq", codes=4, heads=2)


def of(vectors):
    """Histories of the given vectors (B, n, D), no padding."""
    mask = torch.ones(vectors.shape[:2], dtype=torch.bool)
    return Behaviors(vectors, mask, mask.long())


def quantized(method, seen):
    """The key of each behavior by a loop, (B, L, D)."""
    keys = method.attention.keys(seen.vectors)
    distance = (keys[:, :, None] - method.codebook).square().sum(-1)
    return keys, method.codebook[distance.argmin(2)]


def test_softmax_over_codes_is_softmax_over_all_behaviors_with_quantized_keys():
    """Values are those of each behavior; the record has four rows for nine behaviors."""
    method, seen, asked = build(SETTINGS), behaviors((L,)), candidates(requests=1)
    attention, (_, coded) = method.attention, quantized(method, behaviors((L,)))
    q, k, v = (attention.by_head(x) for x in (attention.queries(asked.vectors), coded, attention.values(seen.vectors)))
    exact = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(D / 2), -1) @ v
    summary = method.summarize(seen)
    assert int(summary.rows[0]) <= 4 < L
    expected = exact.transpose(1, 2).flatten(2) @ attention.W_O
    torch.testing.assert_close(method.attend(summary, asked), expected)


@pytest.mark.parametrize("length", [2, 5, L])
def test_every_weight_changes_by_at_most_the_bound_whatever_the_length(length):
    """|k - C_z| <= eps bounds the ratio of a weight to that of full attention by exp(2 |q| eps / sqrt(d))."""
    method = build(replace(SETTINGS, heads=1))
    seen, asked = behaviors((length,), length), candidates(requests=1)
    keys, coded = quantized(method, seen)
    queries = method.attention.queries(asked.vectors)[0]
    eps = (keys - coded).norm(dim=-1).max()
    exact, near = (torch.softmax(queries @ k[0].T / math.sqrt(D), -1) for k in (keys, coded))
    bound = torch.exp(2 * queries.norm(dim=-1, keepdim=True) * eps / math.sqrt(D))
    assert (near / exact <= bound).all()
    assert (exact / near <= bound).all()
    assert not torch.allclose(near, exact)


def test_rows_stand_in_the_order_of_first_appearance_oldest_first():
    method, seen = build(SETTINGS), behaviors((L, 3))
    _, coded = quantized(method, seen)
    for b in range(2):
        order = []
        for key in reversed(coded[b][seen.mask[b]].tolist()):
            code = method.codebook.tolist().index(key)
            order += [code] if code not in order else []
        summary = method.summarize(seen)
        assert summary.code[b, : summary.rows[b]].tolist() == order
        assert int(summary.count[b].sum()) == int(seen.mask[b].sum())


def test_the_gradient_of_a_key_is_that_of_its_code():
    """Straight through: what moves a code's key in a full softmax moves e W_K alike."""
    method, seen, asked = build(SETTINGS), behaviors((L,)), candidates(requests=1)
    coded = quantized(method, seen)[1].detach()
    attention, own = method.attention, coded.clone().requires_grad_()
    q, v = attention.by_head(attention.queries(asked.vectors)), attention.by_head(attention.values(seen.vectors))
    weights = torch.softmax(q @ attention.by_head(own).transpose(2, 3) / math.sqrt(D / 2), -1)
    (gradient,) = torch.autograd.grad(((weights @ v).transpose(1, 2).flatten(2) @ attention.W_O).sum(), own)
    (actual,) = torch.autograd.grad(method(seen, asked).vectors.sum(), attention.W_K, retain_graph=True)
    torch.testing.assert_close(actual, seen.vectors[0].T @ gradient[0])


def test_the_commitment_is_the_mean_squared_distance_to_the_code_and_moves_keys_alone():
    method, seen = build(SETTINGS), behaviors()
    keys, coded = quantized(method, seen)
    term = method(seen, candidates()).penalty["commitment"]
    torch.testing.assert_close(term, (keys - coded).square().sum(-1)[seen.mask].mean())
    (gradient,) = torch.autograd.grad(term, method.attention.W_K)
    expected = 2 * seen.vectors[seen.mask].T @ (keys - coded)[seen.mask] / seen.mask.sum()
    torch.testing.assert_close(gradient, expected.detach())
    assert method.penalty_weight == SETTINGS.beta


def test_all_codes_start_from_keys_of_the_first_batch():
    method, seen = build(SETTINGS), behaviors()
    method.observe(seen)
    keys = method.attention.keys(seen.vectors[seen.mask])
    assert all(torch.isclose(keys, code).all(1).any() for code in method.codebook)
    assert method.usage.tolist() == [0.25] * 4
    assert len(method.codebook.unique(dim=0)) == 4


def test_codes_move_to_the_moving_average_of_their_keys():
    method, seen = build(SETTINGS), behaviors()
    method.observe(seen)
    before, usage = method.codebook.clone(), method.usage.clone()
    other = behaviors(seed=9)
    keys = method.attention.keys(other.vectors[other.mask])
    own = (keys[:, None] - before).square().sum(-1).argmin(1)
    share = torch.bincount(torch.arange(SAMPLE) * len(keys) // SAMPLE, minlength=len(keys)) / SAMPLE
    method.observe(other)
    for j in range(4):
        mine = (own == j) * share.double()
        expected_usage = KEPT * usage[j] + (1 - KEPT) * mine.sum()
        torch.testing.assert_close(method.usage[j], expected_usage)
        total = KEPT * usage[j] * before[j] + (1 - KEPT) * (mine[:, None] * keys).sum(0)
        torch.testing.assert_close(method.codebook[j], total / expected_usage)


def test_a_code_that_is_not_used_starts_again_from_a_key():
    method, seen = build(SETTINGS), behaviors()
    method.observe(seen)
    method.codebook[2] = 1e6
    steps = 0
    while (method.codebook[2] > 1e5).all():
        assert method.usage[2] >= DEAD / 4
        method.observe(seen)
        steps += 1
        assert steps < 100
    keys = method.attention.keys(seen.vectors[seen.mask])
    assert torch.isclose(keys, method.codebook[2]).all(1).any()
    assert method.usage[2] == 0.25


def test_codes_keep_up_with_keys_that_grow():
    """By a tenth a step, as at the start of a training; codes that lag behind lose their keys to the outermost few."""
    method, generator = build(replace(SETTINGS, codes=32)), torch.Generator().manual_seed(0)
    start = torch.randn(4, 60, D, generator=generator, dtype=torch.float64)
    for step in range(40):
        method.observe(of(start * 1.1**step))
    keys, coded = quantized(method, of(start * 1.1**39))
    assert len(coded.flatten(0, 1).unique(dim=0)) > 28
    assert (keys - coded).square().sum() < 0.3 * keys.square().sum()


def test_what_is_observed_depends_on_the_behaviors_alone():
    """Not on padding, and the same batches give the same codebook."""
    narrow, wide = build(SETTINGS), build(SETTINGS)
    for seed in range(3):
        narrow.observe(behaviors((4, 0, 1, 3), 4, seed))
        wide.observe(behaviors((4, 0, 1, 3), L, seed))
    assert torch.equal(narrow.codebook, wide.codebook)
    before = narrow.codebook.clone(), narrow.usage.clone()
    narrow.observe(behaviors((0, 0)))
    assert torch.equal(narrow.codebook, before[0])
    assert torch.equal(narrow.usage, before[1])


@pytest.mark.parametrize("training", [True, False])
def test_all_behaviors_are_scored_by_the_codes_of_the_record(training):
    method, seen, asked = build(SETTINGS).train(training), behaviors(), candidates()
    torch.testing.assert_close(method(seen, asked).vectors, method.attend(method.summarize(seen), asked))


def test_codes_in_float32_are_those_of_the_record_when_scoring():
    """A model in float32 forms distances in float64: rounding to float32 decides here on which side a key is."""
    method = build(replace(SETTINGS, codes=2)).float().eval()
    method.codebook[1] = -method.codebook[0]
    across = (method.attention.W_K.detach() @ method.codebook[0]).double()
    vectors = torch.randn(40, L, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    seen = of((vectors - (vectors @ across)[..., None] * across / (across @ across)).float())
    asked = candidates(requests=40)
    asked = replace(asked, vectors=asked.vectors.float())
    served = method.attend(method.recorded(seen, "float32"), asked)
    torch.testing.assert_close(method(seen, asked).vectors, served)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(method.train()(seen, asked).vectors, served)


def test_nothing_is_learnt_when_scoring(make_run):
    run = make_run(method="vq", codes=4)
    before = run.model.long.codebook.clone()
    seen = behaviors()
    run.model.long(replace(seen, vectors=torch.randn(4, L, run.model.features.width)), candidates_of(run))
    assert torch.equal(run.model.long.codebook, before)


def candidates_of(run):
    return replace(candidates(), vectors=torch.randn(4, 3, run.model.features.width))


def test_keys_as_near_to_two_codes_get_the_same_one_in_any_batch():
    """Products of other shapes have other last bits, so such keys are compared in a fixed order.

    Both halves of a key are the same here, and code 4 is code 2 with its halves exchanged: rounding alone decides.
    """
    generator = torch.Generator().manual_seed(0)
    W_K = torch.randn(32, 16, generator=generator, dtype=torch.float64).repeat(1, 2)
    codebook = torch.randn(6, 32, generator=generator, dtype=torch.float64)
    codebook[4] = codebook[2].roll(16)
    codebook[[0, 1, 3, 5]] += 1000
    vectors = torch.randn(500, 32, generator=generator, dtype=torch.float64)
    expected = in_order(vectors, W_K, codebook)
    assert set(expected.tolist()) == {2, 4}
    plain = (codebook.square().sum(1) / 2 - vectors @ W_K @ codebook.T).argmin(1)
    assert not torch.equal(plain, expected)
    for size in (1, 7, 64, 500):
        parts = [nearest_codes(part, W_K, codebook) for part in vectors.split(size)]
        assert torch.equal(torch.cat(parts), expected)
    far = torch.randn(50, 32, generator=generator, dtype=torch.float64)
    assert torch.equal(nearest_codes(far, W_K, codebook), in_order(far, W_K, codebook))


def test_of_equal_codes_the_first_is_taken():
    codebook = torch.tensor([[3.0], [1.0], [1.0]], dtype=torch.float64)
    vectors = torch.tensor([[[1.5], [2.5]], [[0.9], [1.0]]], dtype=torch.float64)
    assert nearest_codes(vectors, torch.ones(1, 1, dtype=torch.float64), codebook).tolist() == [[1, 0], [1, 1]]


@pytest.mark.parametrize("dtype", CACHE_DTYPES)
def test_a_click_changes_one_row_and_at_L_two(dtype):
    method, generator = build(SETTINGS), torch.Generator().manual_seed(1)
    stream = torch.randn(1, L + 1, D, generator=generator, dtype=torch.float64)
    for n in range(L + 1):
        before, after = (rows_of(method, stream[:, p]) for p in (slice(1, n + 1), slice(0, min(n + 1, L))))
        changed = sum(before.get(code) != row for code, row in after.items())
        work = method.cost_of(n, 1, dtype).behavior
        row = record_bytes(method.record, 8, dtype) - record_bytes(method.record, 0, dtype)
        assert work.bytes == 24 + work.rows * row / 8
        assert work.rows == (1 if n < L else 2)
        assert changed + sum(code not in after for code in before) in (work.rows, work.rows - (n == L))


def rows_of(method, vectors):
    """Code -> its count and sum."""
    summary = method.summarize(of(vectors))
    used = range(int(summary.rows[0]))
    return {
        int(summary.code[0, r]): (int(summary.count[0, r]), summary.sums[0, r].round(decimals=9).tolist()) for r in used
    }


def test_a_record_has_one_row_for_each_code_that_was_touched():
    method, seen = build(replace(SETTINGS, codes=20)), behaviors()
    summary = method.summarize(seen)
    for b, n in enumerate(seen.lengths.tolist()):
        codes = {tuple(key) for key in quantized(method, seen)[1][b][seen.mask[b]].tolist()}
        assert int(summary.rows[b]) == len(codes) <= method.rows_of(n)
    assert [method.rows_of(n) for n in (0, 3, 20, 500)] == [0, 3, 20, 20]
