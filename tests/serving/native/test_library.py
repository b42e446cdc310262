"""The library: where it is missing, which path it takes and why, and what the compiler and the header promise."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from ctypes import sizeof
from pathlib import Path

import numpy as np
import pytest

from lrea_cli.native.library import NO_LIBRARY
from lrea_cli.native.sources import OPTIONS, SHARED, options_of
from lrea_cli.serving.native import abi
from lrea_cli.serving.native.model import UnsupportedError
from lrea_cli.serving.native.sources import FOLDER, headers, sources
from tests.serving.native.drawn import PATHS, Shape, draw_model, draw_request, opened

ROOT = Path(__file__).parents[3]
COMPILER = shutil.which(os.environ.get("CXX", "c++"))
needs_library = pytest.mark.skipif(not PATHS, reason=f"there is no native library: {abi.load().reason}")
needs_compiler = pytest.mark.skipif(not COMPILER, reason="there is no C++ compiler")


def test_without_the_library_torch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NO_LIBRARY, "0")
    assert abi.load().library is None
    assert abi.path_of("auto") is None
    with pytest.raises(UnsupportedError, match="LREA_NATIVE=0 turns it off") as refused:
        opened(draw_model(Shape(), 1))
    assert refused.value.remedy == "Requests are computed by torch."


def test_a_library_that_is_missing_or_no_library_says_so(tmp_path: Path) -> None:
    assert "was not built" in abi._load(tmp_path / abi.LIBRARY).reason
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"no library")
    loaded = abi._load(broken)
    assert loaded.library is None
    assert "cannot be loaded" in loaded.reason


@needs_library
def test_the_path_and_its_reason_are_told() -> None:
    assert abi.path_of("auto") in {"amx x6", "avx512", "avx2", "neon", "baseline"}
    assert abi.load().reason.endswith(".")
    if platform.machine() == "x86_64":
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
        assert ("avx2" in PATHS) == ({"avx2", "fma"} <= flags)
        assert ("avx512" in PATHS) == ({"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx2", "fma"} <= flags)
    assert {"x6", "x3"} <= set(PATHS) or not {"x6", "x3"} & set(PATHS)


@needs_library
def test_a_mode_that_the_machine_lacks_is_refused() -> None:
    model = draw_model(Shape(), 1)
    native, request = opened(model), draw_request(model, Shape(), np.random.default_rng(1))
    asked = abi.CRequest(mode=99)
    status = native._library.lrea_score(native._model, asked, None)
    assert status == abi.UNSUPPORTED
    assert native.logits(request).shape == (40,)


SHIM = """
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>
long syscall(long number, ...) { (void)number; errno = EPERM; return -1; }
"""


@pytest.mark.slow
@needs_library
@needs_compiler
@pytest.mark.skipif("x6" not in PATHS, reason="the machine has no AMX")
def test_a_system_that_refuses_amx_gets_fp32(tmp_path: Path) -> None:
    """The shim stands between the library and the system's permission."""
    (tmp_path / "shim.c").write_text(SHIM, encoding="utf-8")
    shim = tmp_path / "shim.so"
    subprocess.run([shutil.which("cc") or COMPILER, "-shared", "-fPIC", tmp_path / "shim.c", "-o", shim], check=True)
    program = (
        "from lrea_cli.serving.native import abi; import numpy as np\n"
        "print(abi.path_of('auto'), abi.path_of('x6'), abi.load().reason)\n"
        "from tests.serving.native.test_library import scored; print(scored())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "LD_PRELOAD": str(shim)},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("avx512 None The CPU has AMX, but the system refuses it (arch_prctl:")
    assert second == scored("fp32")


def scored(mode: str = "auto") -> str:
    """The logits of one request as text."""
    model = draw_model(Shape(), 1)
    return opened(model).logits(draw_request(model, Shape(), np.random.default_rng(1), mode)).tobytes().hex()


def test_the_numbers_of_the_header_are_those_of_python() -> None:
    header = (FOLDER / "lrea.h").read_text(encoding="utf-8")
    numbers = {name: int(value) for name, value in re.findall(r"LREA_(\w+) = (\d+)", header)}
    assert int(re.findall(r"#define LREA_ABI (\d+)", header)[0]) == abi.ABI
    assert {name.upper(): number for name, number in abi.MODES.items()}.items() <= numbers.items()
    assert {name.upper(): number for name, number in abi.DTYPES.items()}.items() <= numbers.items()
    kinds = ("NONE", "ROWS", "BUCKETS", "BEHAVIORS", "INTEREST")
    assert {f"LONG_{name}": getattr(abi, name) for name in kinds}.items() <= numbers.items()
    assert numbers["UNSUPPORTED"] == abi.UNSUPPORTED


@needs_compiler
def test_the_header_is_c99_and_its_structures_are_those_of_ctypes(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("there is no C compiler")
    names = {"lrea_matrix": abi.CMatrix, "lrea_long": abi.CLong, "lrea_request": abi.CRequest, "lrea_sizes": abi.CSizes}
    lines = ['#include "lrea.h"', "#include <stddef.h>"]
    for number, (name, structure) in enumerate(names.items()):
        facts = [f"sizeof({name}) == {sizeof(structure)}"]
        facts += [
            f"offsetof({name}, {field[0]}) == {getattr(structure, field[0]).offset}" for field in structure._fields_
        ]
        lines += [f"typedef char fact_{number}_{i}[({fact}) ? 1 : -1];" for i, fact in enumerate(facts)]
    source = tmp_path / "facts.c"
    source.write_text("\n".join([*lines, "int main(void) { return 0; }"]) + "\n", encoding="utf-8")
    strict = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    subprocess.run([compiler, *strict, "-I", str(FOLDER), str(source)], check=True)


def test_options_are_set_for_each_source() -> None:
    names = [path.stem for path in sources()]
    assert {"request", "model", "amx", "fp32_baseline", "fp32_avx2", "fp32_avx512"} <= set(names)
    for source in sources():
        own = options_of(source, "x86_64")[len(OPTIONS) :]
        assert bool(own) == (source.stem in ("amx", "fp32_avx2", "fp32_avx512")), source
        assert options_of(source, "aarch64") == list(OPTIONS)
    text = "".join(path.read_text(encoding="utf-8") for path in [*sources(), *headers()])
    assert "fast-math" not in text + " ".join(OPTIONS)
    assert "omp.h" not in text
    assert "#pragma omp" not in text


def test_sources_for_some_processors_use_nothing_inline_of_the_standard_library() -> None:
    """The linker keeps one copy of an inline function, and it could be one that only some processors can run."""
    shared = {"internal.h", "matmul.h", "attention.h", "interest.h", "mlp.h", "fp32.h"}
    names = (*shared, "tiles.h", "amx_interest.h", "amx_mlp.h", "amx.cpp")
    narrow = [SHARED / "simd.h", *(FOLDER / name for name in names)]
    allowed = {"stddef.h", "stdint.h", "immintrin.h", "arm_neon.h"}
    for path in narrow:
        included = set(re.findall(r"#include <(.*)>", path.read_text(encoding="utf-8")))
        assert included <= allowed, path.name


@needs_library
@pytest.mark.skipif(not shutil.which("nm"), reason="there is no nm")
def test_only_the_functions_of_the_header_are_exported() -> None:
    header = (FOLDER / "lrea.h").read_text(encoding="utf-8")
    declared = set(re.findall(r"^LREA_API .*?(lrea_\w+)\(", header, re.MULTILINE))
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", FOLDER / abi.LIBRARY], capture_output=True, text=True, check=True
    )
    exported = {line.split()[-1] for line in listed.stdout.splitlines() if " T " in line}
    assert exported == declared


def build(folder: Path, **environment: str) -> Path:
    pytest.importorskip("setuptools", minversion="77")
    words = ["build_ext", "--build-lib", str(folder), "--build-temp", str(folder / "objects")]
    done = subprocess.run(
        [sys.executable, "setup.py", *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder / "lrea_cli" / "serving" / "native" / abi.LIBRARY


def test_without_a_compiler_the_build_goes_on(tmp_path: Path) -> None:
    assert not build(tmp_path, CC="no-such-compiler", CXX="no-such-compiler").exists()


@pytest.mark.slow
@needs_compiler
def test_the_build_has_a_library_that_scores(tmp_path: Path) -> None:
    library = abi._load(build(tmp_path)).library
    assert library
    assert library.lrea_path(0)


@pytest.mark.slow
def test_the_package_holds_the_sources(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77")
    words = ["build_py", "--build-lib", str(tmp_path)]
    subprocess.run([sys.executable, "setup.py", "-q", *words], cwd=ROOT, check=True, capture_output=True)
    for path in [*sources(), *headers()]:
        assert (tmp_path / path.relative_to(ROOT)).exists(), path
