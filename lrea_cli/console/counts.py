"""A count and its noun, as sentences have them: 1 row, 2 rows, 1,000 entries."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str = "") -> str:
    """The count with thousands apart, and the noun, whose plural is the noun and an s unless it is given.

    Example:
        >>> counted(1, "day"), counted(2_000, "entry", "entries")
        ('1 day', '2,000 entries')
    """
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"
