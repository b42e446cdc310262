"""What a page consists of, whatever it is written in: `html.py` and `markdown.py` write the same document.

Texts are plain, but for names between backticks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Cell(NamedTuple):
    """A cell of a table.

    Args:
        under: its interval, or another note, in smaller letters.
        words: it is a text, not a number.
    """

    text: str
    under: str = ""
    words: bool = False


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list of sentences."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table; the first column names the row.

    Args:
        about: what it shows, for who hears it read.
        marked: number of the row that stands out; None = none does.
    """

    about: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    marked: int | None = None

    @property
    def words(self) -> list[bool]:
        """Of each column, whether it has texts and not numbers."""
        return [any(row[at].words for row in self.rows) for at in range(len(self.columns))]


@dataclass(frozen=True)
class Picture:
    """A picture as SVG, drawn for wide and for narrow screens; `alt`: the same in words."""

    wide: str
    narrow: str
    alt: str


@dataclass(frozen=True)
class Lines:
    """Command lines, each with what it makes."""

    lines: tuple[tuple[str, str], ...]


Block = Text | Points | Table | Picture | Lines


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A page: the verdict and its reasons, then the sections."""

    title: str
    verdict: str
    reasons: tuple[str, ...]
    sections: tuple[Section, ...]
