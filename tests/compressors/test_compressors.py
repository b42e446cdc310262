"""One contract for all compressors, compared with their slow twins, and more tests of `clusters`."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lrea_cli.attention import Attention, Reader, SoftmaxReader, scaled_values
from lrea_cli.bench.expected import reference_model, twin_of
from lrea_cli.compressors import COMPRESSORS, Compressor
from lrea_cli.compressors.base import Items, uniforms
from lrea_cli.compressors.clusters import Choices, Clusters
from lrea_cli.kernels import KERNELS, weights
from lrea_cli.oracle import attention as reference
from lrea_cli.oracle import compressors as reference_compressors
from lrea_cli.oracle.compressors import Inputs, Rows
from lrea_cli.oracle.softmax import Softmax
from lrea_cli.recipe.settings import COMPRESSOR_NAMES, Compression
from lrea_cli.runs.checkpoint import Run
from lrea_cli.sequence import Behaviors, PseudoItems

D, L, T, SEED = 6, 30, 10, 3
LENGTHS = (0, 1, 5, 12, L, 25)
DISTINCT = 12
USERS = np.array([5, 9, 0, 3, 77, 2])

every_compressor = pytest.mark.parametrize("name", COMPRESSORS)
every_reader = pytest.mark.parametrize("softmax", [False, True], ids=["din", "softmax"])


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def attention() -> Attention:
    torch.manual_seed(1)
    layer = Attention(D)
    layer.b.copy_(0.3 * torch.randn(len(layer.b)))
    return layer


def softmax_reader() -> SoftmaxReader:
    torch.manual_seed(1)
    return SoftmaxReader(D, heads=2)


def histories() -> Behaviors:
    """Histories with few distinct behaviors; only the full history has none twice."""
    generator = torch.Generator().manual_seed(2)
    mask = torch.arange(L) < torch.tensor(LENGTHS)[:, None]
    item = torch.randint(0, DISTINCT, mask.shape, generator=generator)
    vectors = (0.7 * torch.randn(DISTINCT, D, generator=generator))[item]
    vectors[4] = 0.7 * torch.randn(L, D, generator=generator)
    return Behaviors(vectors * mask[..., None], mask, item)


PROBES = 0.7 * torch.randn(T, D, generator=torch.Generator().manual_seed(4))


ITEMS = Items(0.7 * torch.randn(40, D, generator=torch.Generator().manual_seed(8)), 1 + (torch.arange(40) * 7) % 11)


def make(name: str, rank: int, choices: Choices | None = None, softmax: bool = False) -> Compressor:
    reader: Reader = softmax_reader() if softmax else attention()
    if choices is not None:
        return Clusters(reader, rank, SEED, PROBES, choices=choices)
    return COMPRESSORS[name](reader, rank, SEED, PROBES, ITEMS)


def candidates(count: int = 7) -> Tensor:
    return torch.randn(len(LENGTHS), count, D, generator=torch.Generator().manual_seed(5)).double()


def served(pseudo: PseudoItems, asked: Tensor) -> Tensor:
    """The interests that serving computes from a float64 record."""
    if pseudo.mass is not None:
        return softmax_reader().read(asked, pseudo)
    return KERNELS["gemm"](asked, pseudo.keys, pseudo.values, attention().weights.to(torch.float64), pseudo.linear)


def full(asked: Tensor, seen: Behaviors, softmax: bool = False) -> Tensor:
    exact = seen.double()
    if softmax:
        return softmax_reader().over(asked, exact)
    scorer = attention().weights.to(torch.float64)
    return KERNELS["naive"](asked, exact.vectors, scaled_values(exact), scorer, None)


def scorer() -> reference.Scorer:
    return reference.Scorer(*(w.numpy().astype(float) for w in vars(attention().weights).values()))


def slow_softmax() -> Softmax:
    weights = {name: w.numpy().astype(float) for name, w in softmax_reader().named_parameters()}
    return Softmax(**weights, heads=2)


def test_every_compressor_is_named_once_and_has_a_twin_of_its_own() -> None:
    assert tuple(COMPRESSORS) == COMPRESSOR_NAMES
    assert all(name == compressor.name for name, compressor in COMPRESSORS.items())
    twins = [compressor.slow_twin for compressor in COMPRESSORS.values()]
    assert len(set(twins)) == len(twins)


def test_the_oracle_has_nothing_for_a_compressor_that_is_none(din_run: Run) -> None:
    made_up: Any = "codebook"
    with pytest.raises(KeyError, match="codebook"):
        twin_of(din_run, reference_model(din_run), Compression(made_up, 4))


@pytest.mark.each_once
@every_compressor
@every_reader
@pytest.mark.parametrize("rank", [1, 4, 9, 16])
def test_rows_are_those_of_the_slow_twin(name: str, rank: int, softmax: bool) -> None:
    seen, asked = histories(), candidates()
    actual = make(name, rank, softmax=softmax)(seen, USERS)
    interests, slow = served(actual, asked), slow_softmax() if softmax else None
    for b, user in enumerate(USERS.tolist()):
        E = seen.vectors[b][seen.mask[b]].numpy().astype(float)
        by = Inputs(rank, SEED, user, PROBES.numpy().astype(float), scorer(), slow)
        if COMPRESSORS[name].reads_items:
            items, clicks = (tensor.numpy().astype(float) for tensor in vars(ITEMS).values())
            by = replace(by, codebook=reference_compressors.codebook(items, clicks, by))
        rows = COMPRESSORS[name].slow_twin(E, by) if len(E) else Rows(E, E)
        assert int(actual.rows[b]) == len(rows.keys) <= max(rank, 1)
        np.testing.assert_allclose(actual.keys[b, : len(rows.keys)], rows.keys, atol=1e-10)
        np.testing.assert_allclose(actual.values[b, : len(rows.keys)], rows.values, atol=1e-9)
        for n, e_t in enumerate(asked[b].numpy()):
            expected = reference_compressors.interest(e_t, E, rows, slow or scorer())
            np.testing.assert_allclose(interests[b, n], expected, atol=1e-9)
        if softmax:
            assert actual.mass is not None
            np.testing.assert_array_equal(actual.mass[b, : len(rows.keys)], [] if rows.mass is None else rows.mass)


@every_compressor
@every_reader
def test_rows_past_the_end_are_zero(name: str, softmax: bool) -> None:
    actual = make(name, 9, softmax=softmax)(histories(), USERS)
    unused = torch.arange(actual.keys.shape[1]) >= actual.rows[:, None]
    assert not actual.values[unused].any()
    assert int(actual.rows[0]) == 0
    if softmax:
        assert actual.mass is not None
        assert not actual.mass[unused].any()
        assert actual.linear is None
    else:
        assert actual.mass is None
        assert actual.linear is not None
        assert not actual.linear[0].any()


@pytest.mark.parametrize(("name", "kept"), [("mean", False), ("clusters", False), ("recent", True), ("random", True)])
def test_masses_sum_to_the_behaviors_that_the_rows_stand_for(name: str, kept: bool) -> None:
    """Of rows that are behaviors each has mass 1: n / R each would be a common factor, which cancels."""
    mass = make(name, 4, softmax=True)(histories(), USERS).mass
    assert mass is not None
    assert mass.sum(1).tolist() == [min(n, 4) if kept else n for n in LENGTHS]


@every_compressor
def test_values_for_softmax_are_sums_of_behaviors_without_c_of_n(name: str) -> None:
    """A history of one vector, again and again: each row's value is its mass times that vector."""
    seen = histories()
    seen = replace(seen, vectors=seen.vectors[4:5, :1] * seen.mask[..., None])
    rows = make(name, 4, softmax=True)(seen, USERS)
    assert rows.mass is not None
    torch.testing.assert_close(rows.values, rows.mass[..., None] * seen.vectors[4, 0].double())
    torch.testing.assert_close(served(rows, candidates())[1:], full(candidates(), seen, softmax=True)[1:])


