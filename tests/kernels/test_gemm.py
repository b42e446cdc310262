"""The serving kernel: any shape, dtype and product, chunks, reused memory, and no gradient."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest
import torch
from torch import Tensor

from lrea_cli.kernels import affine, folded, gemm, naive
from lrea_cli.kernels.scratch import Scratch
from lrea_cli.kernels.weights import linear_half
from tests.kernels.test_kernels import draw, loops

gemm_module = sys.modules["lrea_cli.kernels.gemm"]

ROWS = [0, 1, 7, 8, 9, 65, 129]


@pytest.fixture(params=["onednn", "blas"])
def product(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether float32 on a CPU uses the product of oneDNN or of BLAS."""
    if request.param == "blas":
        monkeypatch.setattr(affine, "ONEDNN", None)
    elif affine.ONEDNN is None:
        pytest.skip("this build of torch has no oneDNN operator of the known signature")
    return request.param


def assert_close_to_loops(actual: Tensor, inputs: tuple, tolerance: float) -> None:
    candidates, keys, values, weights = inputs
    double = loops(candidates.double(), keys.double(), values.double(), weights.to(torch.float64))
    scale = np.abs(double).max(initial=1e-300)
    assert actual.shape == double.shape
    assert np.abs(actual.double().numpy() - double).max(initial=0.0) <= tolerance * scale


def cast(inputs: tuple, dtype: torch.dtype) -> tuple:
    candidates, keys, values, weights = inputs
    return candidates.to(dtype), keys.to(dtype), values.to(dtype), weights.to(dtype)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("requests", "candidates"), [(1, 1), (1, 5), (3, 2)])
