"""Text on its way to a terminal: lines that fit it, and an escape such as `\\x1b` for a sign that would steer it."""

from __future__ import annotations

import os
import re
import textwrap
import unicodedata
from typing import TextIO

LEAST_COLUMNS, PLAIN_COLUMNS = 20, 80
"""The second where the output is no terminal and COLUMNS is not set."""

COMMAND = re.compile(r"`[^`]+`|(?:(?<=: )|(?<=then ))lrea (?:'[^']*'|[^',;.]|[,;.](?!\s|$))+")
"""What a user may copy: it is never broken. A command begins after `: ` or `then `, and ends with its clause."""

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
    return "".join(sign if sign in keep else _escaped(sign) for sign in shown)


def fitted(text: object, stream: TextIO) -> str:
    """The text, cleaned, in lines that fit a stream; continued lines are indented.

    A word, a path or a command to copy that is longer than a line stays whole, on a line of its own.
    """
    line = clean(text)
    held = COMMAND.sub(lambda command: command[0].replace(" ", "\0"), line)  # no NUL is left by `clean`
    indent = line[: len(line) - len(line.lstrip(" "))] or "  "
    lines = textwrap.wrap(
        held, columns(stream), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines).replace("\0", " ")


def columns(stream: TextIO) -> int:
    """Width of a line: COLUMNS, else that of the terminal, else 80."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return max(LEAST_COLUMNS, int(given))
    try:
        return max(LEAST_COLUMNS, os.get_terminal_size(stream.fileno()).columns or PLAIN_COLUMNS)
    except (OSError, ValueError, AttributeError):
        return PLAIN_COLUMNS


def _escaped(sign: str) -> str:
    harmless = sign.isprintable() or sign in JOINERS or unicodedata.category(sign) == "Zs"
    return sign if harmless else sign.encode("unicode_escape", "surrogatepass").decode("ascii")
