"""The Triton kernel in Triton's interpreter against float64: odd shapes, records in place, cuts, and the same bits."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from lrea_cli.kernels import ScorerWeights, fused, in_place, naive, serving_kernels, why_not
from lrea_cli.kernels.fused import SEGMENT, Tiles, attend_at, interpreted
from lrea_cli.kernels.weights import linear_half
from tests.selection import one_by_default

module = sys.modules["lrea_cli.kernels.fused"]
needs_triton = pytest.mark.skipif(not interpreted(), reason="triton is not installed: pip install 'lrea[triton]'")

CPU = torch.device("cpu")
TOLERANCE = {torch.float64: 1e-13, torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 1e-2}
"""Of the largest entry, with inputs that are already rounded to the dtype."""

SHAPES = [(1, 1, 0, 8, 16), (2, 7, 1, 8, 64), (1, 65, 17, 12, 20), (1, 65, 17, 32, 8)]
LONG = [
    *((2, 33, 33, 24, 100), (1, 130, 16, 64, 128), (1, 65, 17, 16, 64)),
    *((1, 1030, 5, 16, 64), (1, 9, 300, 16, 64), (1, 129, 33, 128, 128), (1, 70, 40, 40, 16), (1, 70, 20, 32, 32)),
]
"""Users, N, R, D, H."""


def draw(shape: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, ScorerWeights]:
    B, N, R, D, H = shape
    generator = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> Tensor:
        return (0.5 * torch.randn(*size, generator=generator)).to(dtype)

    weights = ScorerWeights(normal(D, H), normal(D, H), normal(D, H), normal(H), normal(H))
    return normal(B, N, D), normal(B, R, D), normal(B, R, D), weights


def double(inputs: tuple[Tensor, Tensor, Tensor, ScorerWeights]) -> tuple[Tensor, Tensor, Tensor, ScorerWeights]:
    candidates, keys, values, weights = inputs
    return candidates.double(), keys.double(), values.double(), weights.to(torch.float64)


def assert_near(found: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    assert found.dtype == dtype
    assert found.shape == expected.shape
    scale = float(expected.abs().max()) or 1.0
    assert float((found.double() - expected).abs().max()) <= TOLERANCE[dtype] * scale


@pytest.fixture(params=["whole", "cut"])
def rows_cut(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether the rows of a user are cut into programs, as they are where few users are asked for."""
    monkeypatch.setattr(module, "_processors", lambda device: 0 if request.param == "whole" else 10**6)
    return request.param


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """New memory holds NaN: what the kernel does not write is seen."""

    def poison(real: Any) -> Any:
        def made(*size: Any, **of: Any) -> Tensor:
            new = real(*size, **of)
            return new.fill_(torch.nan) if new.is_floating_point() else new

        return made

    monkeypatch.setattr(torch, "empty", poison(torch.empty))
    monkeypatch.setattr(Tensor, "new_empty", poison(Tensor.new_empty))


def equals_float64(shape: tuple[int, ...], dtype: torch.dtype, tiles: Tiles | None = None) -> None:
    inputs = draw(shape, dtype)
    candidates, keys, values, weights = inputs
    exact = double(inputs)
    linear = linear_half(exact[1].flip(1), exact[2], exact[3])
    assert_near(fused(*inputs), naive(*exact), dtype)
    sealed = attend_at(candidates, keys, values, weights, linear, tiles=tiles)
    assert_near(sealed, naive(*exact, linear), dtype)


