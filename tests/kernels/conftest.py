"""A kernel that runs on a card alone is tested in Triton's interpreter, and skipped where triton is not installed."""

from __future__ import annotations

import pytest

from lrea_cli.kernels import KERNELS, why_not
from lrea_cli.kernels.fused import interpreted


@pytest.fixture(autouse=True)
def skip_a_kernel_that_cannot_run(request: pytest.FixtureRequest) -> None:
    """Tests take the kernel by its name, as their parameter `kernel`."""
    kernel = getattr(request.node, "callspec", None) and request.node.callspec.params.get("kernel")
    if kernel in KERNELS and why_not(kernel, "cpu") is not None and not interpreted():
        pytest.skip(f"{kernel}: {why_not(kernel, 'cuda')}")
