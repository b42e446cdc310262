"""One spelling for each raw value, whatever the type it was written in, and what counts as missing.

Blanks at both ends are cut off, a spelling of `MISSING` is no value, and a whole number is its digits: 5, 5.0, 5.00 and
"5.0" are the id 5. All else stays as it is written: 007 is not 7, and 1e5 not 100000. `spelling_sql.py` is the same
rule for columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MISSING = ("null", "na", "n/a", "nan", "none", "\\n", "<na>", "#n/a")
"""Spellings of a missing value, in any case of the letters; the empty text is missing, too."""

BLANKS = " \t\r\n\v\f\u00a0\u3000\ufeff"
UNSEEN = r"[\p{Cc}\x{200B}\x{200E}\x{200F}\x{2060}\x{FEFF}]"
"""A pattern of RE2: a control character, such as NUL, or a sign without a width: two ids look alike that are two."""

WHOLE = r"(0|-?[1-9][0-9]*)[.]0+"
ROUNDED = r"-?[1-9][.][0-9]+[eE][+][0-9]{2,3}"
"""A number as spreadsheets and dumps of floating-point numbers shorten it: 1.23457E+12 has been several ids."""


def spelled(text: str, missing: Iterable[str] = MISSING) -> str | None:
    """A raw value's one spelling, or None where it is missing."""
    trimmed = text.strip(BLANKS)
    if not trimmed or trimmed.lower() in missing:
        return None
    return trimmed.partition(".")[0] if re.fullmatch(WHOLE, trimmed) else trimmed
