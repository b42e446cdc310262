"""The quick check of a kernel: it passes those that there are, and refuses one that is off or gives no number."""

from __future__ import annotations

import pytest

from lrea_cli.kernels import KERNELS, naive
from lrea_cli.kernels.check import MOST_ERROR, error_of


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_passes(kernel: str) -> None:
    assert 0 < error_of(KERNELS[kernel], "cpu") < MOST_ERROR / 10


@pytest.mark.parametrize("factor", [1 + 2e-5, float("nan")])
def test_a_kernel_that_is_off_is_refused(factor: float) -> None:
    def off(*inputs):
        return factor * naive(*inputs)

    with pytest.raises(ArithmeticError, match="is off by"):
        error_of(off, "cpu")
