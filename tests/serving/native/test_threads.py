"""Many threads at once, and other users of AMX on the same thread."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from lrea_cli.serving.native import abi
from lrea_cli.serving.native.model import NativeError, NativeModel, NativeRequest
from tests.serving.native.drawn import PATHS, Shape, draw_model, draw_request, opened

pytestmark = pytest.mark.skipif(not PATHS, reason=f"there is no native library: {abi.load().reason}")


@pytest.mark.parametrize("mode", PATHS)
def test_threads_at_once_give_the_bits_of_each_alone(mode: str) -> None:
    """Each thread sends requests of several sizes, so that scratch memory grows and is used again."""
    shapes = [Shape(N=N, R=R, profile=2, by_candidate=N % 2 == 1) for N, R in ((300, 40), (1, 0), (77, 200), (0, 3))]
    model = draw_model(shapes[0], 1)
    native, rng = opened(model), np.random.default_rng(2)
    requests = [draw_request(model, shape, rng, mode) for shape in shapes]
    alone = [native.logits(request) for request in requests]
    assert not np.array_equal(alone[0][:77], alone[2])
    start, differing = threading.Barrier(3), [0, 0, 0]

    def serve(number: int) -> None:
        start.wait()
        for call in range(60):
            i = (call + number) % len(requests)
            differing[number] += not np.array_equal(native.logits(requests[i]), alone[i])

    threads = [threading.Thread(target=serve, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert differing == [0, 0, 0]


def test_torch_in_bfloat16_between_calls_changes_nothing() -> None:
    """oneDNN configures the tiles of this thread as it needs them; a call must not rely on what it left."""
    model = draw_model(Shape(), 1)
    native, request = opened(model), draw_request(model, Shape(), np.random.default_rng(2))
    asked = [replace(request, mode=mode) for mode in PATHS]
    alone = [native.logits(each) for each in asked]
    matrix = torch.randn(160, 160, generator=torch.Generator().manual_seed(0)).bfloat16()
    product = (matrix @ matrix).clone()
    for _ in range(5):
        for each, expected in zip(asked, alone, strict=True):
            assert torch.equal(matrix @ matrix, product)
            assert np.array_equal(native.logits(each), expected)
            assert torch.equal(matrix @ matrix, product)


def test_a_refused_call_leaves_the_thread_as_it_was() -> None:
    model = draw_model(Shape(), 1)
    native, request = opened(model), draw_request(model, Shape(), np.random.default_rng(2))
    wrong = replace(request, history_length=-1)
    for mode in PATHS:
        expected = native.logits(replace(request, mode=mode))
        with pytest.raises(NativeError):
            native.logits(replace(wrong, mode=mode))
        assert np.array_equal(native.logits(replace(request, mode=mode)), expected)


def test_models_of_other_sizes_share_a_thread() -> None:
    """Scratch memory is kept by the thread, not by the model."""
    shapes = [Shape(fields=1, d=8, H=16, hidden=(5,)), Shape(fields=3, d=32, H=128, hidden=(300, 40)), Shape()]
    drawn: list[tuple[NativeRequest, NativeModel, np.ndarray]] = []
    for seed, shape in enumerate(shapes):
        model = draw_model(shape, seed)
        native, request = opened(model), draw_request(model, shape, np.random.default_rng(seed))
        drawn.append((request, native, native.logits(request)))
    for request, native, expected in drawn * 3:
        assert np.array_equal(native.logits(request), expected)
