"""The paper's claims about LREA, and the conditions under which its two forms agree."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import lrea_cli.kernels.weights
from lrea_cli.attention import history_scale
from lrea_cli.kernels import folded, gemm, naive
from lrea_cli.methods import HistoryShape
from lrea_cli.methods.lrea import LREA, _blocks
from lrea_cli.recipe.settings import ModelSettings
from tests.methods.lrea_loops import non_negativity
from tests.methods.test_contract import RANK, B, D, L, behaviors, build, candidates, every_variant


def make(**options):
    torch.manual_seed(0)
    return LREA(ModelSettings(rank=RANK, **options), HistoryShape(D, L)).double()


def set_decomp(method, matrix):
    with torch.no_grad():
        method.decomp.copy_(matrix)


def forms(method):
    seen, asked = behaviors(), candidates()
    return method(seen, asked).vectors, method.attend(method.summarize(seen), asked)


@pytest.mark.parametrize("reader", ["din", "softmax"])
def test_one_hot_columns_make_both_forms_equal_for_any_phi(reader):
    method = make(decomp_columns="free", reader=reader, heads=2)
    owner = torch.randint(RANK, (L,), generator=torch.Generator().manual_seed(4))
    set_decomp(method, torch.nn.functional.one_hot(owner, RANK).T.double())
    torch.testing.assert_close(*forms(method))


def test_a_linear_phi_and_unit_columns_make_both_forms_equal(monkeypatch):
    """The paper's Eq. 6: phi(x) = k x; the columns must also sum to 1, which the paper does not say."""
    for module in (
        lrea_cli.kernels.weights,
        *(__import__(k.__module__, fromlist=["x"]) for k in (folded, gemm, naive)),
    ):
        monkeypatch.setattr(module, "SLOPE", 1.0)
    unit = make()
    set_decomp(unit, torch.randn(RANK, L, generator=torch.Generator().manual_seed(4)))
    torch.testing.assert_close(*forms(unit))
    free = make(decomp_columns="free")
    set_decomp(free, torch.rand(RANK, L, generator=torch.Generator().manual_seed(4)))
    assert not torch.allclose(*forms(free), rtol=1e-3)


def test_soft_columns_leave_a_gap():
    method = make()
    set_decomp(method, torch.randn(RANK, L, generator=torch.Generator().manual_seed(4)))
    assert not torch.allclose(*forms(method), rtol=1e-3)


@pytest.mark.parametrize("heads", [1, 2])
def test_softmax_serves_the_arithmetic_mean_of_what_it_trains_as_the_geometric_one(heads):
    """Unit columns: the trained weight is prod_j exp(s_j)^W_jl, the served one sum_j W_jl exp(s_j), for each head."""
    method = make(reader="softmax", heads=heads)
    set_decomp(method, torch.randn(RANK, L, generator=torch.Generator().manual_seed(4)))
    seen, asked = behaviors(), candidates()
    reader, W = method.attention, method.W_decomp
    keys = method.summarize(seen).keys
    q, k = reader.by_head(reader.queries(asked.vectors)), reader.by_head(reader.keys(keys))
    scores = q @ k.mT * reader.scale
    geometric, arithmetic = (scores @ W).exp(), scores.exp() @ W
    assert (arithmetic >= geometric * (1 - 1e-12)).all()
    values, mask = reader.by_head(reader.values(seen.vectors)), seen.mask[:, None, None]
    trained, served = forms(method)
    for weights, interest in ((geometric, trained), (arithmetic, served)):
        shares = (weights * mask) / (weights * mask).sum(-1, keepdim=True).clamp(min=1e-300)
        torch.testing.assert_close((shares @ values).transpose(1, 2).flatten(2) @ reader.W_O, interest)
    assert not torch.allclose(trained, served, rtol=1e-3)


@pytest.mark.parametrize("columns", ["unit", "free"])
def test_the_mass_of_rows_is_that_of_the_real_positions(columns):
    method, seen = make(reader="softmax", heads=2, decomp_columns=columns), behaviors()
    set_decomp(method, torch.randn(RANK, L, generator=torch.Generator().manual_seed(4)))
    mass = method.summarize(seen).mass
    expected = seen.mask.double() @ method.W_decomp.clamp(min=0).T
    torch.testing.assert_close(mass, expected)
    if columns == "unit":
        torch.testing.assert_close(mass.sum(1), seen.lengths.double())


def test_free_columns_without_a_positive_entry_are_not_read():
    """No quotient by a sum near 0: V_j / n_j stays a mean of behaviors, whatever a matrix holds."""
    method, seen, asked = make(reader="softmax", heads=2, decomp_columns="free"), behaviors(), candidates()
    matrix = torch.randn(RANK, L, generator=torch.Generator().manual_seed(4)).double()
    matrix[0] -= matrix[0].mean()  # sums to 0
    matrix[1] = -1.0
    set_decomp(method, matrix)
    summary = method.summarize(seen)
    assert (summary.mass[:, 1] == 0).all()
    means = summary.values / summary.mass[..., None].clamp(min=1e-300)
    assert means.abs().max() <= seen.vectors.abs().max()
    set_decomp(method, -torch.ones(RANK, L))
    vectors = replace(seen, vectors=seen.vectors.clone().requires_grad_())
    interest = method.attend(method.summarize(vectors), asked)
    assert not interest.any()
    interest.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())


