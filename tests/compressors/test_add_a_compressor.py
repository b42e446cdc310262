"""docs/add-a-compressor.md, followed word for word in a copy of the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add-a-compressor.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^    (lrea .*)$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package and the shared tests, with the file and the name of the page, and nothing else."""
    root = tmp_path_factory.mktemp("copy")
    for name in ("lrea_cli", "tests", "recipes"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    file, name = BLOCKS
    (root / "lrea_cli" / "compressors" / "strided.py").write_text(file, encoding="utf-8")
    recipe = root / "lrea_cli" / "recipe.py"
    text, count = re.subn(r"CompressorName = Literal\[[^]]*\]\n", name, recipe.read_text(encoding="utf-8"))
    assert count == 1
    recipe.write_text(text, encoding="utf-8")
    return root


def run(copy: Path, *arguments: object) -> str:
    environment = {**os.environ, "PYTHONPATH": str(copy), "LREA_HOME": str(copy / "home"), "COLUMNS": "100"}
    command = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_adds_one_name() -> None:
    from lrea_cli.recipe import COMPRESSOR_NAMES

    assert set(re.findall(r'"([a-z-]+)"', BLOCKS[1])) == {*COMPRESSOR_NAMES, "strided"}


@pytest.mark.slow
def test_the_shared_tests_hold_it_to_its_twin(copy: Path) -> None:
    files = ["tests/compressors/test_compressors.py", "tests/serving/test_gate.py"]
    out = run(copy, "pytest", "-q", "-n", 0, "-p", "no:cacheprovider", *files, "-k", "strided")
    assert "failed" not in out
    assert int(re.findall(r"(\d+) passed", out)[0]) > 10


@pytest.mark.slow
def test_its_commands_run(copy: Path) -> None:
    run(copy, "lrea_cli", "prepare", "synthetic", "--users", 80)
    assert len(COMMANDS) == 4
    for command in COMMANDS:
        shorter = {"train": ["--epochs", 1], "serve-bench": ["--seconds", 0.2]}.get(command.split()[1], [])
        run(copy, "lrea_cli", *command.split()[1:], *shorter)
    assert "strided" in run(copy, "lrea_cli", "cost", "--json")
