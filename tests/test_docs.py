"""Documentation that can go stale: the CLI reference, the README's size and lines."""

import re
from pathlib import Path

from typer.testing import CliRunner

from lrea_cli.cli import app
from lrea_cli.recipe.reading import SWEEP_FILE, shipped_recipes

ROOT = Path(__file__).parents[1]


def test_the_cli_reference_is_what_the_commands_say(tmp_path):
    """Make it anew with: typer lrea_cli.cli utils docs --name lrea --output docs/cli.md"""
    from typer.cli import app

    made = tmp_path / "cli.md"
    found = CliRunner().invoke(app, ["lrea_cli.cli", "utils", "docs", "--name", "lrea", "--output", str(made)])
    assert found.exit_code == 0, found.output
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == made.read_text(encoding="utf-8")


def test_the_readme_is_short_and_opens_with_its_two_lines():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 150
    commands = [line.strip() for line in lines if line.strip().startswith("python3 -m venv")]
    assert commands[:2] == [
        "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e . && .venv/bin/lrea demo",
        "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e '.[test]' && .venv/bin/pytest",
    ]


def test_every_local_link_leads_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_help_of_sweep_names_every_folder_that_comes_with_lrea():
    shown = CliRunner().invoke(app, ["sweep", "--help"], env={"COLUMNS": "200"}).output
    for settings in shipped_recipes().glob(f"*/{SWEEP_FILE}"):
        assert settings.parent.name in shown
