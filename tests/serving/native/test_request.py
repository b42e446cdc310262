"""What a native request keeps to: the same bits in any company, unknown ids, refusals, and memory of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lrea_cli.serving.native import abi
from lrea_cli.serving.native.model import (
    Behaviors,
    GivenInterest,
    Matrix,
    NativeError,
    NativeRequest,
    Rows,
    UnsupportedError,
)
from tests.serving.native.drawn import (
    PATHS,
    Shape,
    draw_model,
    draw_request,
    draw_shape,
    opened,
)

pytestmark = pytest.mark.skipif(not PATHS, reason=f"there is no native library: {abi.load().reason}")


def test_what_a_request_leaves_in_memory_reaches_no_other_one() -> None:
    """Padding must not hold the numbers of an earlier request, here no numbers at all."""
    shapes = [Shape(N=200, R=1, fields=1, d=d, profile=3, by_candidate=True, long="interest") for d in (8, 24, 40, 64)]
    for shape in shapes:
        native, request = prepared(shape)
        assert isinstance(request.long, GivenInterest)
        spoilt = replace(request, long=GivenInterest(np.full_like(request.long.vectors, np.nan)))
        for mode in PATHS:
            expected = native.logits(replace(request, mode=mode))
            assert np.isfinite(expected).all()
            for other in shapes:
                model, wrong = prepared(other)
                wrong = replace(wrong, mode=mode, long=GivenInterest(np.full((200, other.d), np.nan, np.float32)))
                assert np.isnan(model.logits(wrong)).all()
            native.logits(replace(spoilt, mode=mode))
            assert np.array_equal(native.logits(replace(request, mode=mode)), expected)


def prepared(shape: Shape) -> tuple:
    model = draw_model(shape, 7)
    return opened(model), draw_request(model, shape, np.random.default_rng(8))


def of_candidates(request: NativeRequest, chosen: np.ndarray) -> NativeRequest:
    """The same request for some of its candidates."""
    profile, long = request.profile_ids, request.long
    return replace(
        request,
        candidate_ids=request.candidate_ids[:, chosen],
        counts=None if request.counts is None else request.counts[:, chosen],
        profile_ids=profile if profile is None or profile.ndim == 1 else profile[:, chosen],
        long=GivenInterest(long.vectors[chosen]) if isinstance(long, GivenInterest) else long,
    )


@pytest.mark.parametrize("mode", PATHS)
@pytest.mark.parametrize(
    "shape",
    [
        Shape(N=230, R=20, S=9, d=16, H=64, profile=1),
        Shape(N=1300, R=300, S=9, d=4, H=16, hidden=(200, 40)),
        Shape(N=70, R=3, fields=1, d=72, profile=2, by_candidate=True, long="behaviors", counters=0),
        Shape(N=70, long="interest", profile=1, by_candidate=True),
        Shape(N=70, R=1, long="buckets"),
    ],
    ids=str,
)
def test_a_logit_has_the_same_bits_in_any_subset_and_order(shape: Shape, mode: str) -> None:
    native, request = prepared(shape)
    request = replace(request, mode=mode)
    logits, interest = native.logits(request), native.interest(request)
    rng = np.random.default_rng(0)
    subsets = [np.array([n]) for n in (0, 1, 15, 16, shape.N - 1)]
    subsets += [rng.permutation(shape.N)[:count] for count in (2, 13, 35, 49, 65, shape.N)]
    for chosen in subsets:
        asked = of_candidates(request, chosen)
        assert np.array_equal(native.logits(asked), logits[chosen])
        assert np.array_equal(native.interest(asked), interest[chosen])


@pytest.mark.skipif(not {"avx2", "avx512"} <= set(PATHS), reason="the machine lacks AVX2 or AVX-512")
@pytest.mark.parametrize("seed", range(8))
def test_vectors_of_any_length_give_the_same_bits(seed: int) -> None:
    native, request = prepared(draw_shape(np.random.default_rng(seed), most=300))
    short, long = (native.logits(replace(request, mode=mode)) for mode in ("avx2", "avx512"))
    assert np.array_equal(short, long)


def test_auto_takes_the_best_path() -> None:
    native, request = prepared(Shape())
    best = "x6" if "x6" in PATHS else next(mode for mode in ("avx512", "avx2", "baseline") if mode in PATHS)
    assert abi.path_of("auto") == abi.path_of(best)
    assert np.array_equal(native.logits(request), native.logits(replace(request, mode=best)))
    assert abi.path_of("fp32") in ("avx512", "avx2", "neon", "baseline")


@pytest.mark.parametrize("field", range(2))
def test_unknown_values_share_a_row_and_negative_ids_are_refused(field: int) -> None:
    native, request = prepared(Shape(long="behaviors", profile=2))

    def with_id(name: str, value: int) -> NativeRequest:
        ids = (request.long.ids if name == "long" else getattr(request, name)).copy()
        ids[field, ...].flat[-1] = value
        return replace(request, **{name: Behaviors(ids) if name == "long" else ids})

    for name in ("candidate_ids", "short_ids", "profile_ids", "long"):
        unknown = native.logits(with_id(name, 1))
        assert not np.array_equal(unknown, native.logits(with_id(name, 2)))
        for value in (1000, 2**31 - 1):
            assert np.array_equal(unknown, native.logits(with_id(name, value)))
        for value in (-1, -(2**31)):
            with pytest.raises(NativeError, match="An id is negative"):
                native.logits(with_id(name, value))


def test_impossible_numbers_are_refused() -> None:
    native, request = prepared(Shape())
    assert request.counts is not None
    counts = request.counts.copy()
    counts[0, -1] = -1
    for wrong in (replace(request, counts=counts), replace(request, history_length=-1)):
        with pytest.raises(NativeError, match=r"A count of matches or the length .* is negative"):
            native.logits(wrong)
    with pytest.raises(UnsupportedError, match="the model lacks what the long part needs"):
        native.logits(replace(request, long=draw_request(*with_buckets()).long))


def with_buckets() -> tuple:
    shape = Shape(long="buckets", R=1)
    return draw_model(shape, 1), shape, np.random.default_rng(2)


def test_arrays_of_another_shape_or_dtype_are_refused() -> None:
    native, request = prepared(Shape(profile=1))
    assert isinstance(request.long, Rows)
    keys = request.long.keys
    for wrong, said in [
        (replace(request, candidate_ids=request.candidate_ids.astype(np.int64)), "candidate_ids is int64"),
        (replace(request, candidate_ids=request.candidate_ids[:1]), "expected int32"),
        (replace(request, short_ids=request.short_ids[:1]), "short_ids"),
        (replace(request, counts=None), "counts"),
        (replace(request, profile_ids=None), "no profile_ids"),
        (replace(request, long=replace(request.long, values=replace(keys, data=keys.data[1:]))), "values"),
        (replace(request, long=replace(request.long, keys=replace(keys, data=keys.data.astype("f8")))), "float64"),
        (replace(request, long=replace(request.long, keys=replace(keys, data=keys.data.astype("i1")))), "scales"),
        (replace(request, long=GivenInterest(np.zeros((3, 3), np.float32))), "interest"),
    ]:
        with pytest.raises(ValueError, match=said):
            native.logits(wrong)


def test_an_interest_is_written_where_it_is_wanted() -> None:
    native, request = prepared(Shape())
    expected, out = native.interest(request), np.zeros((40, 16), np.float32)
    assert native.interest(request, out) is out
    assert np.array_equal(out, expected)
    for wrong in (np.zeros((16, 40), np.float32), np.zeros((16, 40), np.float32).T, np.zeros((40, 16))):
        with pytest.raises(ValueError, match="expected float32"):
            native.interest(request, wrong)


def test_arrays_need_not_lie_row_after_row() -> None:
    native, request = prepared(Shape())
    turned = replace(request, candidate_ids=np.asfortranarray(request.candidate_ids))
    assert np.array_equal(native.logits(turned), native.logits(request))


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_rows_may_lie_at_any_byte(dtype: str) -> None:
    """As they do in a record."""
    native, request = prepared(Shape(dtype=dtype, linear="another"))
    assert isinstance(request.long, Rows)

    def moved(array: np.ndarray) -> np.ndarray:
        return np.frombuffer(b"?" + array.tobytes(), array.dtype, offset=1).reshape(array.shape)

    parts = {name: getattr(request.long, name) for name in ("keys", "values", "linear")}
    odd = {
        name: Matrix(moved(matrix.data), None if matrix.scales is None else moved(matrix.scales))
        for name, matrix in parts.items()
    }
    assert not odd["keys"].data.flags.aligned or dtype == "int8"
    assert np.array_equal(native.logits(replace(request, long=Rows(**odd))), native.logits(request))
