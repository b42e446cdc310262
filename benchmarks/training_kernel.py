"""The training kernel in C++ and its twin in torch, in turns on one thread: forward and backward of the absolute half.

    python benchmarks/training_kernel.py

The gradients of both are compared with float64 first; where one is off, no time is printed and the exit code is 3.
Times are CPU time of the thread, the least of several turns: other programs slow both. GFLOP/s count the products of
the formula once for the forward pass and three times for the backward pass. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import torch
from torch import Tensor

from lrea_cli.bench.machine import cpu_name
from lrea_cli.kernels.folded import AbsoluteHalf
from lrea_cli.kernels.native import abi
from lrea_cli.kernels.native.training import NativeAbsoluteHalf

SHAPES = [(129, 8, 500, 32, 64), (129, 8, 128, 32, 64), (129, 8, 64, 32, 64), (512, 2, 500, 32, 64)]
SHAPES += [(1024, 1, 64, 32, 64), (129, 8, 500, 16, 32), (129, 8, 500, 32, 16), (129, 8, 500, 48, 64)]
"""(B, N, R, D, H): requests, candidates, rows, width, hidden units; N = 1 is a searched method."""
HALVES = {"torch": AbsoluteHalf, "native": NativeAbsoluteHalf}
MOST_ERROR = 1e-5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=12)
    turns = parser.parse_args().turns
    torch.set_num_threads(1)
    path = abi.path_of("auto")
    if path is None:
        sys.exit(f"There is nothing to compare: {abi.load().reason}")
    print(f"{cpu_name()}, torch {torch.__version__}, one thread, native path {path}")
    wrong = {name: error for name, half in HALVES.items() if not (error := error_of(half)) <= MOST_ERROR}
    if wrong:
        print(f"off from float64, so no time is shown: {wrong}")
        sys.exit(3)
    rows = []
    for shape in SHAPES:
        best = times(shape, turns)
        speedup = sum(best["torch"]) / sum(best["native"])
        print(
            f"{shape!s:24}{speedup:6.2f} times as fast;", "; ".join(in_words(shape, name, best[name]) for name in best)
        )
        rows.append({"shape": shape, "ms": best, "speedup": speedup})
    print(json.dumps({"cpu": cpu_name(), "torch": torch.__version__, "path": path, "turns": turns, "rows": rows}))


def draw(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Candidates, keys, values, W1, W2, W3, b, w_o."""
    B, N, R, D, H = shape
    generator = torch.Generator().manual_seed(0)
    wanted = [(B, N, D), (B, R, D), (B, R, D), *[(D, H)] * 3, (H,), (H,)]
    return [(0.3 * torch.randn(s, generator=generator)).to(dtype).requires_grad_() for s in wanted]


def error_of(half: type[torch.autograd.Function]) -> float:
    """The largest error of a gradient, relative to its norm in float64."""
    shape = 5, 8, 101, 33, 40
    exact = torch.autograd.grad(AbsoluteHalf.apply(*(operands := draw(shape, torch.float64))).sum(), operands)
    found = torch.autograd.grad(half.apply(*(operands := draw(shape))).sum(), operands)
    return max(float((a - b).norm() / b.norm()) for a, b in zip(found, exact, strict=True))


def times(shape: tuple[int, ...], turns: int) -> dict[str, list[float]]:
    """Milliseconds of the forward and the backward pass, the least of all turns, of each half."""
    operands = draw(shape)
    towards = torch.ones(*shape[:2], shape[3])
    best = {name: [float("inf")] * 2 for name in HALVES}
    for _ in range(turns):
        for name, half in HALVES.items():
            began = time.thread_time()
            interest = half.apply(*operands)
            between = time.thread_time()
            torch.autograd.grad(interest, operands, towards)
            taken = (between - began, time.thread_time() - between)
            best[name] = [min(least, 1e3 * now) for least, now in zip(best[name], taken, strict=True)]
    return best


def in_words(shape: tuple[int, ...], name: str, ms: list[float]) -> str:
    """Times and GFLOP/s of both passes."""
    B, N, R, D, H = shape
    gflop = 2e-9 * B * N * R * (D + 1) * H
    speeds = [passes * gflop / (took / 1e3) for passes, took in zip((1, 3), ms, strict=True)]
    return f"{name} {ms[0]:.1f} + {ms[1]:.1f} ms ({speeds[0]:.0f}, {speeds[1]:.0f} GFLOP/s)"


if __name__ == "__main__":
    main()
