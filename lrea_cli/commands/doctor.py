"""`lrea doctor`: the installation, the machine and the home, and what is wrong with them."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from lrea_cli import __version__
from lrea_cli.commands.options import JsonAlone, command
from lrea_cli.console.counts import counted
from lrea_cli.console.output import Console
from lrea_cli.console.show import size
from lrea_cli.errors import LreaError
from lrea_cli.workspace.kinds import home_of_environment
from lrea_cli.workspace.places import lock

PACKAGES = ("torch", "duckdb", "pyarrow", "numpy")
CPU_INFO = Path("/proc/cpuinfo")
CPU_FLAGS = {"AVX2": "avx2", "AVX-512": "avx512f", "AMX": "amx_tile", "NEON": "asimd"}
"""The features that decide how fast a kernel is, and their names in `CPU_INFO`."""

LEAST_FREE_BYTES = 10**9
ELSEWHERE = "Set LREA_HOME to a folder that you may write to, on a local disk with free space."
REINSTALL = "Install {0} again: pip install --force-reinstall {0}"


@command
def doctor(options: JsonAlone) -> None:
    """Check the installation, the machine, the kernels and the home.

    Example: lrea doctor

    Every problem is named with its remedy; the exit code is then 1.
    """
    console, facts = Console(options.json), dict[str, object]()
    problems = list(_packages(facts))
    if {"torch", "numpy"} <= set(facts):
        facts |= _machine()
        problems += _kernels(facts)
        problems += _native(facts)
    problems += _home(facts)
    console.table("kernel errors: relative to float64", ["", "value"], [_row(*fact) for fact in facts.items()])
    for problem in problems:
        console.say(f"problem: {problem.message}")
        console.say(f"  {problem.remedy}")
    console.result({**facts, "problems": [{"problem": p.message, "remedy": p.remedy} for p in problems]})
    if problems:
        raise LreaError(f"lrea doctor reports {counted(len(problems), 'problem')}.")


def _row(name: str, value: object) -> list[str]:
    """A fact as the table shows it."""
    if isinstance(value, int) and name.endswith("_bytes"):
        return [name.removesuffix("_bytes").replace("_", " "), size(value)]
    if isinstance(value, dict):
        value = [f"{name} {each:.2g}" if isinstance(each, float) else f"{name}: {each}" for name, each in value.items()]
    return [name.replace("_", " "), ", ".join(value) or "none" if isinstance(value, list) else str(value)]


def _packages(facts: dict[str, object]) -> Iterator[LreaError]:
    """Add the versions of packages; yield those that cannot be imported."""
    facts |= {"lrea": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            facts[name] = importlib.import_module(name).__version__
        except (ImportError, OSError) as error:  # OSError: a shared library is missing
            yield LreaError(f"{name} cannot be imported: {error}", REINSTALL.format(name))


def _machine() -> dict[str, object]:
    import torch

    from lrea_cli.bench.machine import cpu_name, own_cpus

    try:
        flags = set(CPU_INFO.read_text(encoding="utf-8").split())
    except OSError:
        flags = {"asimd"} if platform.machine() in ("arm64", "aarch64") else set()
    return {
        "cpu": cpu_name(),
        "cpu_features": [name for name, flag in CPU_FLAGS.items() if flag in flags],
        "cores": len(own_cpus()),
        "torch_threads": torch.get_num_threads(),
        "cuda_devices": [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())],
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }


def _kernels(facts: dict[str, object]) -> Iterator[LreaError]:
    """Add each kernel's error in float32, or why it does not run, for each kind of device; yield those that fail."""
    from lrea_cli.kernels import KERNELS, why_not
    from lrea_cli.kernels.check import error_of

    for device in ("cpu", "cuda") if facts["cuda_devices"] else ("cpu",):
        facts[f"kernel_errors_{device}"] = errors = dict[str, float]()
        facts[f"kernels_not_on_{device}"] = idle = {n: why for n in KERNELS if (why := why_not(n, device)) is not None}
        for name, kernel in KERNELS.items():
            if name in idle:
                continue
            try:
                errors[name] = error_of(kernel, device)
            except Exception as failure:  # whatever a library raises
                yield LreaError(f"The kernel {name} fails on {device}: {failure}", REINSTALL.format("torch"))


def _native(facts: dict[str, object]) -> Iterator[LreaError]:
    """Add which path the native request takes and why, and the error of each of its modes; yield those that fail."""
    from lrea_cli.serving.native import abi
    from lrea_cli.serving.native.check import error_of

    facts |= {"native_request": abi.path_of("auto") or "none: torch computes requests", "why": abi.load().reason}
    facts["native_errors"] = errors = dict[str, float]()
    for mode in ("fp32", "x6", "x3"):
        if abi.path_of(mode):
            try:
                errors[mode] = error_of(mode)
            except Exception as failure:  # whatever a library raises
                yield LreaError(f"The native request fails in mode {mode}: {failure}", REINSTALL.format("lrea"))


def _home(facts: dict[str, object]) -> Iterator[LreaError]:
    """Add the home and its disk; yield what keeps files from being written and locked there.

    While there is no home, the nearest folder above it is tried.
    """
    try:
        home = home_of_environment().absolute()
        folder = next(path for path in (home, *home.parents) if path.exists())
        free_bytes = shutil.disk_usage(folder).free
        facts |= {"home": str(home), "free_disk_bytes": free_bytes}
        if free_bytes < LEAST_FREE_BYTES:
            yield LreaError(f"The disk of {folder} has only {size(free_bytes)} left.", ELSEWHERE)
        with TemporaryDirectory(prefix=".doctor-", dir=folder) as probe, lock(Path(probe) / "lock"):
            pass
    except LreaError as error:
        yield error
    except OSError as error:
        yield LreaError(f"The home cannot be written to: {error.strerror}: {error.filename}", ELSEWHERE)