def test_float32_is_within_a_millionth_of_the_loops(product: str, requests: int, candidates: int, rows: int) -> None:
    inputs = cast(draw(requests, candidates, rows, 4, 6), torch.float32)
    actual = gemm(*inputs)
    assert actual.dtype == torch.float32
    assert_close_to_loops(actual, inputs, 1e-6)
    assert_close_to_loops(naive(*inputs), inputs, 1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("rows", ROWS)
def test_chunks_of_keys_candidates_and_requests_change_nothing(
    product: str, monkeypatch: pytest.MonkeyPatch, rows: int, dtype: torch.dtype
) -> None:
    inputs = cast(draw(5, 7, rows, 3, 4), dtype)
    monkeypatch.setattr(gemm_module, "CHUNK_BYTES", {"cpu": 24 * inputs[0].element_size() * 4})
    monkeypatch.setattr(gemm_module, "MOST_CANDIDATES", 3)
    requests, some, chunk = gemm_module._block(inputs[0], rows, 4)
    assert some == 3
    assert chunk == min(8, max(1, rows))
    assert requests == (1 if affine.onednn_for(inputs[0]) else 8 // chunk)
    assert_close_to_loops(gemm(*inputs), inputs, 1e-6 if dtype == torch.float32 else 1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    ("requests", "candidates", "rows"),
    [
        (1, 1000, 128),
        (1, 1000, 5000),
        (1, 1, 128),
        (1, 1, 20_000),
        (1024, 1, 128),
        (1024, 5, 128),
        (1, 100_000, 16),
    ],
)
def test_a_product_stays_within_the_cache_and_fills_it(
    requests: int, candidates: int, rows: int, dtype: torch.dtype
) -> None:
    asked = torch.empty(1, 1, 32, dtype=dtype).expand(requests, candidates, 32)
    size, some, chunk = gemm_module._block(asked, rows, 64)
    taken, limit = asked.element_size() * size * max(some, 32) * chunk * 64, gemm_module.CHUNK_BYTES["cpu"]
    assert taken <= limit
    assert chunk == rows or 2 * taken > limit


@pytest.mark.skipif(sys.platform != "linux", reason="page faults are counted as Linux does")
def test_long_records_are_not_mapped_anew_at_each_request(product: str) -> None:
    """Chunks of 64 keys made 16 MB intermediates, mapped anew for each: above 10,000 page faults a request."""
    import resource

    inputs = cast(draw(1, 1000, 500, 32, 64), torch.float32)
    with torch.inference_mode():
        for _ in range(3):
            gemm(*inputs)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(5):
            gemm(*inputs)
        faults = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 5
    assert faults < 2500


def test_a_result_is_not_touched_by_the_next_call(product: str) -> None:
    first, second = (cast(draw(1, 6, 9, 4, 5, seed=seed), torch.float32) for seed in (0, 1))
    result = gemm(*first)
    kept = result.clone()
    gemm(*second)
    assert torch.equal(result, kept)


def test_the_same_call_gives_the_same_bits_in_whatever_mode_the_scratch_was_made(
    product: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = cast(draw(1, 60, 70, 16, 64), torch.float32)
    results = []
    for first in (True, False):
        monkeypatch.setattr(gemm_module, "_scratch", Scratch())
        for inference in (first, not first):
            with torch.inference_mode(inference):
                results.append(gemm(*inputs).clone())
    assert all(torch.equal(result, results[0]) for result in results)


def test_threads_at_once_give_the_bits_of_each_alone(product: str) -> None:
    asked = [cast(draw(1, 300, 40 + i, 16, 64, seed=i), torch.float32) for i in range(2)]
    alone = [gemm(*inputs) for inputs in asked]
    together: list[list[Tensor]] = [[], []]
    start = threading.Barrier(2)

    def serve(number: int) -> None:
        start.wait()
        for _ in range(30):
            together[number].append(gemm(*asked[number]))

    threads = [threading.Thread(target=serve, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for expected, results in zip(alone, together, strict=True):
        assert len(results) == 30
        assert all(torch.equal(result, expected) for result in results)


def test_scratch_is_used_again_by_its_thread_alone() -> None:
    scratch, like = Scratch(), torch.empty(0)
    first = scratch.take("a", (3, 4), like)
    assert scratch.take("a", (2, 2), like).data_ptr() == first.data_ptr()
    assert scratch.take("b", (3, 4), like).data_ptr() != first.data_ptr()
    assert scratch.take("a", (3, 4), like.double()).dtype == torch.float64
    assert scratch.take("a", (5, 4), like).shape == (5, 4)
    largest = scratch.take("a", (1,), like).data_ptr()
    elsewhere: list[int] = []
    thread = threading.Thread(target=lambda: elsewhere.append(scratch.take("a", (5, 4), like).data_ptr()))
    thread.start()
    thread.join()
    assert elsewhere != [largest]
    assert scratch.take("a", (1,), torch.empty(0, device="meta")).device.type == "meta"


def test_candidates_in_another_order_or_fewer_of_them_differ_by_rounding_alone(product: str) -> None:
    candidates, keys, values, weights = cast(draw(1, 130, 129, 16, 64), torch.float32)
    whole = gemm(candidates, keys, values, weights)
    order = torch.randperm(130, generator=torch.Generator().manual_seed(2))
    scale = float(whole.abs().max())
    torch.testing.assert_close(
        gemm(candidates[:, order], keys, values, weights), whole[:, order], rtol=0, atol=1e-6 * scale
    )
    for count in (1, 7, 64):
        fewer = gemm(candidates[:, :count], keys, values, weights)
        torch.testing.assert_close(fewer, whole[:, :count], rtol=0, atol=1e-6 * scale)


def test_rows_and_weights_that_are_not_contiguous(product: str) -> None:
    candidates, keys, values, weights = cast(draw(2, 6, 9, 4, 6), torch.float32)
    expected = gemm(candidates, keys, values, weights)
    strided = [torch.stack([t, t], -1)[..., 0] for t in (candidates, keys, values)]
    assert not strided[0].is_contiguous()
    torch.testing.assert_close(gemm(*strided, weights), expected)
    one = [t[:1].expand(2, -1, -1) for t in (candidates, keys, values)]
    torch.testing.assert_close(gemm(*one, weights)[1:], expected[:1])


@pytest.mark.parametrize("which", range(4))
def test_a_gradient_is_refused_not_lost(product: str, which: int) -> None:
    inputs = cast(draw(1, 3, 5, 4, 6), torch.float32)
    tensor = inputs[which] if which < 3 else inputs[3].w_o
    tensor.requires_grad_()
    with pytest.raises(RuntimeError, match="gemm has no gradient"):
        gemm(*inputs)
    with torch.no_grad():
        torch.testing.assert_close(gemm(*inputs), folded(*inputs), rtol=1e-4, atol=1e-4)


def test_a_sealed_linear_half_is_taken_as_it_is(product: str) -> None:
    candidates, keys, values, weights = cast(draw(2, 3, 9, 4, 6), torch.float32)
    linear = linear_half(keys, values, weights)
    kept = linear.clone()
    torch.testing.assert_close(gemm(candidates, keys, values, weights, linear), gemm(candidates, keys, values, weights))
    assert torch.equal(linear, kept)


@pytest.mark.parametrize("slope", [-1.0, 0.01, 1.0])
@pytest.mark.parametrize("requests", [1, 3])
def test_the_affine_map_and_its_activation(product: str, slope: float, requests: int) -> None:
    generator = torch.Generator().manual_seed(0)
    rows, maps, offsets = (torch.randn(requests, *shape, generator=generator) for shape in ((7, 5), (9, 5), (9,)))
    straight = torch.einsum("bmk,bck->bmc", rows.double(), maps.double()) + offsets.double()[:, None]
    expected = torch.where(straight > 0, straight, slope * straight)
    actual = affine.leaky_affine(rows, maps, offsets, slope)
    torch.testing.assert_close(actual.double(), expected, rtol=1e-5, atol=1e-6)


def test_an_operator_of_another_signature_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(affine, "SIGNATURE", affine.SIGNATURE.replace("Tensor? B", "Tensor B"))
    assert affine._operator_of_torch() is None


def test_the_pinned_torch_has_the_operator() -> None:
    if not torch.backends.mkldnn.is_available():
        pytest.skip("torch was built without oneDNN")
    assert affine.ONEDNN is not None