@every_compressor
@every_reader
def test_padding_and_what_stands_in_it_change_nothing(name: str, softmax: bool) -> None:
    seen = histories()
    actual = make(name, 4, softmax=softmax)(seen, USERS)
    wider = Behaviors(
        torch.nn.functional.pad(seen.vectors, (0, 0, 0, 7)),
        torch.nn.functional.pad(seen.mask, (0, 7)),
        torch.nn.functional.pad(seen.item, (0, 7)),
    )
    again = make(name, 4, softmax=softmax)(wider, USERS)
    torch.testing.assert_close(served(again, candidates()), served(actual, candidates()), rtol=1e-10, atol=1e-11)


@every_compressor
def test_a_user_is_compressed_alike_in_any_batch(name: str) -> None:
    seen = histories()
    whole = make(name, 4)(seen, USERS)
    order = np.array([4, 2])
    part = Behaviors(seen.vectors[order], seen.mask[order], seen.item[order])
    actual = make(name, 4)(part, USERS[order])
    torch.testing.assert_close(actual.keys, whole.keys[order], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(actual.values, whole.values[order], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["random", "clusters"])
def test_seed_and_user_decide_what_is_drawn(name: str) -> None:
    seen = histories()
    base = make(name, 4)(seen, USERS).keys[4]
    assert torch.equal(make(name, 4)(seen, USERS).keys[4], base)
    assert not torch.equal(make(name, 4)(seen, USERS + 1).keys[4], base)
    other = COMPRESSORS[name](attention(), 4, SEED + 1, PROBES, ITEMS)(seen, USERS).keys[4]
    assert not torch.equal(other, base)


@every_compressor
@pytest.mark.parametrize("slope", [0.0, 0.01, 0.25, 1.0])
def test_the_linear_half_is_exact_at_any_rank(name: str, slope: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared with loops in float64, for any keys and values; at slope 1 the linear half is all of the attention."""
    monkeypatch.setattr(weights, "SLOPE", slope)
    monkeypatch.setattr(reference, "SLOPE", slope)
    generator = torch.Generator().manual_seed(6)
    keys, values = (torch.randn(2, 9, D, generator=generator, dtype=torch.float64) for _ in range(2))
    linear = weights.linear_half(keys, values, attention().weights.to(torch.float64))
    asked = candidates()
    for b in range(2):
        for e_t in asked[b].numpy():
            expected = reference.linear_half(e_t, keys[b].numpy(), values[b].numpy(), scorer())
            np.testing.assert_allclose(e_t @ linear[b, :-1].numpy() + linear[b, -1].numpy(), expected, atol=1e-10)
    if slope == 1:
        seen = histories()
        for module in ("folded", "gemm", "naive"):
            monkeypatch.setattr(sys.modules[f"lrea_cli.kernels.{module}"], "SLOPE", 1.0)
        monkeypatch.setattr("lrea_cli.compressors.clusters.G", 0.0)
        actual = served(make(name, 2)(seen, USERS), asked)
        torch.testing.assert_close(actual, full(asked, seen), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("choices", [Choices(), Choices(fit=False), Choices(correction=False), Choices(metric="plain")])
def test_clusters_are_exact_with_as_many_rows_as_distinct_behaviors(choices: Choices) -> None:
    seen, asked = histories(), candidates()
    torch.testing.assert_close(
        served(make("clusters", L, choices)(seen, USERS), asked), full(asked, seen), rtol=1e-9, atol=1e-10
    )
    actual = make("clusters", DISTINCT, choices)(seen, USERS)
    few = [b for b in range(len(LENGTHS)) if b != 4]
    torch.testing.assert_close(served(actual, asked)[few], full(asked, seen)[few], rtol=1e-9, atol=1e-10)
    distinct = [len(seen.vectors[b][seen.mask[b]].unique(dim=0)) for b in few]
    assert actual.rows[few].tolist() == distinct


@pytest.mark.parametrize("metric", ["scorer", "plain"])
def test_clusters_for_softmax_are_exact_with_as_many_rows_as_distinct_behaviors(metric: Any) -> None:
    seen, asked = histories(), candidates()
    actual = make("clusters", DISTINCT, Choices(metric=metric), softmax=True)(seen, USERS)
    few = [b for b in range(len(LENGTHS)) if b != 4]
    torch.testing.assert_close(served(actual, asked)[few], full(asked, seen, softmax=True)[few], rtol=1e-9, atol=1e-10)


def errors(name: str, ranks: tuple[int, ...], choices: Choices | None = None, softmax: bool = False) -> list[float]:
    """Root mean square error of the interest as a share of the interest, for histories of many distinct behaviors."""
    generator = torch.Generator().manual_seed(7)
    vectors = 0.7 * torch.randn(40, 60, D, generator=generator)
    seen = Behaviors(vectors, torch.ones(40, 60, dtype=torch.bool), torch.zeros(40, 60, dtype=torch.int64))
    asked = 0.7 * torch.randn(40, 20, D, generator=generator).double()
    exact = full(asked, seen, softmax)
    actual = [served(make(name, rank, choices, softmax)(seen, np.arange(40)), asked) for rank in ranks]
    return [float(((f - exact).square().mean() / exact.square().mean()).sqrt()) for f in actual]


@pytest.mark.parametrize("name", ["recent", "random", "clusters"])
@every_reader
def test_the_error_falls_with_the_rank(name: str, softmax: bool) -> None:
    actual = errors(name, (1, 4, 16, 48), softmax=softmax)
    assert actual == sorted(actual, reverse=True)
    assert actual[-1] < actual[0] / 2


@every_reader
def test_clusters_beat_what_chooses_blindly(softmax: bool) -> None:
    ours = errors("clusters", (8,), softmax=softmax)[0]
    for name in ("recent", "random", "mean"):
        assert ours < 0.8 * errors(name, (8,), softmax=softmax)[0], name


def test_the_metric_of_the_softmax_reader_beats_plain_distance() -> None:
    ours, plain = (errors("clusters", (8,), Choices(metric=metric), softmax=True)[0] for metric in ("scorer", "plain"))
    assert ours < plain


@pytest.mark.parametrize("worse", [{"fit": False}, {"correction": False}])
def test_both_corrections_pay_on_histories_without_structure(worse: dict[str, bool]) -> None:
    assert errors("clusters", (8,))[0] < errors("clusters", (8,), replace(Choices(), **worse))[0]


def test_uniforms_are_uniform_and_depend_on_seed_user_and_place() -> None:
    actual = uniforms(1, np.arange(400), 500)
    assert ((actual >= 0) & (actual < 1)).all()
    assert abs(actual.mean() - 0.5) < 0.002
    assert abs(actual.var() - 1 / 12) < 0.001
    assert abs(np.corrcoef(actual[:-1].ravel(), actual[1:].ravel())[0, 1]) < 0.01
    assert abs(np.corrcoef(actual[:, :-1].ravel(), actual[:, 1:].ravel())[0, 1]) < 0.01
    assert not (actual == uniforms(2, np.arange(400), 500)).any()
    np.testing.assert_array_equal(uniforms(1, np.array([7]), 3)[0], actual[7, :3])
    assert actual[7, :3].tolist() == reference_compressors.uniforms(1, 7, 3)
