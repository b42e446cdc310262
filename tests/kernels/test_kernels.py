"""Every kernel compared with float64 loops, in value and in gradient, on odd shapes."""

import numpy as np
import pytest
import torch

from lrea_cli.kernels import KERNELS, ScorerWeights, folded, naive
from lrea_cli.kernels.weights import linear_half
from lrea_cli.oracle import attention as reference

SHAPES = [
    (1, 1, 1, 1, 1),
    (2, 3, 0, 4, 5),
    (3, 1, 5, 7, 3),
    (2, 9, 65, 4, 6),
    (1, 2, 129, 3, 64),
    (2, 5, 20, 8, 8),
    (1, 5, 20, 8, 16),
    (1, 5, 20, 8, 32),
]


def draw(B, N, R, D, H, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype)

    weights = ScorerWeights(normal(D, H), normal(D, H), normal(D, H), normal(H), normal(H))
    return normal(B, N, D), normal(B, R, D), normal(B, R, D), weights


def loops(candidates, keys, values, weights):
    scorer = reference.Scorer(*(w.numpy() for w in (weights.W1, weights.W2, weights.W3, weights.b, weights.w_o)))
    return np.array(
        [
            [reference.attention(e.numpy(), list(k.numpy()), list(v.numpy()), scorer) for e in c]
            for c, k, v in zip(candidates, keys, values, strict=True)
        ]
    )


@pytest.mark.each_once
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kernel", KERNELS)
def test_equals_the_loops(kernel, shape):
    candidates, keys, values, weights = draw(*shape)
    actual = KERNELS[kernel](candidates, keys, values, weights, None)
    np.testing.assert_allclose(actual.numpy(), loops(candidates, keys, values, weights), rtol=1e-10, atol=1e-10)


@pytest.mark.each_once
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kernel", KERNELS)
def test_equals_its_slow_twin_on_a_sealed_record(kernel, shape):
    """Any linear half is applied: a compressor's is not that of its rows."""
    candidates, keys, values, weights = draw(*shape)
    linear = linear_half(keys.flip(1), values, weights)
    actual, expected = (f(candidates, keys, values, weights, linear) for f in (KERNELS[kernel], naive))
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_linear_half_of_a_record_is_used(kernel):
    candidates, keys, values, weights = draw(2, 3, 5, 4, 6)
    linear = linear_half(keys, values, weights)
    plain = KERNELS[kernel](candidates, keys, values, weights, None)
    torch.testing.assert_close(KERNELS[kernel](candidates, keys, values, weights, linear), plain)
    doubled = KERNELS[kernel](candidates, keys, values, weights, 2 * linear)
    expected = plain + torch.cat([candidates, torch.ones(2, 3, 1, dtype=torch.float64)], 2) @ linear
    torch.testing.assert_close(doubled, expected)


@pytest.mark.parametrize("kernel", KERNELS)
def test_rows_with_zero_values_add_nothing(kernel):
    candidates, keys, values, weights = draw(2, 3, 6, 4, 5)
    values[:, 4:] = 0
    cut = KERNELS[kernel](candidates, keys[:, :4], values[:, :4], weights, None)
    torch.testing.assert_close(KERNELS[kernel](candidates, keys, values, weights, None), cut)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients_of_folded_are_those_of_naive(shape):
    inputs, weights = draw(*shape)[:3], draw(*shape)[3]
    tensors = [*inputs, weights.W1, weights.W2, weights.W3, weights.b, weights.w_o]
    for tensor in tensors:
        tensor.requires_grad_()
    towards = torch.randn(shape[0], shape[1], shape[3], dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected, actual = (
        torch.autograd.grad((KERNELS[k](*inputs, weights, None) * towards).sum(), tensors) for k in ("naive", "folded")
    )
    for name, a, b in zip(["e", "k", "v", "W1", "W2", "W3", "b", "w_o"], actual, expected, strict=True):
        torch.testing.assert_close(a, b, msg=lambda text, name=name: f"gradient of {name}: {text}")


def test_gradient_of_folded_by_finite_differences():
    candidates, keys, values, weights = draw(2, 2, 3, 2, 3, seed=5)
    tensors = [candidates, keys, values, weights.W1, weights.W2, weights.W3, weights.b, weights.w_o]
    for tensor in tensors:
        tensor.requires_grad_()
    assert torch.autograd.gradcheck(lambda e, k, v, *w: folded(e, k, v, ScorerWeights(*w), None), tensors)


def test_chunks_of_folded_change_nothing(monkeypatch):
    candidates, keys, values, weights = draw(5, 3, 7, 4, 6)
    whole = folded(candidates, keys, values, weights)
    monkeypatch.setitem(__import__("lrea_cli.kernels.folded", fromlist=["x"]).__dict__, "CHUNK_BYTES", {"cpu": 800})
    torch.testing.assert_close(folded(candidates, keys, values, weights), whole)


@pytest.mark.parametrize("shape", [(2, 3, 50, 16, 64), (1, 1, 0, 4, 5), (2, 9, 5, 4, 6)], ids=str)
def test_folded_under_autocast_is_naive_to_the_precision_of_its_dtype(shape):
    """Some operands come in bfloat16 and some in float32; the gradient runs after autocast has ended."""
    inputs, weights = draw(*shape, dtype=torch.float32)[:3], draw(*shape, dtype=torch.float32)[3]
    tensors = [*inputs, weights.W1, weights.W2, weights.W3, weights.b, weights.w_o]
    for tensor in tensors:
        tensor.requires_grad_()
    exact = KERNELS["naive"](*inputs, weights, None)
    expected = torch.autograd.grad(exact.square().sum(), tensors)
    with torch.autocast("cpu", torch.bfloat16):
        actual = folded(*inputs, weights, None)
    assert actual.dtype == torch.bfloat16
    assert distance(actual.float(), exact) < 0.03
    for name, a, b in zip(
        ["e", "k", "v", "W1", "W2", "W3", "b", "w_o"],
        torch.autograd.grad(actual.float().square().sum(), tensors),
        expected,
        strict=True,
    ):
        assert a.dtype == torch.float32
        assert distance(a, b) < 0.1, name  # a sign that bfloat16 flips is a jump


def test_folded_under_autocast_leaves_float64_alone():
    candidates, keys, values, weights = draw(2, 3, 5, 4, 6)
    with torch.autocast("cpu", torch.bfloat16):
        actual = folded(candidates, keys, values, weights)
    assert torch.equal(actual, folded(candidates, keys, values, weights))


def distance(actual, expected):
    """Norm of the difference over the norm of `expected`."""
    return float((actual - expected).detach().norm() / expected.detach().norm().clamp(min=1e-30))
