"""Records that are cut off or damaged, under sanitizers: no byte past their end is read, nothing undefined is done."""

from __future__ import annotations

import platform
import re
import subprocess
from pathlib import Path

import pytest

from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.samples import Samples
from lrea_cli.recipe.settings import CACHE_DTYPES
from lrea_cli.serving.native.abi import DTYPES
from lrea_cli.serving.native.model_file import write_model
from lrea_cli.workspace.home import Workspace
from tests.serving.native.test_driver import COMPILER, compiled
from tests.serving.native.test_record import SERVED, Make, made_cases

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not COMPILER, reason="there is no C++ compiler")]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert COMPILER
    checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover", "-O1", "-g1"]
    source = Path(__file__).with_name("record_driver.cpp")
    return compiled(tmp_path_factory.mktemp("driver"), COMPILER, platform.machine(), checks, source)


@pytest.fixture(scope="module")
def make(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory, histories: Histories, samples: Samples) -> Make:
    return made_cases(tiny, tmp_path_factory, histories, samples)


@pytest.mark.parametrize("dtype", CACHE_DTYPES)
@pytest.mark.parametrize("served", ["lrea", "sdim", "din-short"])
def test_damaged_records_are_refused_or_scored(make: Make, driver: Path, tmp_path: Path, served: str, dtype) -> None:
    case = make(SERVED[served], dtype, ("item", "category"))
    blobs = [case.cache.store.verified(key)[0] for key in case.keys.tolist()]
    blob = sorted(blobs, key=len)[len(blobs) // 2]
    (tmp_path / "model.bin").write_bytes(write_model(case.run.model))
    (tmp_path / "record").write_bytes(blob)
    command = [str(driver), str(tmp_path / "model.bin"), str(tmp_path / "record"), str(DTYPES[dtype])]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    scored, refused = map(int, re.findall(r"\d+", done.stdout))
    assert scored > 100
    assert refused >= len(blob)
