"""docs/add-a-compressor.md, followed word for word in a copy of the package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lrea_cli.recipe.settings import COMPRESSOR_NAMES
from tests.walkthrough import copy_package, read_page, replace, run, run_commands, run_tests

PAGE = read_page("add-a-compressor.md")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package and the shared tests, with the file and the name of the page, and nothing else."""
    root = copy_package(tmp_path_factory.mktemp("copy"))
    file, name = PAGE.blocks
    (root / "lrea_cli" / "compressors" / "strided.py").write_text(file, encoding="utf-8")
    replace(root / "lrea_cli" / "recipe" / "settings.py", r"^CompressorName = Literal\[[^]]*\]\n", name)
    return root


def test_the_page_adds_one_name() -> None:
    assert set(re.findall(r'"([a-z-]+)"', PAGE.blocks[1])) == {*COMPRESSOR_NAMES, "strided"}


@pytest.mark.slow
def test_the_shared_tests_hold_it_to_its_twin(copy: Path) -> None:
    files = ["tests/compressors/test_compressors.py", "tests/bench/test_gate.py"]
    assert run_tests(copy, files, "-k", "strided") > 10


@pytest.mark.slow
def test_its_commands_run(copy: Path) -> None:
    run(copy, "-m", "lrea_cli", "prepare", "synthetic", "--users", 80)
    assert len(PAGE.commands) == 4
    run_commands(copy, PAGE.commands)
    assert "strided" in run(copy, "-m", "lrea_cli", "cost", "--json")
