"""Builds the Triton kernel for a card that is not there, as calls of it would: `python -m tests.kernels.built 90`.

Prints one JSON line for each program: registers, bytes of stack and shared memory, tensor-core instructions in the
inner loop, and how many instructions that loop has for 16 candidates and one row. Triton's wheel carries the tools.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ["TRITON_INTERPRET"] = "0"

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver

import lrea_cli.kernels.fused  # noqa: F401
from lrea_cli.kernels import ScorerWeights

fused = sys.modules["lrea_cli.kernels.fused"]
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
CANDIDATES, ROWS = 1000, 128
CASES = (
    *(("float16", users, width, 64) for width in (16, 32, 64) for users in (512, 1)),
    *(("bfloat16", 512, 16, 64), ("float16", 512, 128, 128), ("float16", 8, 24, 100)),
    *(("float32", users, width, 64) for width in (16, 32) for users in (512, 1)),
    *(("float32", 512, 64, 64), ("float32", 1, 128, 128)),
)
"""dtype, users, D, H."""


class Card:
    """What Triton asks of the driver of a card before it compiles."""

    def __init__(self, capability: int) -> None:
        self.capability = capability

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.capability, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


def main(capability: int) -> None:
    built: list[tuple[str, Any]] = []

    def compile_alone(program: Any, grid: tuple[int, ...]) -> Any:
        return lambda *args, **named: built.append((program.fn.__name__, program.warmup(*args, grid=grid, **named)))

    setattr(triton.JITFunction, "__getitem__", compile_alone)  # noqa: B010
    driver.set_active(Card(capability))  # pyright: ignore[reportArgumentType]
    vars(fused).update(_refuse=lambda *tensors: None, _processors=lambda device: 132)
    for dtype, users, width, hidden in CASES:
        built.clear()
        _call(getattr(torch, dtype), users, width, hidden)
        for name, kernel in built:
            case = {"program": name, "dtype": dtype, "users": users, "D": width, "H": hidden}
            print(json.dumps({**case, **_facts(kernel, fused.tiles_of(width, getattr(torch, dtype)))}), flush=True)


def _call(dtype: torch.dtype, users: int, width: int, hidden: int) -> None:
    """On memory that is never read, of a store of twice as many users."""

    def zeros(*shape: int) -> torch.Tensor:
        return torch.zeros(*shape, dtype=dtype)

    weights = ScorerWeights(*(zeros(*s) for s in (*((width, hidden),) * 3, (hidden,), (hidden,))))
    fused.attend_at(
        zeros(users, CANDIDATES, width),
        zeros(2 * users, ROWS, width),
        zeros(2 * users, ROWS, width),
        weights,
        torch.zeros(2 * users, width + 1, width),
        rows=torch.zeros(2 * users, dtype=torch.int64),
        position=torch.zeros(users, dtype=torch.int64),
    )


def _facts(kernel: Any, tiles: Any) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(kernel.asm["cubin"])
        usage = _said("cuobjdump", "-res-usage", path)
        registers, stack = map(int, re.findall(r"(?:REG|STACK):(\d+)", usage)[:2])
        loop = _inner_loop(_said("nvdisasm", "-c", path))
    tensor = sorted({word for word in ("HMMA", "HGMMA") if any(line.startswith(word) for line in loop)})
    blocks = tiles.candidates / 16 / tiles.warps
    return {
        "registers": registers,
        "stack": stack,
        "shared": kernel.metadata.shared,
        "tensor": tensor,
        "spills_in_loop": sum(line.startswith(("LDL", "STL")) for line in loop),
        "instructions": round(len(loop) / blocks, 1),
    }


def _said(tool: str, *arguments: object) -> str:
    done = subprocess.run([TOOLS / tool, *map(str, arguments)], capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def _inner_loop(listing: str) -> list[str]:
    """The shortest loop that has a tensor-core instruction: names of its instructions, without predicates."""
    labels: dict[str, int] = {}
    code: list[str] = []
    for line in map(str.strip, listing.splitlines()):
        if label := re.match(r"(\.L_x_\d+):", line):
            labels[label[1]] = len(code)
        elif found := re.match(r"/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+ )?(\S.*?);", line):
            code.append(found[1])
    loops = []
    for end, instruction in enumerate(code):
        target = re.match(r"BRA.*?(\.L_x_\d+)", instruction)
        if target and labels.get(target[1], end + 1) <= end:
            loops.append(code[labels[target[1]] : end + 1])
    tensor = [loop for loop in loops if any("MMA" in line.split(".")[0] for line in loop)]
    return min(tensor, key=len, default=[])


if __name__ == "__main__":
    main(int(sys.argv[1]))
