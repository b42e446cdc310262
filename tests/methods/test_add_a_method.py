"""docs/add-a-method.md, followed word for word in a copy of the package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lrea_cli.recipe.settings import METHOD_NAMES
from tests.walkthrough import copy_package, read_page, replace, run, run_commands, run_tests

PAGE = read_page("add-a-method.md")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package and the shared tests, with what the page adds."""
    root = copy_package(tmp_path_factory.mktemp("copy"))
    method, name, test = PAGE.blocks
    (root / "lrea_cli" / "methods" / "linear.py").write_text(method, encoding="utf-8")
    (root / "tests" / "methods" / "test_linear.py").write_text(test, encoding="utf-8")
    replace(root / "lrea_cli" / "recipe" / "settings.py", r"^MethodName = Literal\[[^]]*\]\n", name)
    return root


def test_the_page_adds_one_name() -> None:
    assert set(re.findall(r'"([a-z-]+)"', PAGE.blocks[1])) == {*METHOD_NAMES, "linear"}


@pytest.mark.slow
def test_the_shared_tests_hold_it_to_its_twin(copy: Path) -> None:
    files = [f"tests/methods/{name}.py" for name in ("test_contract", "test_linear")]
    assert run_tests(copy, files, "-k", "linear") > 15


@pytest.mark.slow
def test_its_commands_run(copy: Path) -> None:
    run(copy, "-m", "lrea_cli", "prepare", "synthetic", "--users", 80)
    assert len(PAGE.commands) == 4
    run_commands(copy, PAGE.commands)
    assert "linear" in run(copy, "-m", "lrea_cli", "cost", "--json")
