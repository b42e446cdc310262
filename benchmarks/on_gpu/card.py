"""The machine, and what it can do at most: copies, matrix products, launches."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from functools import partial
from importlib import metadata

import numpy as np
import torch

from lrea_cli.bench.machine import cpu_name
from on_gpu.made import generator_of
from on_gpu.rows import Report, Row, Setting, Timed, cell
from on_gpu.sizes import Sizes
from on_gpu.timing import Contender, captured, in_turns, is_card

PRODUCTS = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "tf32": torch.float32,
}
QUERY = "driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.draw,power.limit,temperature.gpu"
SECONDS = 3.0
"""For each ceiling."""


def measure_card(report: Report, sizes: Sizes, device: torch.device) -> None:
    """Fill `report.machine`, and add a row for each ceiling."""
    report.machine.update(machine_of(device))
    generator = generator_of(device, 1)
    with cell(report, "card", {"what": "copy"}):
        _copy(report, sizes, device)
    for name, dtype in PRODUCTS.items():
        with cell(report, "card", {"what": "matmul", "dtype": name}):
            _matmul(report, sizes.matmul, name, dtype, device, generator)
    with cell(report, "card", {"what": "launch"}):
        _launches(report, device)


def machine_of(device: torch.device) -> dict[str, str | int | float | None]:
    """Names and versions, and clocks as found."""
    facts: dict[str, str | int | float | None] = {
        "device": str(device),
        "cpu": cpu_name(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "triton": _version("triton"),
        "cuda": torch.version.cuda,
        "float32_matmul": torch.get_float32_matmul_precision(),
        "threads": torch.get_num_threads(),
    }
    if not is_card(device):
        return {**facts, "name": cpu_name(), "l2_mb": None}
    found = torch.cuda.get_device_properties(device)
    return {
        **facts,
        "name": found.name,
        "sms": found.multi_processor_count,
        "memory_gb": round(found.total_memory / 1e9, 1),
        "l2_mb": round(getattr(found, "L2_cache_size", 50 << 20) / 2**20, 1),
        **clocks(device),
    }


def clocks(device: torch.device) -> dict[str, str | int | float | None]:
    """What nvidia-smi says of the card; nothing where it cannot be asked."""
    program = shutil.which("nvidia-smi")
    if program is None or not is_card(device):
        return {}
    command = [program, f"--query-gpu={QUERY}", "--format=csv,noheader,nounits", f"--id={device.index or 0}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(zip(QUERY.split(","), (part.strip() for part in done.stdout.split(",")), strict=False))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _copy(report: Report, sizes: Sizes, device: torch.device) -> None:
    """Bytes read and written of one large copy."""
    source = torch.ones(sizes.copy_mb * 2**18, device=device)
    target = torch.empty_like(source)
    timed = in_turns([Contender("copy", [partial(target.copy_, source)])], device, SECONDS)["copy"]
    moved = 2 * source.numel() * source.element_size()
    _keep(report, {"what": "copy", "mb": sizes.copy_mb}, timed, "tb_per_s", moved / 1e6)


def _matmul(
    report: Report, size: int, name: str, dtype: torch.dtype, device: torch.device, generator: torch.Generator
) -> None:
    a, b = (torch.randn(size, size, device=device, generator=generator).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    try:
        timed = in_turns([Contender(name, [partial(torch.mm, a, b, out=out)])], device, SECONDS)[name]
    finally:
        torch.set_float32_matmul_precision(before)
    _keep(report, {"what": "matmul", "dtype": name, "size": size}, timed, "tflop_per_s", 2 * size**3 / 1e6)


def _launches(report: Report, device: torch.device) -> None:
    """A kernel that does next to nothing: launched by itself, and replayed."""
    number = torch.zeros(1, device=device)
    tiny = partial(number.add_, 1.0)
    _keep(report, {"what": "launch"}, in_turns([Contender("launch", [tiny])], device, SECONDS)["launch"])
    with cell(report, "card", {"what": "graph replay"}):
        replay, _ = captured(tiny, device)
        _keep(report, {"what": "graph replay"}, in_turns([Contender("replay", [replay])], device, SECONDS)["replay"])


def _keep(
    report: Report, settings: dict[str, Setting], timed: object, rate: str | None = None, millions: float = 0.0
) -> None:
    """A row; `rate` = so many millions a microsecond, in millions of millions a second."""
    if not isinstance(timed, Timed):
        raise RuntimeError(getattr(timed, "note", "not timed"))
    values: dict[str, float | None] = {} if rate is None else {rate: millions / timed.median_us}
    report.add(Row("card", settings, timed=timed, values=values))
