"""Text on its way to a terminal: what would steer it is shown as an escape, such as `\\x1b` for the sign ESC."""

from __future__ import annotations

import unicodedata

JOINERS = "\u200c\u200d"
"""Signs without a width that words of Persian and Hindi, and emoji, are written with."""


def clean(text: object, keep: str = "") -> str:
    r"""The text with every control character, line break, change of direction and half character as an escape.

    Args:
        text: anything that is shown; names of files, columns and users in it may hold any character.
        keep: control characters that stay, such as "\n" where lines are meant.
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(sign if _is_harmless(sign) or sign in keep else _escape(sign) for sign in shown)


def _is_harmless(sign: str) -> bool:
    return sign.isprintable() or sign in JOINERS or unicodedata.category(sign) == "Zs"


def _escape(sign: str) -> str:
    return sign.encode("unicode_escape", "surrogatepass").decode("ascii")
