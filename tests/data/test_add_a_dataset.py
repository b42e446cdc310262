"""docs/add-a-dataset.md, followed word for word in a copy of the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.contract.checks import CHECKS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add-a-dataset.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^    (lrea .*)$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package and the shared tests, with what the page adds."""
    root = tmp_path_factory.mktemp("copy")
    for name in ("lrea_cli", "tests", "recipes", "benchmarks"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    source, name, test, cases = BLOCKS
    sources = root / "lrea_cli" / "data" / "sources"
    (sources / "retailrocket.py").write_text(source, encoding="utf-8")
    (root / "tests" / "data" / "test_retailrocket.py").write_text(test, encoding="utf-8")
    replace(sources / "__init__.py", r"^SOURCES: .*\n", name)
    replace(root / "tests" / "data" / "contract" / "cases.py", r"^CASES = \(\n", cases.removesuffix("    ...,\n)\n"))
    return root


def replace(path: Path, pattern: str, text: str) -> None:
    content, count = re.subn(pattern, lambda _: text, path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert count == 1
    path.write_text(content, encoding="utf-8")


def run(copy: Path, *arguments: object) -> str:
    environment = {**os.environ, "PYTHONPATH": str(copy), "LREA_HOME": str(copy / "home"), "COLUMNS": "100"}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_adds_one_name() -> None:
    from lrea_cli.data import sources

    content = Path(sources.__file__).read_text(encoding="utf-8")
    (line,) = re.findall(r"^SOURCES: .*$", content, re.MULTILINE)
    (of_page,) = re.findall(r"^SOURCES: .*$", BLOCKS[1], re.MULTILINE)
    assert of_page.replace("RetailRocket, ", "") == line
    assert line.endswith(f"({', '.join(source.__name__ for source in sources.SOURCES)})")


@pytest.mark.slow
def test_the_contract_holds(copy: Path) -> None:
    files = [f"tests/data/{name}.py" for name in ("test_retailrocket", "test_source_contract")]
    selected = ("-m", "slow or not slow", "-k", "retailrocket or every_source")
    out = run(copy, "-m", "pytest", "-q", "-n", 0, "-p", "no:cacheprovider", *files, *selected)
    assert "failed" not in out
    assert "skipped" not in out
    assert int(re.findall(r"(\d+) passed", out)[0]) == 2 + 2 * (len(CHECKS) + 3)  # two files, two cases


@pytest.mark.slow
def test_its_commands_run(copy: Path) -> None:
    run(copy, "-c", "from tests.data.test_retailrocket import *; write_retailrocket(Path('events.csv'))")
    assert [command.split()[1] for command in COMMANDS] == ["prepare", "train", "eval"]
    for command in COMMANDS:
        shorter = ["--epochs", 1] if command.startswith("lrea train") else []
        run(copy, "-m", "lrea_cli", *command.split()[1:], *shorter)
    assert "retailrocket" in run(copy, "-m", "lrea_cli", "prepare", "--help")
