"""Tables in a page that come from the code or from measurements, between `<!-- table: NAME -->` and `<!-- end -->`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path


def with_tables(page: Path, tables: Mapping[str, Callable[[], str]]) -> str:
    """The text of a page with its tables made anew; a KeyError for a name that is none of `tables`."""

    def table(match: re.Match[str]) -> str:
        return f"{match[1]}\n{tables[match[2]]()}\n<!-- end -->"

    text = page.read_text(encoding="utf-8")
    return re.sub(r"(<!-- table: (\w+) -->)\n.*?<!-- end -->", table, text, flags=re.DOTALL)


def markdown(head: Iterable[str], rows: Iterable[Iterable[str]], numbers: int = 0) -> str:
    """A table; its last columns are `numbers`."""
    head = list(head)
    rule = ["---"] * (len(head) - numbers) + ["---:"] * numbers
    lines = [head, rule, *rows]
    return "\n".join(f"| {' | '.join(line)} |" if line is not rule else f"|{'|'.join(rule)}|" for line in lines)
