"""int8 rows with a scale: how far off they are, and that what was read is written as the same bytes again."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lrea_cli.int8 import HIGHEST, LEAST_SCALE, dequantized, quantized, rounded_to
from lrea_cli.oracle.model import as_float16, as_int8

ROWS = arrays("float32", (3, 5), elements=st.floats(-8e6, 8e6, width=32) | st.floats(-(2.0**-10), 2.0**-10, width=32))


@given(rows=ROWS)
def test_a_number_is_off_by_half_a_step_at_most(rows: np.ndarray) -> None:
    numbers, scales = quantized(torch.from_numpy(rows))
    assert (numbers.dtype, scales.dtype) == (torch.int8, torch.float16)
    steps = scales.double().numpy()[:, None]
    error = np.abs(dequantized(numbers, scales).double().numpy() - rows)
    assert (error <= steps / 2 * (1 + 1e-6)).all()  # float32 divides and multiplies
    assert (steps[:, 0] <= np.maximum(np.abs(rows).max(1) / HIGHEST, LEAST_SCALE) * (1 + 2.0**-10)).all()
    assert int(numbers.min()) >= -HIGHEST


@given(rows=ROWS)
def test_what_was_read_is_written_as_the_same_bytes(rows: np.ndarray) -> None:
    once = quantized(torch.from_numpy(rows))
    again = quantized(dequantized(*once))
    assert all(torch.equal(one, other) for one, other in zip(once, again, strict=True))


@given(rows=ROWS)
def test_rows_are_those_of_the_slow_twin(rows: np.ndarray) -> None:
    found = rounded_to("int8", torch.from_numpy(rows)).double().numpy()
    twin = as_int8(rows.astype(float), found)
    np.testing.assert_allclose(found, twin, rtol=1e-6)


def test_the_twin_takes_only_ties_as_they_are_stored() -> None:
    """A number that is off by a whole step, and a row that lost its scale, are not what a record has."""
    rows = np.random.default_rng(0).normal(size=(4, 6))
    found = rounded_to("int8", torch.from_numpy(rows)).double().numpy()
    step = np.abs(rows).max(1, keepdims=True) / HIGHEST
    for wrong in (found + step * (np.abs(found) < 0.5), found / step, found * 1.01):
        assert not np.allclose(as_int8(rows, wrong), wrong, rtol=1e-3, atol=0)


def test_a_float16_tie_is_what_is_stored_and_nothing_else_is() -> None:
    step = 2.0**-10  # of float16 in 1 .. 2; below 1 it is half as much
    for exact, both in ((1 + 0.5 * step, (1.0, 1 + step)), (1 - 0.25 * step, (1 - 0.5 * step, 1.0))):
        for off in (0.0, 2e-4 * step, -2e-4 * step):
            rows = np.array([[exact + off, -exact - off]])
            for stored in both:
                assert as_float16(rows, np.array([[stored, -stored]])).tolist() == [[stored, -stored]]
    nearest = np.array([[1 + step]])
    for exact, wrong in ((1 + 0.502 * step, 1.0), (1 + step, 1 + 2 * step), (1 + step, 1.0), (1 + step, -1 - step)):
        assert as_float16(np.array([[exact]]), np.array([[wrong]])).tolist() == nearest.tolist()


def test_numbers_below_half_the_least_scale_become_zero_and_larger_ones_do_not() -> None:
    tiny = torch.tensor([[0.49, -0.49, 0.0], [0.51, -0.51, 3.0], [1e-30, 0.0, -1e-38]]) * LEAST_SCALE
    numbers, scales = quantized(tiny)
    assert numbers.tolist() == [[0, 0, 0], [1, -1, 3], [0, 0, 0]]
    assert scales.tolist() == [LEAST_SCALE] * 3


def test_a_row_that_does_not_fit_has_a_scale_that_is_no_number() -> None:
    rows = torch.tensor([[1e7, 1.0], [float("inf"), 1.0], [float("nan"), 1.0], [8e6, 1.0]])
    assert quantized(rows)[1].isfinite().tolist() == [False, False, False, True]


def test_other_dtypes_are_rounded_by_way_of_float32() -> None:
    just_above_a_tie = 1 + 2.0**-11 + 2.0**-40
    numbers = torch.tensor([just_above_a_tie, 0.1], dtype=torch.float64)
    assert rounded_to("float16", numbers).tolist() == [1.0, float(np.float16(0.1))]
    assert np.float16(np.float64(just_above_a_tie)) > 1
    assert rounded_to("float32", numbers).dtype == torch.float32
