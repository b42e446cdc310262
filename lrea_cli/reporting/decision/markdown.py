"""A document as Markdown; a picture is there in words."""

from __future__ import annotations

import re

from lrea_cli.reporting.decision.document import Block, Cell, Document, Lines, Picture, Points, Table, Text

TOLD_APART = re.compile(r"(`[^`]*`)")
SIGNS = re.compile(r"([\\*_\[\]<>#|~])")


def markdown(document: Document) -> str:
    """The whole page."""
    parts = [f"# {_inline(document.title)}", f"**{_inline(document.verdict)}**", *map(_inline, document.reasons)]
    for section in document.sections:
        parts += [f"## {_inline(section.title)}", *map(_block, section.blocks)]
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    if isinstance(block, Text):
        return _inline(block.text)
    if isinstance(block, Points):
        return "\n".join(f"- {_inline(line)}" for line in block.lines)
    if isinstance(block, Picture):
        return f"Picture (drawn on the HTML page): {_inline(block.alt)}"
    if isinstance(block, Lines):
        return "\n\n".join(f"{_inline(makes)}:\n\n    {line}" for makes, line in block.lines)
    return _table(block)


def _table(table: Table) -> str:
    marks = ["---" if words or not at else "---:" for at, words in enumerate(table.words)]
    rows = [
        [f"**{_cell(cell)}**" if number == table.marked and not at else _cell(cell) for at, cell in enumerate(row)]
        for number, row in enumerate(table.rows)
    ]
    lines = [[_inline(name) for name in table.columns], marks, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(cell: Cell) -> str:
    return _inline(f"{cell.text} ({cell.under})" if cell.under else cell.text)


def _inline(text: str) -> str:
    """Signs of Markdown stand for themselves; of a name, only the one that would end a cell."""
    pieces = TOLD_APART.split(text)
    return "".join(
        piece.replace("|", "\\|") if number % 2 else SIGNS.sub(r"\\\1", piece) for number, piece in enumerate(pieces)
    )
