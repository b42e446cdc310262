"""Documentation that can go stale: the CLI reference, the README's size and lines."""

import re
from pathlib import Path

import generate
import pytest
from typer.testing import CliRunner

from lrea_cli.cli import app
from lrea_cli.recipe.recipe import SWEEP_FILE, shipped_recipes
from lrea_cli.sweep.settings import load_sweep

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_generated_page_is_what_the_code_says(name):
    """Make it anew with: .venv/bin/python docs/generate.py"""
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == generate.PAGES[name]()


def test_the_readme_is_short_and_opens_with_its_two_lines():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 150
    commands = [line.strip() for line in lines if line.strip().startswith("python3 -m venv")]
    assert commands[:2] == [
        "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e . && .venv/bin/lrea demo",
        "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e '.[test]' && .venv/bin/pytest",
    ]


def test_every_local_link_leads_somewhere():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_help_of_sweep_and_search_names_every_folder_that_comes_with_lrea():
    for settings in shipped_recipes().glob(f"*/{SWEEP_FILE}"):
        name = settings.parent.name
        command = "search" if load_sweep(name).search.worlds else "sweep"
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
        assert re.search(rf"\b{name}\b", shown.partition("Options")[0])
