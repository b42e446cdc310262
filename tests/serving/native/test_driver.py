"""A C++ program that uses lrea.h alone, compiled with sanitizers and for another processor.

There is no race, no read past an array and nothing undefined, and NEON gives the bits of AVX2.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from lrea_cli.native.sources import SHARED, options_of, sources_of
from lrea_cli.serving.native.model_file import write_model
from lrea_cli.serving.native.sources import FOLDER
from tests.serving.native.drawn import PATHS, Shape, draw_model

COMPILER = shutil.which(os.environ.get("CXX", "c++"))
ARM_COMPILER, ARM = shutil.which("aarch64-linux-gnu-g++"), shutil.which("qemu-aarch64")
DRIVER = Path(__file__).with_name("driver.cpp")
CHECKS = {"threads": "thread", "memory": "address,undefined"}
SHAPES = [
    Shape(profile=2, counters=2, fields=2, d=8, H=32, hidden=(48, 20)),
    Shape(profile=1, counters=0, fields=1, d=5, H=16, hidden=(33,)),
    Shape(profile=0, counters=3, fields=3, d=24, H=48, hidden=(64, 7)),
    Shape(profile=0, counters=1, fields=2, d=16, H=8, hidden=(33,)),
    Shape(profile=1, counters=1, fields=1, d=40, H=112, hidden=(20,), long="buckets"),
]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not COMPILER, reason="there is no C++ compiler")]


def compiled(
    folder: Path, compiler: str, machine: str, extra: list[str], driver: Path = DRIVER, library: Path = FOLDER
) -> Path:
    """The test program with all sources of a library, by one compiler."""
    objects = []
    warnings, included = ["-Wall", "-Wextra", "-Werror"], [f"-I{library}", f"-I{SHARED}"]
    for source in [*sources_of(library), driver]:
        objects.append(str(folder / f"{source.stem}.o"))
        options = [*options_of(source, machine), *extra, *included, *warnings]
        subprocess.run([compiler, *options, "-c", str(source), "-o", objects[-1]], check=True)
    program = folder / "driver"
    linked = subprocess.run(
        [compiler, *extra, *objects, "-lpthread", "-o", str(program)], capture_output=True, text=True
    )
    if linked.returncode:
        pytest.skip(f"the compiler cannot link this: {linked.stderr[-200:]}")
    return program


@pytest.fixture(scope="module", params=CHECKS)
def driver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test program with one kind of check."""
    assert COMPILER
    checks = [f"-fsanitize={CHECKS[request.param]}", "-fno-sanitize-recover", "-O1", "-g1"]
    return compiled(tmp_path_factory.mktemp("driver"), COMPILER, platform.machine(), checks)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_requests_on_three_threads_are_clean_and_give_the_same_bits(driver: Path, shape: Shape, tmp_path: Path) -> None:
    model = tmp_path / "model.bin"
    model.write_bytes(write_model(draw_model(shape, 1)))
    done = subprocess.run([driver, model, "3", "60"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "0 of the calls on threads differ" in done.stdout
    assert "Sanitizer" not in done.stderr


def test_a_model_cut_anywhere_is_refused_without_a_read_past_its_end(driver: Path, tmp_path: Path) -> None:
    file = write_model(draw_model(SHAPES[0], 1))
    for end in [0, 1, 63, 64, 65, 200, 1000, 3000, len(file) // 2, len(file) - 1]:
        cut = tmp_path / "cut.bin"
        cut.write_bytes(file[:end])
        done = subprocess.run([driver, cut, "1", "1"], capture_output=True, text=True)
        assert done.returncode == 1
        assert "Sanitizer" not in done.stderr


@pytest.mark.skipif(not ARM_COMPILER, reason="there is no aarch64-linux-gnu-g++ (Debian: g++-aarch64-linux-gnu)")
@pytest.mark.skipif(not ARM, reason="there is no qemu-aarch64 (Debian: qemu-user)")
@pytest.mark.skipif("avx2" not in PATHS, reason="this machine has no fma to compare with")
def test_neon_gives_the_bits_of_this_machine(tmp_path: Path) -> None:
    assert COMPILER
    assert ARM_COMPILER
    answers, (arm, here) = [], (tmp_path / "arm", tmp_path / "here")
    for folder in (arm, here):
        folder.mkdir()
    programs = [[ARM, compiled(arm, ARM_COMPILER, "aarch64", ["-static"])]]
    programs.append([compiled(here, COMPILER, platform.machine(), [])])
    for number, shape in enumerate(SHAPES):
        model = tmp_path / f"{number}.bin"
        model.write_bytes(write_model(draw_model(shape, 1)))
        for name, program in zip(("arm", "here"), programs, strict=True):
            logits = tmp_path / f"{name}.{number}"
            done = subprocess.run([*program, model, "2", "20", logits], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
            answers.append(logits.read_bytes())
    assert answers[0::2] == answers[1::2]
    assert all(len(answer) > 4000 for answer in answers)
