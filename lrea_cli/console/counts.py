"""A count and its noun, as sentences have them: 1 row, 2 rows, 1,000 entries."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str = "") -> str:
    """The count with thousands apart, and the noun in the form that goes with it.

    Args:
        count: of things.
        noun: one of them.
        plural: several of them; empty = the noun and an s.

    Example:
        >>> counted(1, "day"), counted(2_000, "entry", "entries")
        ('1 day', '2,000 entries')
    """
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"
