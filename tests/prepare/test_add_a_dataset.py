"""docs/add-a-dataset.md, followed word for word in a copy of the package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.prepare.contract.checks import CHECKS
from tests.walkthrough import copy_package, read_page, replace, run, run_commands, run_tests

PAGE = read_page("docs/add-a-dataset.md")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package and the shared tests, with what the page adds."""
    root = copy_package(tmp_path_factory.mktemp("copy"))
    source, name, test, cases = PAGE.blocks
    sources = root / "lrea_cli" / "prepare" / "sources"
    (sources / "retailrocket.py").write_text(source, encoding="utf-8")
    (root / "tests" / "prepare" / "test_retailrocket.py").write_text(test, encoding="utf-8")
    replace(sources / "__init__.py", r"^SOURCES: .*\n", name)
    replace(root / "tests" / "prepare" / "contract" / "cases.py", r"^CASES = \(\n", cases.removesuffix("    ...,\n)\n"))
    return root


def test_the_page_adds_one_name() -> None:
    from lrea_cli.prepare import sources

    content = Path(sources.__file__).read_text(encoding="utf-8")
    (line,) = re.findall(r"^SOURCES: .*$", content, re.MULTILINE)
    (of_page,) = re.findall(r"^SOURCES: .*$", PAGE.blocks[1], re.MULTILINE)
    assert of_page.replace("RetailRocket, ", "") == line
    assert line.endswith(f"({', '.join(source.__name__ for source in sources.SOURCES)})")


@pytest.mark.slow
def test_the_contract_holds(copy: Path) -> None:
    files = [f"tests/prepare/{name}.py" for name in ("test_retailrocket", "test_source_contract")]
    passed = run_tests(copy, files, "-k", "retailrocket or every_source")
    assert passed == 2 + 2 * (len(CHECKS) + 3)  # two files, two cases


@pytest.mark.slow
def test_its_commands_run(copy: Path) -> None:
    run(copy, "-c", "from tests.prepare.test_retailrocket import *; write_retailrocket(Path('events.csv'))")
    assert [command.split()[1] for command in PAGE.commands] == ["prepare", "train", "eval"]
    run_commands(copy, PAGE.commands)
    assert "retailrocket" in run(copy, "-m", "lrea_cli", "prepare", "--help")
