"""How faithful each method is to its paper: the statuses in docs/fidelity.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "fidelity.md"
STATUSES = ("faithful", "approximated", "ours", "silent", "unclear")
"""As the paper has it; but for a named part; we differ; it does not say; it says two things."""


@dataclass(frozen=True)
class Mechanism:
    """One row of docs/fidelity.md.

    Args:
        section: its heading. test: node id of the test that pins it.
    """

    section: str
    name: str
    status: str
    test: str


def read_mechanisms() -> list[Mechanism]:
    """All rows of docs/fidelity.md."""
    return list(_mechanisms(PAGE.read_text(encoding="utf-8")))


def count_statuses() -> dict[str, dict[str, int]]:
    """How many mechanisms of each section have each status."""
    counts: dict[str, dict[str, int]] = {}
    for mechanism in read_mechanisms():
        section = counts.setdefault(mechanism.section, dict.fromkeys(STATUSES, 0))
        section[mechanism.status] += 1
    return counts


def _mechanisms(text: str) -> Iterator[Mechanism]:
    section = ""
    for line in text.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if cells and (test := re.fullmatch(r"`(tests/.+)`", cells[-1])):
            yield Mechanism(section, cells[0], cells[-2], test[1])
