"""The Triton kernel built for sm_80 and sm_90: spills, shared memory, tensor cores, instructions; no card is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RECORDED_WITH = "3.9.0"
INSTRUCTIONS = {(90, 16): 47.4, (90, 32): 73.0, (90, 64): 86.5, (80, 16): 47.1, (80, 32): 125.0, (80, 64): 260.0}
"""Of the inner loop of float16 and 512 users, for 16 candidates, one row and H = 64, by capability and D."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed: pip install 'lrea[triton]'"),
]


@pytest.fixture(scope="module", params=[80, 90])
def built(request: pytest.FixtureRequest) -> tuple[int, list[dict[str, Any]]]:
    """The capability and what was built for it; in a process of its own, as Triton interprets in this one."""
    command = [sys.executable, "-m", "tests.kernels.built", str(request.param)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return request.param, [json.loads(line) for line in done.stdout.splitlines()]


def attend(built: tuple[int, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [one for one in built[1] if one["program"] == "attend"]


def test_every_program_is_built_for_many_users_and_for_few(built) -> None:
    assert len(attend(built)) == 15
    programs = [one["program"] for one in built[1]]
    assert programs.count("row_offsets") == 15
    assert programs.count("add_segments") == 7, "few users are cut by rows"


def test_what_serves_keeps_everything_of_its_loop_in_registers(built) -> None:
    for one in attend(built):
        if one["dtype"] != "float32" and one["D"] <= 64:
            assert one["spills_in_loop"] <= (0 if one["users"] == 512 else 8), one
            assert one["stack"] <= 512, one
    assert all(one["registers"] <= 255 and one["shared"] <= 160 << 10 for one in built[1])


def test_tensor_cores_do_the_products(built) -> None:
    capability, _ = built
    for one in attend(built):
        warpgroup = capability == 90 and one["D"] > 16 and not (one["dtype"] == "float32" and one["D"] == 128)
        assert ("HGMMA" if warpgroup else "HMMA") in one["tensor"] or one["dtype"] == "float32", one
        assert one["tensor"], one


def test_the_inner_loop_has_as_many_instructions_as_recorded(built) -> None:
    if metadata.version("triton") != RECORDED_WITH:
        pytest.skip(f"recorded with triton {RECORDED_WITH}; this is {metadata.version('triton')}")
    capability, _ = built
    found = {
        (capability, one["D"]): one["instructions"]
        for one in attend(built)
        if (one["dtype"], one["users"], one["H"]) == ("float16", 512, 64)
    }
    assert found == {key: pytest.approx(count, rel=0.1) for key, count in INSTRUCTIONS.items() if key[0] == capability}