@pytest.mark.each_once
@needs_triton
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_float64(rows_cut: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    equals_float64(shape, dtype)


@needs_triton
@pytest.mark.slow
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("shape", [*SHAPES, *LONG], ids=str)
def test_equals_float64_on_long_shapes_and_every_dtype(
    rows_cut: str, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    equals_float64(shape, dtype)


@needs_triton
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("tiles", one_by_default(Tiles(32, 8, 1, False), Tiles(16, 16, 1), Tiles(128, 64, 4)), ids=str)
def test_every_cut_computes_the_same(tiles: Tiles) -> None:
    for dtype in (torch.float64, torch.float16):
        equals_float64((2, 19, 21, 12, 20), dtype, tiles)


@needs_triton
@pytest.mark.usefixtures("poisoned")
def test_users_are_read_where_their_records_lie(rows_cut: str) -> None:
    """Users in another order than requests, one twice and one not at all; rows past those in use are never read."""
    used = torch.tensor([17, 0, 33, 16, 1])
    position = torch.tensor([2, 4, 2, 1, 0])
    candidates, keys, values, weights = draw((5, 9, 33, 8, 20), torch.float64)
    linear = torch.randn(5, 9, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for user, rows in enumerate(used.tolist()):
        keys[user, rows:] = values[user, rows:] = torch.nan
    found = attend_at(candidates, keys, values, weights, linear, rows=used, position=position)
    for request, user in enumerate(position.tolist()):
        rows = slice(0, int(used[user]))
        alone = candidates[[request]], keys[[user], rows], values[[user], rows], weights, linear[[user]]
        assert_near(found[[request]], naive(*alone), torch.float64)


@pytest.mark.slow
@needs_triton
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_bits_depend_on_no_other_request_candidate_or_program(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    candidates, keys, values, weights = draw((3, 70, SEGMENT + 2, 16, 16), dtype)
    linear = linear_half(keys.double(), values.double(), weights.to(torch.float64)).float()

    def attend(asked: Tensor, *users: int, cut: bool) -> Tensor:
        monkeypatch.setattr(module, "_processors", lambda device: 10**6 if cut else 0)
        return attend_at(asked, keys, values, weights, linear, position=torch.tensor(users))

    whole = attend(candidates, 0, 1, 2, cut=False)
    assert torch.equal(attend(candidates, 0, 1, 2, cut=True), whole)
    assert torch.equal(attend(candidates[[1]], 1, cut=True), whole[[1]])
    some = [69, 3, 64]
    assert torch.equal(attend(candidates[[2, 0]][:, some], 2, 0, cut=False), whole[[2, 0]][:, some])


@needs_triton
def test_tensors_that_are_not_contiguous() -> None:
    candidates, keys, values, weights = draw((2, 6, 9, 4, 6), torch.float64)
    expected = fused(candidates, keys, values, weights)
    strided = [torch.stack([t, t], -1)[..., 0] for t in (candidates, keys, values)]
    transposed = replace(weights, **{n: getattr(weights, n).T.contiguous().T for n in ("W1", "W2", "W3")})
    torch.testing.assert_close(fused(*strided, transposed), expected)
    one = [t[:1].expand(2, -1, -1) for t in (candidates, keys, values)]
    torch.testing.assert_close(fused(*one, weights)[1:], expected[:1])
    assert fused(candidates[:, :0], keys, values, weights).shape == (2, 0, 4)


@needs_triton
@pytest.mark.parametrize("which", range(4))
def test_a_gradient_is_refused_not_lost(which: int) -> None:
    inputs = draw((1, 3, 5, 4, 6), torch.float32)
    tensor = inputs[which] if which < 3 else inputs[3].w_o
    assert isinstance(tensor, Tensor)
    tensor.requires_grad_()
    with pytest.raises(RuntimeError, match="fused has no gradient"):
        fused(*inputs)


@needs_triton
@pytest.mark.parametrize("wrong", ["keys", "values", "linear", "rows", "position", "users"])
def test_shapes_that_do_not_fit_are_refused(wrong: str) -> None:
    """A card would read what lies beside a tensor."""
    candidates, keys, values, weights = draw((3, 2, 5, 4, 6), torch.float32)
    of: dict[str, Tensor] = {"keys": keys, "values": values, "linear": torch.zeros(3, 5, 4)}
    places = {"rows": torch.full((3,), 5), "position": torch.arange(3)}
    attend_at(candidates, **of, weights=weights, **places)
    cut = {name: tensor[:2] if name == wrong else tensor for name, tensor in {**of, **places}.items()}
    if wrong == "users":
        cut = {name: tensor[:2] for name, tensor in of.items()}
    with pytest.raises(ValueError, match="do not fit"):
        attend_at(candidates, weights=weights, **cut)


def test_where_it_does_not_run_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET")
    assert serving_kernels("cpu") == ("naive", "gemm")
    assert why_not("fused", "cpu") == "it runs on a CUDA device"
    assert why_not("gemm", "cpu") is None
    with pytest.raises(RuntimeError, match="fused cannot run on cpu: it runs on a CUDA device"):
        fused(*draw((1, 3, 5, 4, 6), torch.float32))
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert why_not("fused", "cuda") == "it needs triton: pip install 'lrea[triton]'"
    monkeypatch.setattr(module, "find_spec", lambda name: object())
    assert why_not("fused", "cuda") is None
    assert "fused" in serving_kernels("cuda")


def test_it_alone_reads_records_in_place() -> None:
    assert in_place(fused) is attend_at
    assert in_place(naive) is None
