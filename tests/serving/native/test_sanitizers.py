"""The C++ compiled with sanitizers and used through lrea.h alone: no race, no read past an array, nothing undefined."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from lrea_cli.serving.native.model_file import write_model
from lrea_cli.serving.native.sources import FOLDER, options_of, sources
from tests.serving.native.drawn import Shape, draw_model

COMPILER = shutil.which(os.environ.get("CXX", "c++"))
DRIVER = Path(__file__).with_name("driver.cpp")
CHECKS = {"threads": "thread", "memory": "address,undefined"}
SHAPES = [
    Shape(profile=2, counters=2, fields=2, d=8, H=32, hidden=(48, 20)),
    Shape(profile=1, counters=0, fields=1, d=5, H=16, hidden=(33,)),
    Shape(profile=0, counters=3, fields=3, d=24, H=48, hidden=(64, 7)),
    Shape(profile=1, counters=1, fields=1, d=40, H=112, hidden=(20,), long="buckets"),
]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not COMPILER, reason="there is no C++ compiler")]


@pytest.fixture(scope="module", params=CHECKS)
def driver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test program with one kind of check."""
    assert COMPILER
    folder, checks = tmp_path_factory.mktemp("driver"), [f"-fsanitize={CHECKS[request.param]}", "-fno-sanitize-recover"]
    objects = []
    for source in [*sources(), DRIVER]:
        objects.append(str(folder / f"{source.stem}.o"))
        options = [*options_of(source, platform.machine()), *checks, "-O1", "-g1", "-I", str(FOLDER)]
        subprocess.run([COMPILER, *options, "-c", str(source), "-o", objects[-1]], check=True)
    program = folder / "driver"
    linked = subprocess.run(
        [COMPILER, *checks, *objects, "-lpthread", "-o", str(program)], capture_output=True, text=True
    )
    if linked.returncode:
        pytest.skip(f"the compiler has no such check: {linked.stderr[-200:]}")
    return program


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
