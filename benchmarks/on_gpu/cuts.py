"""One cut of the Triton kernel in a process of its own: an illegal access there ends no other measurement.

    PYTHONPATH=.:benchmarks python -m on_gpu.cuts WIDTH USERS CANDIDATES ROWS TILES

TILES: candidates, hidden, warps and float32_scores (0 or 1), with commas. The last line is the largest error
against float64 of three users; what it compiled stays in Triton's cache.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import astuple, replace
from pathlib import Path

import torch

from lrea_cli.kernels.fused import Tiles
from on_gpu.sizes import Cell, Sizes, sizes_of

SECONDS = 60


def error_elsewhere(asked: Cell, sizes: Sizes, tiles: Tiles, device: torch.device) -> float | str:
    """The error of a cut, found by another process; or what it said last."""
    here = Path(__file__).parents[1]
    path = f"{here.parent}:{here}"
    numbers = [asked.width, asked.users, sizes.candidates, asked.rows, ",".join(str(int(v)) for v in astuple(tiles))]
    command = [sys.executable, "-m", "on_gpu.cuts", *map(str, numbers), str(device)]
    environment = {**os.environ, "PYTHONPATH": path}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment)
    except subprocess.TimeoutExpired:
        return f"it took more than {SECONDS} s"
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "rror" in line][-1:]
        return f"exit {done.returncode}: {' '.join(errors)}"[:200]
    return float(done.stdout.split()[-1])


def main(arguments: list[str]) -> None:
    from on_gpu.fused import store_of

    width, users, candidates, rows = map(int, arguments[:4])
    a, hidden, warps, scores = map(int, arguments[4].split(","))
    device = torch.device(arguments[5] if len(arguments) > 5 else "cuda")
    if device.type == "cuda":
        torch.cuda.set_device(device.index or 0)
    sizes = replace(sizes_of(full=False, smoke=False), candidates=candidates, l2_mb=1)
    tiles = Tiles(a, hidden, warps, bool(scores))
    with torch.inference_mode():
        store = store_of(Cell(rows, users, width), sizes, torch.float16, device)
        print(max(store.error(tiles, user) for user in (0, users // 2, -1)))


if __name__ == "__main__":
    main(sys.argv[1:])
