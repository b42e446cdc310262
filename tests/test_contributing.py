"""CONTRIBUTING.md, followed word for word in a copy of the package: each section adds one file and one entry."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_registries import REGISTRIES
from tests.walkthrough import ROOT, Page, copy_package, read_page, run, run_commands, run_tests

SECTIONS = {
    "A compressor": ("strided", ["tests/compressors/test_compressors.py", "tests/bench/test_gate.py"], 10),
    "A kernel": ("by_key", ["tests/kernels/test_kernels.py", "tests/bench/test_gate.py"], 12),
    "A metric": ("brier", ["tests/stats/test_metrics.py"], 10),
    "A method over pseudo items": ("newest", ["tests/methods/test_contract.py", "tests/methods/test_cost.py"], 15),
}
"""Section -> name of its part, files of tests that run on it without being told, and how many of them at least."""

every_section = pytest.mark.parametrize("section", SECTIONS)


def page_of(section: str) -> Page:
    return read_page("CONTRIBUTING.md", section)


@every_section
def test_a_section_adds_one_file_and_one_name(section: str) -> None:
    page, name = page_of(section), SECTIONS[section][0]
    ((file, text),) = page.entries.items()
    (path,) = page.files
    assert len(page.blocks) == 2
    assert Path(path).stem == name
    ((listed, names),) = re.findall(r"^([^\W\d].*?) = ([\s\S]*)", text, re.MULTILINE)
    entry = rf"^{re.escape(listed)} = (.*\n(?:[ \])].*\n)*)"
    (now,) = re.findall(entry, (ROOT / file).read_text("utf-8"), re.MULTILINE)
    assert {*re.findall(r"[\w-]+", names.lower())} == {*re.findall(r"[\w-]+", now.lower()), name}


@pytest.mark.slow
@every_section
def test_the_shared_tests_find_the_part_and_its_commands_run(section: str, tmp_path: Path) -> None:
    name, files, least = SECTIONS[section]
    page, copy = page_of(section), copy_package(tmp_path)
    page.follow(copy)
    run(copy, "docs/generate.py")
    assert run_tests(copy, ["tests/test_registries.py"], "-k", name) >= 4
    assert run_tests(copy, ["tests/test_registries.py"], "-k", "has_an_entry") == len(REGISTRIES)
    assert run_tests(copy, files, "-k", name) >= least
    run(copy, "-m", "lrea_cli", "prepare", "synthetic", "--users", 80)
    run_commands(copy, page.commands)
