"""A page of docs that says how to add something, followed word for word in a copy of the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("lrea_cli", "tests", "recipes", "benchmarks", "docs")


@dataclass(frozen=True)
class Page:
    """What a page tells to write and to type.

    Args:
        blocks: its Python.
        files: path -> the text to write there.
        entries: path -> `NAME = ...`, which replaces the one with that name, after its import if it needs one.
        commands: its command lines of lrea.
    """

    blocks: list[str]
    files: dict[str, str]
    entries: dict[str, str]
    commands: list[str]

    def follow(self, copy: Path) -> None:
        """Write the files and replace each entry, of one line or several; a line of import comes before it."""
        for path, text in self.files.items():
            (copy / path).write_text(text, encoding="utf-8")
        for path, line in self.entries.items():
            (entry,) = re.findall(r"^([^\W\d].*?) = ", line, re.MULTILINE)
            replace(copy / path, rf"^{re.escape(entry)} = .*\n(?:[ \])].*\n)*", line)


def read_page(name: str, section: str = "") -> Page:
    """Read a page, or one section of it.

    Args:
        name: path from the root of the repository.
        section: the heading's text; its section ends at the next heading.
    """
    text = (ROOT / name).read_text(encoding="utf-8")
    if section:
        (text,) = re.findall(rf"^#+ {section}\n(.*?)(?=^#|\Z)", text, re.DOTALL | re.MULTILINE)
    return Page(
        re.findall(r"```python\n(.*?)```", text, re.DOTALL),
        dict(re.findall(r"^`([\w/.]+)`:\n\n```python\n(.*?)```", text, re.DOTALL | re.MULTILINE)),
        dict(re.findall(r"^In `([\w/.]+)`[^\n]*:\n\n```python\n(.*?)```", text, re.DOTALL | re.MULTILINE)),
        re.findall(r"^    (lrea .*)$", text, re.MULTILINE),
    )


def copy_package(root: Path) -> Path:
    """The package with its tests, as it is, in a folder."""
    for name in COPIED:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def replace(path: Path, pattern: str, text: str) -> None:
    """Put a text where the pattern is found, which must be once."""
    content, count = re.subn(pattern, lambda _: text, path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert count == 1
    path.write_text(content, encoding="utf-8")


def run(copy: Path, *arguments: object) -> str:
    """The standard output of Python in the copy, which must end well."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "LREA_HOME": str(copy / "home"), "COLUMNS": "100"}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_tests(copy: Path, files: list[str], *selected: str) -> int:
    """How many of the copy's tests passed, slow ones among them; none failed or was skipped."""
    everything = ("-n", 0, "-p", "no:cacheprovider", "-m", "slow or not slow")
    out = run(copy, "-m", "pytest", "-q", *everything, *files, *selected)
    assert "failed" not in out
    assert "skipped" not in out
    return int(re.findall(r"(\d+) passed", out)[0])


def run_commands(copy: Path, commands: list[str]) -> None:
    """Type the command lines of a page, with less work where an option can ask for it."""
    shorter = {"train": ["--epochs", 1], "serve-bench": ["--seconds", 0.2]}
    for command in commands:
        run(copy, "-m", "lrea_cli", *command.split()[1:], *shorter.get(command.split()[1], []))
