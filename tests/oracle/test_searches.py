"""The slow twins of the searches on numbers that can be computed by hand; fast code is compared with these twins."""

from __future__ import annotations

import numpy as np
import pytest

from lrea_cli.oracle.model import Long, ReferenceModel, Target
from lrea_cli.oracle.searches import (
    CLOSE,
    SlowTWIN,
    band,
    bucket_sums,
    hamming,
    largest,
    nearest,
    sdim,
    simhash,
    softmax_sum,
)
from lrea_cli.recipe.settings import ModelSettings

PLANES = np.array([[1.0, 0.0, -1.0, 1.0], [0.0, 1.0, 0.0, -1.0]])
E = np.array([[3.0, 1.0], [1.0, 3.0], [-1.0, 2.0]])


def test_a_code_has_the_first_plane_as_its_lowest_bit() -> None:
    assert [simhash(e, PLANES) for e in E] == [0b1011, 0b0011, 0b0110]
    assert (hamming(0b1011, 0b0011), hamming(0b1011, 0b0110)) == (1, 3)
    assert nearest(0b0011, [0b1011, 0b0110, 0b0011, 0b0111], 3) == [2, 0, 3]


def test_buckets_are_summed_group_by_group() -> None:
    """Groups of two planes: the codes are 3, 3, 2 and 2, 0, 1."""
    sums = bucket_sums(E, PLANES, 2)
    assert sums.tolist() == [[0, 0], [0, 0], [-1, 2], [4, 4], [1, 3], [-1, 2], [3, 1], [0, 0]]
    actual = sdim(np.array([2.0, 1.0]), sums, PLANES, 2)  # codes 3 and 2
    np.testing.assert_allclose(actual, (np.array([4, 4]) / 32**0.5 + np.array([3, 1]) / 10**0.5) / 2)
    assert sdim(np.array([-1.0, -2.0]), sums, PLANES, 2).tolist() == [0, 0]  # codes 0 and 3
    assert bucket_sums(E[:0], PLANES, 2).shape == (0, 2)


def test_softmax_of_scores() -> None:
    values = [np.array([1.0, 0.0]), np.array([0.0, 1.0])]
    np.testing.assert_allclose(softmax_sum([5.0 + np.log(3.0), 5.0], values, 2), [0.75, 0.25])
    np.testing.assert_allclose(softmax_sum([1000.0, 0.0], values, 2), [1, 0])
    assert softmax_sum([], [], 2).tolist() == [0, 0]


def test_the_bands_double() -> None:
    assert [band(n) for n in (0, 1, 2, 3, 4, 2**14 - 1, 2**14, 2**40)] == [0, 1, 2, 2, 3, 14, 15, 15]


ROWS = np.arange(4.0)[:, None]


def test_the_largest_scores_the_newest_first_of_equal_ones() -> None:
    assert largest([1.0, 3.0, -5.0, 2.0], ROWS, 2) == [1, 3]
    assert largest([1.0, 3.0], ROWS, 5) == [1, 0]
    assert largest([], ROWS[:0], 5) == []
    assert largest([2.0, 2.0, 2.0, 2.0], ROWS, 4) == [0, 1, 2, 3]


@pytest.mark.parametrize(("gap", "told_apart"), [(0.0, False), (0.8, False), (-0.8, False), (1.2, True), (-1.2, True)])
def test_a_tie_at_the_last_place_is_too_close_to_call(gap: float, told_apart: bool) -> None:
    """Gaps in shares of `CLOSE`, of the largest absolute score, which is 8."""
    scores = [1.0, 5.0, 1.0 + gap * CLOSE * 8, -8.0]
    assert (largest(scores, ROWS, 2) is not None) == told_apart
    assert largest(scores, ROWS, 1) == [1]
    assert largest(scores, ROWS, 3) is not None


def test_a_tie_of_equal_rows_is_none() -> None:
    """An item that was clicked twice: whichever click is selected, the interest is the same."""
    scores, same = [1.0, 1.0, 1.0, 5.0], np.array([[7.0], [7.0], [7.0], [0.0]])
    assert largest(scores, same, 2) == [3, 0]
    same[1] = 8.0  # a third one that ties and is another
    assert largest(scores, same, 2) is None


def test_a_tie_in_one_head_of_twin_is_enough() -> None:
    eye, none = np.eye(2), np.zeros((2, 16))
    weights = {f"long.attention.{name}": eye for name in ("W_Q", "W_K", "W_V", "W_O")}
    weights |= {"long.age": none, "long.place": none}
    model = ReferenceModel(weights, (), (), ModelSettings(method="twin", heads=2, k=1))
    slow = SlowTWIN(model)
    for second, expected in ((1.0, [2.0, 6.0]), (2.0, None)):  # the first head scores 2 and this
        long = Long(np.array([[2.0, 5.0], [second, 6.0]]), np.zeros(2, np.int64))
        kept = slow.record(long, 0)
        kept = {**kept, "values": kept["values"] + [[0.0, 0.0], [1e-3, 0.0]]}
        actual = slow.interest(Target(np.ones(2), 0), long, kept)
        assert (actual if actual is None else actual.tolist()) == expected
