"""What every page is made of: Markdown, and numbers with their marks."""

from __future__ import annotations

from collections.abc import Sequence

from lrea_cli.sweep.results import OverSeeds


def as_page(parts: Sequence[str]) -> str:
    """Paragraphs, tables and headings with an empty line between them."""
    return "\n\n".join(parts) + "\n"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first column left-aligned, the others right-aligned."""
    marks = ["---", *("---:" for _ in columns[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in (columns, marks, *rows))


def difference(values: OverSeeds | None) -> str:
    """`+0.0012`, with `~` before it where no difference is shown."""
    if values is None or values.mean is None:
        return "-"
    return f"{'' if values.resolved else '~ '}{values.mean:+.4f}"
