"""The library of the training kernel: its header, its sources, and a C++ program that sanitizers watch."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from ctypes import sizeof
from pathlib import Path

import pytest

from lrea_cli.kernels.native import abi
from lrea_cli.native.sources import OPTIONS, SHARED, headers_of, options_of, sources_of
from tests.kernels.native.drawn import MODES
from tests.serving.native.test_driver import CHECKS, COMPILER, compiled
from tests.serving.native.test_library import ROOT, build

FOLDER = Path(abi.__file__).parent
HEADER = (FOLDER / "training.h").read_text(encoding="utf-8")
needs_library = pytest.mark.skipif(not MODES, reason=f"there is no native library: {abi.load().reason}")
needs_compiler = pytest.mark.skipif(not COMPILER, reason="there is no C++ compiler")


def test_a_library_that_is_missing_or_no_library_says_so(tmp_path: Path) -> None:
    assert "was not built" in abi._load(tmp_path / abi.LIBRARY).reason
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"no library")
    assert abi._load(broken).library is None
    assert "cannot be loaded" in abi._load(broken).reason


@needs_library
def test_the_fastest_path_of_the_machine_is_taken() -> None:
    assert abi.path_of("auto") == abi.path_of(MODES[-1])
    if platform.machine() == "x86_64":
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
        assert ("avx2" in MODES) == ({"avx2", "fma"} <= flags)
        assert ("avx512" in MODES) == ({"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx2", "fma"} <= flags)


def test_the_numbers_of_the_header_are_those_of_python() -> None:
    numbers = {name: int(value) for name, value in re.findall(r"LREA_TRAINING_(\w+) = (\d+)", HEADER)}
    assert int(re.findall(r"#define LREA_TRAINING_ABI (\d+)", HEADER)[0]) == abi.ABI
    statuses = {"OK": abi.OK, "NO_MEMORY": abi.NO_MEMORY, "UNSUPPORTED": abi.UNSUPPORTED}
    assert {name.upper(): number for name, number in abi.MODES.items()} | statuses == numbers


@pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")
def test_the_header_is_c99_and_its_structures_are_those_of_ctypes(tmp_path: Path) -> None:
    lines = ['#include "training.h"', "#include <stddef.h>"]
    for name, structure in (("lrea_attention", abi.CAttention), ("lrea_attention_gradient", abi.CGradient)):
        facts = [f"sizeof({name}) == {sizeof(structure)}"]
        facts += [f"offsetof({name}, {f[0]}) == {getattr(structure, f[0]).offset}" for f in structure._fields_]
        lines += [f"typedef char {name}_{i}[({fact}) ? 1 : -1];" for i, fact in enumerate(facts)]
    source = tmp_path / "facts.c"
    source.write_text("\n".join([*lines, "int main(void) { return 0; }"]) + "\n", encoding="utf-8")
    strict = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    subprocess.run(["cc", *strict, f"-I{FOLDER}", str(source)], check=True)


def test_sources_for_some_processors_use_nothing_inline_of_the_standard_library() -> None:
    """The linker keeps one copy of an inline function, and it could be one that only some processors can run."""
    for source in sources_of(FOLDER):
        own = options_of(source, "x86_64")[len(OPTIONS) :]
        assert bool(own) == (source.stem in ("fp32_avx2", "fp32_avx512")), source
    others = {"training.h", "parts.h", "cpu.h"}  # of training.cpp, which every processor runs
    narrow = [*FOLDER.glob("fp32_*.cpp"), *(path for path in headers_of(FOLDER) if path.name not in others)]
    assert {"gradient.h", "scores.h", "tiles.h", "simd.h", "fp32_avx512.cpp"} <= {path.name for path in narrow}
    for path in narrow:
        included = set(re.findall(r"#include [<\"](.*)[>\"]", path.read_text(encoding="utf-8")))
        standard = {"stddef.h", "stdint.h", "immintrin.h", "arm_neon.h"}
        assert included <= standard | {path.name for path in narrow}, path.name


@needs_library
@pytest.mark.skipif(not shutil.which("nm"), reason="there is no nm")
def test_only_the_functions_of_the_header_are_exported() -> None:
    declared = set(re.findall(r"^LREA_API .*?(lrea_\w+)\(", HEADER, re.MULTILINE))
    words = ["nm", "-D", "--defined-only", FOLDER / abi.LIBRARY]
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {line.split()[-1] for line in listed if " T " in line} == declared


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("check", CHECKS)
def test_calls_on_three_threads_are_clean_and_give_the_same_bits(check: str, tmp_path: Path) -> None:
    assert COMPILER
    extra = [f"-fsanitize={CHECKS[check]}", "-fno-sanitize-recover", "-O1", "-g1"]
    driver = Path(__file__).with_name("driver.cpp")
    program = compiled(tmp_path, COMPILER, platform.machine(), extra, driver, FOLDER)
    done = subprocess.run([program, "3"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert ", 0 differ" in done.stdout
    assert "Sanitizer" not in done.stderr


@pytest.mark.slow
@needs_compiler
def test_the_build_has_the_library_and_the_package_its_sources(tmp_path: Path) -> None:
    library = abi._load(build(tmp_path).parents[2] / "kernels" / "native" / abi.LIBRARY).library
    assert library
    assert library.lrea_training_path(0)
    words = ["setup.py", "-q", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True)
    for path in (*sources_of(FOLDER), *headers_of(FOLDER), SHARED / "sources.py"):
        assert (tmp_path / path.relative_to(ROOT)).exists(), path