def test_unit_columns_are_non_negative_and_sum_to_one():
    method = make()
    set_decomp(method, 3 * torch.randn(RANK, L, generator=torch.Generator().manual_seed(4)))
    assert (method.W_decomp >= 0).all()
    torch.testing.assert_close(method.W_decomp.sum(0), torch.ones(L, dtype=torch.float64))
    free = make(decomp_columns="free")
    set_decomp(free, -torch.ones(RANK, L))
    assert (free.W_decomp == -1).all()


@pytest.mark.parametrize("columns", ["unit", "free"])
def test_the_start_is_blocks_of_neighboring_positions(columns):
    method = LREA(ModelSettings(rank=3, decomp_columns=columns), HistoryShape(D, 12))
    assert method.W_decomp.argmax(0).tolist() == [0] * 4 + [1] * 4 + [2] * 4
    torch.testing.assert_close(method.W_comp.sum(0), torch.ones(3))
    assert method.W_comp[:4, 0].tolist() == [0.25] * 4
    assert not method.W_comp[4:, 0].any()


def test_blocks_own_each_position_once():
    for rows, length in [(1, 1), (3, 7), (5, 5), (4, 10)]:
        assert _blocks(rows, length).sum(0).tolist() == [1.0] * length
        assert _blocks(rows, length).any(1).all()


def test_column_entropy_says_how_near_to_mean_pooling():
    method = make()
    set_decomp(method, torch.zeros(RANK, L))
    assert method.column_entropy() == pytest.approx(1.0)
    set_decomp(method, 100 * _blocks(RANK, L))
    assert method.column_entropy() == pytest.approx(0.0, abs=1e-9)
    assert make(decomp_columns="free").column_entropy() is None


def test_rank_one_unit_columns_are_mean_pooling_of_a_full_history():
    """Both forms agree for mean pooling, too: a gap of zero alone proves nothing."""
    method = LREA(ModelSettings(rank=1), HistoryShape(D, L)).double()
    seen = behaviors((L,))
    summary = method.summarize(seen)
    torch.testing.assert_close(summary.keys, seen.vectors.mean(1, keepdim=True))
    torch.testing.assert_close(summary.values, seen.vectors.sum(1, keepdim=True) / L**0.5)


@every_variant
@pytest.mark.parametrize("penalty", ["sum", "mean"])
def test_both_terms_of_equation_10(settings, penalty):
    if settings.method != "lrea":
        return
    method, seen = build(replace(settings, penalty=penalty)), behaviors()
    actual = {name: term.item() for name, term in method(seen, candidates()).penalty.items()}
    E_list = [e[m].numpy() for e, m in zip(seen.vectors, seen.mask, strict=True)]
    if settings.short_histories == "exact":
        E_list = [E if len(E) > RANK else E[:0] for E in E_list]
    decomp, comp = non_negativity(E_list, method.W_comp.detach().numpy(), method.W_decomp.detach().numpy())
    if penalty == "mean":  # of the entries of each matrix
        decomp, comp = decomp / (RANK * L), comp / (RANK * D)
    assert actual == {"decomp": pytest.approx(decomp), "comp": pytest.approx(comp)}
    assert comp > 0
    assert (decomp == 0) == (settings.decomp_columns == "unit")


@pytest.mark.parametrize("columns", ["unit", "free"])
def test_gradient_of_equation_10_by_finite_differences(columns):
    method, asked = make(decomp_columns=columns), candidates()
    with torch.no_grad():
        for parameter in (method.W_comp, method.decomp):
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    seen = behaviors()

    def penalty():
        return sum(method(seen, asked).penalty.values())

    gradients = torch.autograd.grad(penalty(), [method.W_comp, method.decomp], allow_unused=True)
    for parameter, gradient in zip([method.W_comp, method.decomp], gradients, strict=True):
        for place in [(0, 0), (3, 2), (4, 3)]:
            with torch.no_grad():
                parameter[place] += 1e-6
                above = penalty()
                parameter[place] -= 2e-6
                below = penalty()
                parameter[place] += 1e-6
            assert float(gradient[place]) == pytest.approx(((above - below) / 2e-6).item(), rel=1e-4, abs=1e-7)


def test_exact_keeps_short_histories_as_they_are():
    method = make(short_histories="exact")
    seen = behaviors((RANK, RANK + 1, 2, 0))
    summary = method.summarize(seen)
    assert summary.rows.tolist() == [RANK, RANK, 2, 0]
    torch.testing.assert_close(summary.keys[0], seen.vectors[0, :RANK])
    torch.testing.assert_close(summary.values[2, :2], seen.vectors[2, :2] / 2**0.5)
    mixed = make().summarize(seen)
    torch.testing.assert_close(summary.keys[1], mixed.keys[1])
    assert not torch.allclose(summary.keys[0], mixed.keys[0])


def test_the_scale_is_one_over_the_root_of_the_length():
    np.testing.assert_allclose(history_scale(torch.tensor([0, 1, 4, 100])), [1, 1, 0.5, 0.1])
    assert len(behaviors().lengths) == B
