"""docs/add-a-method.md, followed word for word in a copy of the package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lrea_cli.recipe.settings import METHOD_NAMES
from tests.walkthrough import copy_package, read_page, run, run_commands, run_tests

PAGE = read_page("docs/add-a-method.md")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package and the shared tests, with what the page adds."""
    root = copy_package(tmp_path_factory.mktemp("copy"))
    PAGE.follow(root)
    return root


def test_the_page_adds_one_name() -> None:
    assert set(re.findall(r'"([a-z-]+)"', PAGE.entries["lrea_cli/recipe/settings.py"])) == {*METHOD_NAMES, "decay"}


@pytest.mark.slow
def test_the_shared_tests_hold_it_to_its_twin(copy: Path) -> None:
    files = [f"tests/methods/{name}.py" for name in ("test_contract", "test_decay")]
    assert run_tests(copy, files, "-k", "decay") > 15


@pytest.mark.slow
def test_its_commands_run(copy: Path) -> None:
    run(copy, "-m", "lrea_cli", "prepare", "synthetic", "--users", 80)
    assert len(PAGE.commands) == 4
    run_commands(copy, PAGE.commands)
    assert "decay" in run(copy, "-m", "lrea_cli", "cost", "--json")
