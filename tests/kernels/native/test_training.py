"""The training kernel in C++ against float64, to the last bit where sums are exact, and against its twin in torch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lrea_cli.kernels import ScorerWeights, folded, naive
from lrea_cli.kernels.folded import AbsoluteHalf, absolute_half
from lrea_cli.kernels.native import abi, training
from lrea_cli.kernels.native.training import NativeAbsoluteHalf, Operands
from lrea_cli.native.library import NO_LIBRARY
from tests.kernels.native.drawn import MODES, NAMES, SHAPES, Shape, draw_integers, in_float64
from tests.kernels.test_kernels import distance, draw

OPERANDS = ["e", "k", "v", "W1", "W2", "W3", "b", "w_o"]
needs_library = pytest.mark.skipif(not MODES, reason=f"there is no native library: {abi.load().reason}")


@pytest.fixture
def threads() -> Iterator[None]:
    """Torch has as many threads after the test as before."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@needs_library
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_exact_sums_have_the_bits_of_float64(mode: str, shape: Shape) -> None:
    check_exact(mode, shape, seed=0)


@needs_library
@settings(max_examples=150, deadline=None)
@given(
    shape=st.tuples(*(st.integers(0, most) for most in (4, 5)), *(st.integers(1, most) for most in (110, 40, 70))),
    mode=st.sampled_from(MODES or ["auto"]),
    seed=st.integers(0, 2**31),
)
def test_any_shape_has_the_bits_of_float64(shape: Shape, mode: str, seed: int) -> None:
    check_exact(mode, shape, seed)


def check_exact(mode: str, shape: Shape, seed: int) -> None:
    operands, d_scores = draw_integers(shape, seed)
    native = Operands(*operands, mode=mode)
    scores, gradients = in_float64(operands, d_scores)
    assert max(float(t.abs().max()) for t in (scores, *gradients) if t.numel()) < 2**24 if scores.numel() else True
    assert torch.equal(native.scores().double(), scores)
    for name, actual, expected in zip(NAMES, native.gradient(d_scores), gradients, strict=True):
        assert torch.equal(actual.double(), expected), name


def leaves(shape: Shape, seed: int = 0) -> list[Tensor]:
    """float32 operands of `absolute_half`, each a leaf, in the order of `OPERANDS`."""
    *inputs, weights = draw(*shape, dtype=torch.float32, seed=seed)
    return [tensor.requires_grad_() for tensor in (*inputs, *vars(weights).values())]


def results(half: type[torch.autograd.Function], operands: list[Tensor]) -> list[Tensor]:
    """The interest and its gradients in the order of `OPERANDS`, of a fixed direction."""
    interest = half.apply(*operands)
    towards = torch.randn(interest.shape, generator=torch.Generator().manual_seed(1))
    return [interest.detach(), *torch.autograd.grad((interest * towards).sum(), operands)]


@needs_library
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_equals_its_twin_in_torch_but_for_rounding(shape: Shape) -> None:
    operands = leaves(shape)
    pairs = zip(results(NativeAbsoluteHalf, operands), results(AbsoluteHalf, operands), strict=True)
    for name, (actual, expected) in zip(["interest", *OPERANDS], pairs, strict=True):
        assert actual.shape == expected.shape
        assert distance(actual, expected) < 2e-6 or shape == SHAPES[0], name


@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
def test_folded_in_float32_is_naive_in_float64(shape: Shape) -> None:
    operands = leaves(shape)

    def of(kernel, dtype: torch.dtype) -> list[Tensor]:
        cast = [operand.detach().to(dtype).requires_grad_() for operand in operands]
        interest = kernel(*cast[:3], ScorerWeights(*cast[3:]), None)
        return [interest.detach(), *torch.autograd.grad(interest.sum(), cast)]

    pairs = zip(of(folded, torch.float32), of(naive, torch.float64), strict=True)
    for name, (actual, expected) in zip(["interest", *OPERANDS], pairs, strict=True):
        assert actual.dtype == torch.float32
        assert distance(actual.double(), expected) < 2e-6, name


@needs_library
@pytest.mark.parametrize("shape", [(70, 3, 50, 12, 20), (1, 130, 9, 8, 16), (33, 1, 7, 5, 9)], ids=str)
def test_threads_and_another_run_change_no_bit(shape: Shape, threads: None) -> None:
    operands = leaves(shape)
    torch.set_num_threads(1)
    first = results(NativeAbsoluteHalf, operands)
    for count in (1, 2, 3, 7):
        torch.set_num_threads(count)
        assert all(map(torch.equal, results(NativeAbsoluteHalf, operands), first))


