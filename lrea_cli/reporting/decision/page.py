"""Writes a decision: one HTML file without network, the same as Markdown, and JSON with every number."""

from __future__ import annotations

from pathlib import Path

from lrea_cli.decide.verdict.answer import Decision
from lrea_cli.reporting.decision.content import document
from lrea_cli.reporting.decision.html import html
from lrea_cli.reporting.decision.markdown import markdown
from lrea_cli.workspace.sealed import replacing

NAME = "decision"


def write_pages(folder: Path, decision: Decision) -> Path:
    """Write `decision.html`, `decision.md` and `decision.json`, each whole; the same decision gives the same bytes.

    Returns:
        the HTML file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = document(decision)
    decision.write(folder / f"{NAME}.json")
    for ending, text in (("md", markdown(content)), ("html", html(content))):
        with replacing(folder / f"{NAME}.{ending}") as file:
            file.write(text.encode())
    return folder / f"{NAME}.html"
