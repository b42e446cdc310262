"""The native request compared with the trained module in float64, in every path that this machine has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lrea_cli.serving.native import abi
from lrea_cli.serving.native.model import (
    Matrix,
    NativeRequest,
    Rows,
)
from tests.serving.native.drawn import (
    PATHS,
    Shape,
    draw_model,
    draw_request,
    draw_shape,
    error_of,
    exact_logits,
    opened,
)

pytestmark = pytest.mark.skipif(not PATHS, reason=f"there is no native library: {abi.load().reason}")

MOST_OF_LOGIT = {"x3": 2e-5}
"""Relative to the largest logit or to 1; 3e-6 in the other paths."""
MOST_OF_INTEREST = {"x3": 5e-5}
"""Relative to the largest entry; 1e-5 in the other paths: phi(x) = a x + g |x| loses two digits where x < 0."""
FEW_UNITS, OF_FEW = 16, 4
"""With fewer hidden units the largest entry is smaller beside the terms that it sums: so many times the limit."""

ODD = [
    Shape(N=0),
    Shape(N=1, R=0, S=0),
    Shape(N=1, R=1, S=1, fields=1, d=8, H=16, counters=0, hidden=(1,)),
    Shape(N=16, R=128, S=64, d=16, H=64),
    Shape(N=17, R=129, S=65, d=16, H=48, dtype="float16"),
    Shape(N=47, R=3, fields=3, d=8, profile=2, counters=3, dtype="int8", linear="given"),
    Shape(N=48, R=5, fields=1, d=128, H=128, profile=1, by_candidate=True, linear="another"),
    Shape(N=49, R=7, fields=1, d=5, H=16, profile=3, by_candidate=True, hidden=(33, 31)),
    Shape(N=193, R=2, fields=3, d=24, H=112, one_sign=True),
    Shape(N=193, R=128, S=64, d=16, H=8),
    Shape(N=49, R=7, S=5, d=16, H=1),
    Shape(N=50, R=20, S=5, d=16, H=17, dtype="int8"),
    Shape(N=50, R=20, S=5, fields=1, d=40, H=33, long="behaviors"),
    Shape(N=1030, R=4, S=3, fields=1, d=8, H=16, profile=1, by_candidate=True),
    Shape(N=30, R=300, long="behaviors", fields=1, d=40),
    Shape(N=30, R=0, long="behaviors"),
    Shape(N=1025, R=1, long="interest", fields=3, d=8),
    Shape(N=33, R=1, long="buckets", d=12),
    Shape(N=33, R=0, long="buckets"),
    Shape(N=33, long="none", hidden=(300, 3)),
]


def check(shape: Shape, seed: int, modes: list[str] = PATHS) -> None:
    rng = np.random.default_rng(seed)
    model = draw_model(shape, seed)
    native, request = opened(model), draw_request(model, shape, rng)
    logits, interest = exact_logits(model, request)
    for mode in modes:
        asked = replace(request, mode=mode)
        assert error_of(native.logits(asked), logits, 1.0) <= MOST_OF_LOGIT.get(mode, 3e-6), (mode, shape)
        most = MOST_OF_INTEREST.get(mode, 1e-5) * (OF_FEW if shape.H < FEW_UNITS else 1)
        assert error_of(native.interest(asked), interest, 1e-3) <= most, (mode, shape)


@pytest.mark.parametrize("shape", ODD, ids=str)
def test_odd_shapes_equal_float64(shape: Shape) -> None:
    check(shape, seed=len(str(shape)))


@pytest.mark.parametrize("seed", range(40))
def test_random_shapes_equal_float64(seed: int) -> None:
    check(draw_shape(np.random.default_rng(seed), most=200), seed)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_two_thousand_random_shapes_equal_float64(part: int) -> None:
    for seed in range(1000 + 100 * part, 1100 + 100 * part):
        check(draw_shape(np.random.default_rng(seed)), seed)


@pytest.mark.skipif("x6" not in PATHS, reason="the machine has no AMX")
@pytest.mark.parametrize("d", [8, 32, 72])
def test_x6_is_as_exact_as_float32(d: int) -> None:
    """The root of the mean square, since a lost product of small parts hides below the largest error of odd shapes."""
    errors: dict[str, list[tuple[float, float]]] = {mode: [] for mode in ("x6", "x3", "avx512")}
    shape = Shape(N=150, R=60, S=20, fields=1, d=d, H=64, hidden=(128, 64))
    for seed in range(3):
        model = draw_model(shape, seed)
        native, request = opened(model), draw_request(model, shape, np.random.default_rng(seed))
        exact = exact_logits(model, request)
        for mode, found in errors.items():
            asked = replace(request, mode=mode)
            answers = zip((native.logits(asked), native.interest(asked)), exact, strict=True)
            found.append(tuple(float(np.linalg.norm(a - e) / np.linalg.norm(e)) for a, e in answers))
    x6, x3, fp32 = (np.mean(found, 0) for found in errors.values())
    assert (x6 <= 1.2 * fp32).all(), (x6, fp32)
    assert (x3 <= 4e-6).all(), x3


def test_padding_falls_into_the_first_bucket() -> None:
    """Its vector is zero, on no side of any plane."""
    shape = Shape(long="buckets", R=1)
    model = draw_model(shape, 7)
    request = draw_request(model, shape, np.random.default_rng(8))
    request.candidate_ids[:, 0] = 0
    exact = exact_logits(model, request)[1]
    for mode in PATHS:
        interest = opened(model).interest(replace(request, mode=mode))
        assert error_of(interest, exact, 1e-3) <= 1e-6
        assert np.abs(interest[0]).max() > 0


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_every_number_of_a_small_dtype_is_read_exactly(dtype: str) -> None:
    """With a zero vector as candidate the interest is the last row of the linear half, without any arithmetic."""
    shape = Shape(fields=1, d=128, R=0, counters=0)
    native = opened(draw_model(shape, 1))
    numbers = (
        np.arange(65536, dtype=np.uint16).view(np.float16) if dtype == "float16" else np.arange(256).astype(np.int8)
    )
    nothing = Matrix(np.zeros((0, 128), np.float32))
    for row in numbers.reshape(-1, 128):
        linear = np.zeros((129, 128), numbers.dtype)
        linear[128] = row
        scales = np.full(129, 0.3, np.float32) if dtype == "int8" else None
        request = NativeRequest(
            candidate_ids=np.zeros((1, 1), np.int32),
            short_ids=np.zeros((1, 0), np.int32),
            history_length=0,
            long=Rows(nothing, nothing, Matrix(linear, scales)),
            mode="fp32",
        )
        with np.errstate(invalid="ignore"):  # some are no numbers
            expected = row.astype(np.float32) * (1 if scales is None else scales[0])
        assert np.array_equal(native.interest(request)[0], expected, equal_nan=True)