@needs_library
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("which", OPERANDS)
@pytest.mark.parametrize("hidden", [5, 16])
def test_what_is_no_number_goes_where_it_goes_in_torch(which: str, value: float, hidden: int) -> None:
    operands = leaves((2, 3, 6, 5, hidden))
    with torch.no_grad():
        operands[OPERANDS.index(which)].flatten()[1] = value
    pairs = zip(results(NativeAbsoluteHalf, operands), results(AbsoluteHalf, operands), strict=True)
    for name, (actual, expected) in zip(["interest", *OPERANDS], pairs, strict=True):
        assert torch.equal(actual.isfinite(), expected.isfinite()), name
    assert not results(NativeAbsoluteHalf, operands)[0].isfinite().all()


@needs_library
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_no_number_goes_where_it_goes_in_torch(value: float) -> None:
    operands = leaves((2, 3, 6, 5, 7))
    with torch.no_grad():
        operands[0][0, 1], operands[3][:], operands[6][:] = 0, 0, 0
        operands[1][0, 2] = 0  # hidden values are 0 there
    towards = torch.ones(2, 3, 5)
    towards[0, 1, 0] = value
    halves = [
        torch.autograd.grad(half.apply(*operands), operands, towards) for half in (NativeAbsoluteHalf, AbsoluteHalf)
    ]
    for name, actual, expected in zip(OPERANDS, *halves, strict=True):
        assert torch.equal(actual.isfinite(), expected.isfinite()), name


@needs_library
@pytest.mark.parametrize("shape", [(0, 3, 5, 4, 6), (2, 0, 5, 4, 6), (2, 3, 0, 4, 6), (0, 0, 0, 1, 1)], ids=str)
def test_nothing_gives_zero_gradients(shape: Shape) -> None:
    interest, *gradients = results(NativeAbsoluteHalf, leaves(shape))
    assert interest.shape == (shape[0], shape[1], shape[3])
    assert not any(t.any() for t in (interest, *gradients))


@needs_library
def test_rows_with_zero_values_get_no_gradient_and_change_no_other() -> None:
    operands = leaves((2, 3, 60, 5, 6))
    with torch.no_grad():
        operands[2][:, 41:] = 0
    cut = [o.detach()[:, :41].clone().requires_grad_() if i in (1, 2) else o for i, o in enumerate(operands)]
    whole, fewer = results(NativeAbsoluteHalf, operands), results(NativeAbsoluteHalf, cut)
    assert not whole[2][:, 41:].any()
    whole[2], whole[3] = whole[2][:, :41], whole[3][:, :41]
    for name, actual, expected in zip(["interest", *OPERANDS], whole, fewer, strict=True):
        torch.testing.assert_close(actual, expected, msg=lambda text, name=name: f"{name}: {text}")


@needs_library
def test_operands_that_are_not_contiguous() -> None:
    operands = leaves((2, 3, 9, 4, 6))
    strided = [torch.stack([o.detach(), o.detach()], -1)[..., 0].requires_grad_() for o in operands]
    assert not strided[0].is_contiguous()
    assert all(map(torch.equal, results(NativeAbsoluteHalf, strided), results(NativeAbsoluteHalf, operands)))


@needs_library
def test_folded_takes_it_for_float32_alone() -> None:
    operands = leaves((2, 3, 9, 4, 6))
    weights = ScorerWeights(*operands[3:])
    assert torch.equal(absolute_half(*operands[:3], weights), NativeAbsoluteHalf.apply(*operands))
    assert not training.takes(*(operand.double() for operand in operands))
    assert not training.takes(*operands[:-1], operands[-1].bfloat16())
    assert not training.takes(*operands[:-1], operands[-1].to("meta"))
    with torch.autocast("cpu", torch.bfloat16):
        assert absolute_half(*operands[:3], weights).dtype == torch.bfloat16


def test_without_the_library_torch_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NO_LIBRARY, "0")
    operands = leaves((2, 3, 9, 4, 6))
    assert torch.equal(absolute_half(*operands[:3], ScorerWeights(*operands[3:])), AbsoluteHalf.apply(*operands))
    assert abi.path_of("auto") is None
    with pytest.raises(RuntimeError, match="LREA_NATIVE=0 turns it off"):
        NativeAbsoluteHalf.apply(*operands)


@needs_library
def test_a_second_derivative_is_refused() -> None:
    operands = leaves((1, 2, 3, 4, 5))
    interest = NativeAbsoluteHalf.apply(*operands)
    (first,) = torch.autograd.grad(interest.square().sum(), operands[:1], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


@needs_library
def test_a_mode_that_the_machine_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(abi.MODES, "auto", 99)
    with pytest.raises(RuntimeError, match="lacks the instructions"):
        NativeAbsoluteHalf.apply(*leaves((1, 2, 3, 4, 5)))
